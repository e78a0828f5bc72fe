import { join } from 'node:path'
import t from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { Tree } from '../../src/core/tree.ts'
import { checkTree } from '../../src/log/check.ts'
import { LogClock } from '../../src/log/clock.ts'
import { loadTree, Prover } from '../../src/log/prover.ts'
import { type Candidate, type QueueLimits, Sequencer, type SignedHead } from '../../src/log/sequencer.ts'
import { createStore, SqliteStore } from '../../src/store/sqlite.ts'
import type { Commit, Store } from '../../src/store/store.ts'
import { temporaryFolder } from '../support/server.ts'

type Teardown = Parameters<typeof temporaryFolder>[0]

const LIMITS: QueueLimits = { queueEntries: 1_000, queueBytes: 1e6, batchEntries: 100, batchBytes: 1e6 }

interface Made {
  readonly sequencer: Sequencer
  readonly store: SqliteStore
  readonly commits: Commit[]
  readonly heads: SignedHead[]
  readonly failures: unknown[]
  /** Set to make the next commits wait, or fail. */
  readonly disk: { before?: () => Promise<void>; after?: () => Promise<void> }
  time: number
}

async function make(t: Teardown, limits: Partial<QueueLimits> = {}): Promise<Made> {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/sequencer', 'raw')
  const store = SqliteStore.open(file)
  t.teardown(() => store.close())
  const commits: Commit[] = []
  const heads: SignedHead[] = []
  const failures: unknown[] = []
  const disk: Made['disk'] = {}
  const watched = new Proxy<Store>(store, {
    get(target, name) {
      if (name === 'commit')
        return async (commit: Commit) => {
          commits.push(commit)
          await disk.before?.()
          await target.commit(commit)
          await disk.after?.()
        }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const made = { store, commits, heads, failures, disk, time: 1_000_000 } as { -readonly [K in keyof Made]: Made[K] }
  // Both clocks are of one kind here: they never part.
  const clocks = { wall: () => made.time, monotonic: () => made.time }
  made.sequencer = new Sequencer({
    store: watched,
    prover: new Prover(store),
    tree: await loadTree(store),
    clock: new LogClock(clocks, 0),
    sign: (tree) => `signed ${tree.size}`,
    onHead: (head) => heads.push(head),
    onCommit: () => {},
    onFailure: (error) => failures.push(error),
    limits: { ...LIMITS, ...limits },
  })
  return made
}

const entry = (name: number | string): Uint8Array => toUtf8(`entry ${name}`)
const candidate = (name: number | string, more: Partial<Candidate> = {}): Candidate => ({
  size: 10,
  place: () => ({ entry: entry(name) }),
  ...more,
})
const sizes = (commits: readonly Commit[]): number[] => commits.map(({ entries }) => entries.length)

t.test('candidates become entries in the order in which they came, whatever the batches', async (t) => {
  const { sequencer, store, commits, heads } = await make(t)
  const work: Promise<unknown>[] = []
  for (let i = 0; i < 700; i++) {
    work.push(
      sequencer.append(candidate(i)).then((appended) => {
        // Known to be durable, signed and covered by its head before anybody hears of it.
        if (appended.index !== i || appended.head.tree.size <= i) t.fail(`${i} is at ${appended.index}`)
        if (heads.at(-1)!.tree.size < appended.head.tree.size) t.fail(`${i} was answered before its head`)
      }),
    )
    if (i % 37 === 0) await new Promise(setImmediate)
  }
  await Promise.all(work)
  t.same(
    await store.entries(0, 700),
    Array.from({ length: 700 }, (_, i) => entry(i)),
  )
  t.equal(Math.max(...sizes(commits)), 37, 'a batch is what one turn of the event loop brought')
  t.same(
    heads.map(({ tree, note }) => [tree.size, note]),
    commits.map(({ head }) => [head.size, `signed ${head.size}`]),
    'every commit has its head, in order',
  )
  const { root } = Tree.empty.append(Array.from({ length: 700 }, (_, i) => leafHash(entry(i)))).tree
  t.same(sequencer.head.tree.root, root)
  t.equal((await checkTree(store, () => {})).size, 700)
})

t.test('a batch has its limits in entries and bytes, and ends where a candidate wants it to', async (t) => {
  const rows: [string, Partial<QueueLimits>, Candidate[], number[]][] = [
    ['entries', { batchEntries: 4 }, Array.from({ length: 10 }, (_, i) => candidate(i)), [4, 4, 2]],
    ['bytes', { batchBytes: 35 }, Array.from({ length: 10 }, (_, i) => candidate(i)), [3, 3, 3, 1]],
    [
      'one that is larger than a batch',
      { batchBytes: 35 },
      [candidate(0), candidate(1, { size: 900 }), candidate(2)],
      [1, 1, 1],
    ],
    ['the last one', {}, [candidate(0), candidate(1, { last: true }), candidate(2), candidate(3)], [2, 2]],
    ['two last ones', {}, [candidate(0, { last: true }), candidate(1, { last: true })], [1, 1]],
  ]
  for (const [name, limits, candidates, expected] of rows) {
    const { sequencer, commits } = await make(t, limits)
    const all = await Promise.all(candidates.map((one) => sequencer.append(one)))
    t.same(
      all.map(({ index }) => index),
      candidates.map((_, i) => i),
      name,
    )
    t.same(sizes(commits), expected, name)
  }
})

t.test('a candidate that refuses its place leaves no gap, and the others never notice', async (t) => {
  const { sequencer, store, commits } = await make(t)
  const refuse = candidate('x', {
    place: () => {
      throw new TreelineError('KEY_EXPIRED', 'not any more')
    },
  })
  const large = candidate('large', { place: () => ({ entry: new Uint8Array(65_536) }) })
  const seen: number[] = []
  const watch = (i: number) =>
    candidate(i, {
      place: (index) => {
        seen.push(index)
        return { entry: entry(i) }
      },
    })
  const all = await Promise.allSettled(
    [refuse, watch(0), large, watch(1), refuse, watch(2)].map((one) => sequencer.append(one)),
  )
  t.same(
    all.map((one) => (one.status === 'fulfilled' ? one.value.index : (one.reason as TreelineError).code)),
    ['KEY_EXPIRED', 0, 'ENTRY_TOO_LARGE', 1, 'KEY_EXPIRED', 2],
  )
  t.same(seen, [0, 1, 2], 'each is placed once, at its own index')
  t.same(await store.entries(0, 9), [entry(0), entry(1), entry(2)])
  await t.rejects(sequencer.append(refuse), { code: 'KEY_EXPIRED' })
  t.equal(commits.length, 1, 'a batch of nothing is no commit')
  t.equal((await sequencer.append(candidate(3))).index, 3)
})

t.test('what a commit changes is so before anyone is answered, and before the next batch is judged', async (t) => {
  const { sequencer, store } = await make(t)
  let rule = 'old'
  const order: string[] = []
  const judged = (name: string) =>
    candidate(name, {
      place: () => {
        order.push(`${name} under ${rule}`)
        return { entry: entry(name) }
      },
    })
  const change = candidate('change', {
    last: true,
    place: () => ({
      entry: entry('change'),
      committed: () => {
        rule = 'new'
      },
    }),
  })
  const changed = sequencer.append(judged('a'))
  const done = sequencer.append(change).then(() => order.push(`answered under ${rule}`))
  await Promise.all([changed, done, sequencer.append(judged('b'))])
  t.same(order.toSorted(), ['a under old', 'answered under new', 'b under new'])
  t.equal((await store.head()).size, 3)
})

t.test('a group is in one commit, in its order, or not at all', async (t) => {
  const made = await make(t, { batchEntries: 4, batchBytes: 100, queueBytes: 200 })
  const { sequencer, store, commits } = made
  const group = (name: string, count: number, more: Partial<Candidate> = {}) =>
    candidate(name, {
      entries: count + 1,
      place: () => ({
        entry: entry(name),
        items: Array.from({ length: count }, (_, i) => ({ entry: entry(`${name} ${i}`), addendum: entry('x') })),
      }),
      ...more,
    })
  const work = [
    sequencer.append(candidate('a')),
    sequencer.append(group('g', 2)),
    sequencer.append(candidate('b')),
    sequencer.append(group('h', 9)),
    sequencer.append(candidate('c')),
  ]
  const indexes = (await Promise.all(work)).map(({ index }) => index)
  t.same(indexes, [0, 1, 4, 5, 15])
  t.same(sizes(commits), [4, 1, 10, 1])
  t.same(await store.entry(14), entry('h 8'))
  t.same(await store.addendum(14), entry('x'))

  const tooLarge = group('bad', 1, {
    place: () => ({ entry: entry('bad'), items: [{ entry: entry('fine') }, { entry: new Uint8Array(65_536) }] }),
  })
  const after = sequencer.append(tooLarge)
  const next = sequencer.append(candidate('d'))
  await t.rejects(after, { code: 'ENTRY_TOO_LARGE' })
  t.equal((await next).index, 16, 'and nothing of it is there')
  t.same(await store.entry(16), entry('d'))

  // Larger than the queue may hold: alone, or it could never be written.
  const huge = sequencer.append(group('huge', 2, { size: 500 }))
  await t.rejects(sequencer.append(group('too', 2)), { code: 'QUEUE_FULL' })
  t.equal((await huge).index, 17)
})

t.test('the queue is bounded in entries and bytes while the disk is slow', async (t) => {
  const made = await make(t, { queueEntries: 5, queueBytes: 1_000 })
  const { sequencer, disk } = made
  let release = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  disk.before = () => slow
  const work = [sequencer.append(candidate(0))]
  // The first is on its way to the disk: it does not wait in the queue any more.
  await new Promise((resolve) => setTimeout(resolve, 5))
  await new Promise(setImmediate)
  for (let i = 1; i <= 5; i++) work.push(sequencer.append(candidate(i)))
  t.same(sequencer.queued, { entries: 5, bytes: 50 })
  const began = performance.now()
  await t.rejects(sequencer.append(candidate(6)), { code: 'QUEUE_FULL' })
  t.ok(performance.now() - began < 1_000, 'at once')
  release()
  await Promise.all(work)
  t.same(sequencer.queued, { entries: 0, bytes: 0 })
  await t.rejects(sequencer.append(candidate('huge', { size: 1_001 })), { code: 'QUEUE_FULL' })
  const [first, second] = [candidate(6, { size: 600 }), candidate(7, { size: 600 })].map((one) => sequencer.append(one))
  await t.rejects(second!, { code: 'QUEUE_FULL' }, 'bytes count too')
  t.equal((await first!).index, 6)
})

t.test('of a queue that fills, nobody holds more than an equal part', async (t) => {
  const { sequencer, disk } = await make(t, { queueEntries: 12, queueBytes: 10_000 })
  const { promise: slow, resolve: release } = Promise.withResolvers<void>()
  disk.before = () => slow
  const work = [sequencer.append(candidate('first'))]
  await new Promise((resolve) => setTimeout(resolve, 5))
  await new Promise(setImmediate)
  let sent = 0
  const send = (source: string, change = {}) => sequencer.append(candidate(sent++, { source, ...change }))
  // Alone, it may fill the whole but for what the others need to be seen at all.
  for (let i = 0; i < 8; i++) work.push(send('flood'))
  work.push(send('slow'))
  await t.rejects(send('flood'), { code: 'QUEUE_FULL' }, 'of two, each has half')
  for (let i = 0; i < 2; i++) work.push(send('slow'))
  t.equal(sequencer.queued.entries, 11)
  work.push(send('third'))
  await t.rejects(send('third'), { code: 'QUEUE_FULL' }, 'and full is full')
  release()
  await Promise.all(work)
  t.same(sequencer.queued, { entries: 0, bytes: 0 })
  for (let i = 0; i < 3; i++) work.push(send('flood'))
  await Promise.all(work)
})

for (const when of ['before', 'after'] as const) {
  t.test(`a commit that fails ${when} it is written stops everything, and signs nothing`, async (t) => {
    const { sequencer, store, disk, heads, failures } = await make(t, { batchEntries: 2 })
    await sequencer.append(candidate(0))
    const error = new Error('the disk is broken')
    disk[when] = () => Promise.reject(error)
    let told = false
    const doubtful = candidate(1, {
      place: () => ({
        entry: entry(1),
        committed: () => {
          told = true
        },
      }),
    })
    // The first two are the batch that fails; the others only waited.
    const all = await Promise.allSettled(
      [doubtful, ...[2, 3, 4, 5].map((i) => candidate(i))].map((one) => sequencer.append(one)),
    )
    for (const one of all) t.match(one, { status: 'rejected', reason: { code: 'STORAGE_FAILED', cause: error } })
    t.same(failures, [error], 'told once')
    t.notOk(told)
    t.equal(heads.length, 1)
    t.equal(sequencer.head.note, 'signed 1')
    t.same(sequencer.queued, { entries: 0, bytes: 0 })
    t.match(sequencer.stopped, { code: 'STORAGE_FAILED' })
    delete disk[when]
    await t.rejects(sequencer.append(candidate(6)), { code: 'STORAGE_FAILED' }, 'also when the disk has recovered')
    const { size, root } = await store.head()
    t.equal(size, when === 'before' ? 1 : 3)
    t.same((await loadTree(store)).root, root, 'what is on the disk is whole')
    await sequencer.close()
  })
}

t.test('a clock that is not believed refuses a batch and nothing more', async (t) => {
  const made = await make(t)
  const { sequencer, store } = made
  await sequencer.append(candidate(0))
  const before = made.time
  made.time -= 6_000
  const refused = await Promise.allSettled([candidate(1), candidate(2)].map((one) => sequencer.append(one)))
  for (const one of refused) t.match(one, { status: 'rejected', reason: { code: 'CLOCK' } })
  t.equal(sequencer.stopped, undefined)
  made.time = before - 5_000
  await sequencer.append(candidate(1))
  t.equal((await store.head()).time, before, 'within the tolerance times stand still')
  made.time = before + 1.4
  await sequencer.append(candidate(2))
  t.equal((await store.head()).time, before + 1, 'and are whole milliseconds')
})

t.test('closing answers what was accepted, and takes no more', async (t) => {
  const { sequencer, store } = await make(t, { batchEntries: 3 })
  const work = Array.from({ length: 10 }, (_, i) => sequencer.append(candidate(i)))
  const closed = sequencer.close()
  await t.rejects(sequencer.append(candidate(10)), { code: 'STORAGE_FAILED' }, 'from the moment it is asked to')
  await closed
  t.same(
    (await Promise.all(work)).map(({ index }) => index),
    Array.from({ length: 10 }, (_, i) => i),
  )
  t.equal((await store.head()).size, 10)
  await sequencer.close()
})
