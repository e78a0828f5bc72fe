import { join } from 'node:path'
import t, { type Test } from 'tap'
import { sha256 } from '#platform'
import { encodeEntry, POLICY } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { Tree } from '../../src/core/tree.ts'
import { checkLog } from '../../src/log/check-log.ts'
import type { DigestCheck } from '../../src/store/digest-check.ts'
import { KEY } from '../../src/store/digest-keys.ts'
import { RUN_SIZE, type Run } from '../../src/store/digest-runs.ts'
import { createStore, SqliteStore } from '../../src/store/sqlite.ts'
import { commitEntries } from '../support/bare-log.ts'
import { temporaryFolder } from '../support/server.ts'

/** A run of level 1, one of level 0, and some in none. */
const SIZE = 5 * RUN_SIZE + 100

const eventEntry = (index: number): Uint8Array =>
  encodeEntry({ kind: POLICY, time: 1, addendum: sha256(Uint8Array.of(index >> 16, index >> 8, index)) })
const rawEntry = (index: number): Uint8Array => Buffer.from(`raw ${index}`)
/** Every third of them is there before: near, and far. */
const repeatedEntry = (index: number): Uint8Array =>
  rawEntry(index % 3 === 0 ? index % 300 : index % 3 === 1 ? index - (index % 50) : index)

interface Filled {
  readonly store: SqliteStore
  readonly entries: Uint8Array[]
  readonly leaves: Uint8Array[]
  grow(count: number): Promise<void>
}

async function fill(t: Test, profile: string, entryOf: (index: number) => Uint8Array, size: number): Promise<Filled> {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/digests', profile)
  const store = SqliteStore.open(file)
  // What is durable is not asked here.
  store.db.pragma('synchronous = OFF')
  t.teardown(() => store.close())
  const [entries, leaves]: [Uint8Array[], Uint8Array[]] = [[], []]
  let tree = Tree.empty
  const grow = async (count: number): Promise<void> => {
    for (const end = tree.size + count; tree.size < end; ) {
      const from = tree.size
      const some = Array.from({ length: Math.min(4_096, end - from) }, (_, i) => entryOf(from + i))
      tree = await commitEntries(store, tree, some)
      entries.push(...some)
      leaves.push(...some.map(leafHash))
      while (await store.maintain());
    }
  }
  await grow(size)
  return { store, entries, leaves, grow }
}

/** What the checks of a store say. */
function saidOf({ store, entries, leaves }: Filled): (string | undefined)[] {
  return store.digestChecks().map((check) => {
    check.add(entries, leaves)
    return faultOf(check)
  })
}

function faultOf(check: DigestCheck): string | undefined {
  try {
    check.compare()
    return undefined
  } catch (error) {
    if (error instanceof TreelineError && error.code === 'INVALID_LOG') return error.message
    throw error
  }
}

/** What they say while `change` is in the file. */
function saidWith(log: Filled, change: () => void): string {
  const { db } = log.store
  db.exec('SAVEPOINT broken')
  try {
    change()
    return saidOf(log).join(';')
  } finally {
    db.exec('ROLLBACK TO broken; RELEASE broken')
  }
}

t.test('the runs of a sound log are those of its entries', async (t) => {
  const events = await fill(t, 'events', eventEntry, SIZE)
  t.same(saidOf(events), [undefined, undefined])
  t.same(saidOf(await fill(t, 'raw', rawEntry, SIZE)), [undefined])
  t.same(saidOf(await fill(t, 'raw', repeatedEntry, SIZE)), [undefined], 'also where entries are there several times')
  t.same(saidOf(await fill(t, 'raw', () => rawEntry(7), 2 * RUN_SIZE)), [undefined], 'or all of them are one')

  const [leaf, addendum] = events.store.digestChecks()
  for (const check of [leaf!, addendum!]) check.add(events.entries.slice(0, 20_000), events.leaves.slice(0, 20_000))
  await events.grow(3 * RUN_SIZE)
  t.same(
    [faultOf(leaf!), faultOf(addendum!)],
    [undefined, undefined],
    'runs that were merged since, of entries that it did not get',
  )
})

t.test('whatever changes in a run is found', async (t) => {
  const log = await fill(t, 'events', eventEntry, 2 * RUN_SIZE + 100)
  const { db } = log.store
  const first = db.prepare('SELECT min(id) FROM addendum_run_pages').pluck().get() as number
  const pageOf = (id: number) =>
    Buffer.from(db.prepare('SELECT keys FROM addendum_run_pages WHERE id = ?').pluck().get(id) as Uint8Array)
  const put = (id: number, keys: Uint8Array) =>
    db.prepare('UPDATE addendum_run_pages SET keys = ? WHERE id = ?').run(keys, id)
  const filter = Buffer.from(
    db.prepare('SELECT bits FROM addendum_run_filters WHERE id = ?').pluck().get(first) as Uint8Array,
  )
  const putFilter = (bits: Uint8Array) =>
    db.prepare('UPDATE addendum_run_filters SET bits = ? WHERE id = ?').run(bits, first)

  const missed: string[] = []
  const page = pageOf(first)
  for (const [at, step] of [
    [0, 1],
    [700 * KEY, 9],
    [page.length - KEY, 9],
  ] as const) {
    for (let bit = 0; bit < 8 * KEY; bit += step) {
      const keys = Buffer.from(page)
      keys[at + (bit >> 3)]! ^= 1 << (bit & 7)
      if (saidWith(log, () => put(first, keys)) === ';') missed.push(`bit ${bit} of the key at ${at}`)
    }
  }
  t.same(missed, [], 'each bit of a key')

  const key = (at: number) => page.subarray(at * KEY, (at + 1) * KEY)
  const rest = (at: number) => page.subarray(at * KEY)
  for (const [what, change, why] of [
    ['two keys in the other order', () => put(first, Buffer.concat([key(1), key(0), rest(2)])), /not in order/],
    ['a key twice', () => put(first, Buffer.concat([key(0), page])), /not in order/],
    ['a key less', () => put(first, rest(1)), /not those of the entries/],
    [
      'a key of another page',
      () => put(first, Buffer.concat([page, pageOf(first + 1).subarray(0, KEY)])),
      /belongs elsewhere/,
    ],
    ['half a key', () => put(first, page.subarray(0, page.length - 3)), /no number of keys/],
    [
      'no page',
      () => db.prepare('DELETE FROM addendum_run_pages WHERE id = ?').run(first + 3),
      /not those of the entries/,
    ],
    [
      'no run',
      () => db.exec('DELETE FROM leaf_runs WHERE first = 0'),
      /by which entries are found \(leaf\).*are in none/,
    ],
    ['another level', () => db.exec('UPDATE leaf_runs SET level = 9 WHERE first = 0'), /another length/],
    ['other entries', () => db.exec(`UPDATE leaf_runs SET last = ${8 * RUN_SIZE} WHERE first > 0`), /another length/],
    ['an end below zero', () => db.exec('UPDATE addendum_runs SET last = -last WHERE first = 0'), /another length/],
    ['more pages', () => db.exec('UPDATE leaf_runs SET pages = pages + 1 WHERE first > 0'), /number of pages/],
    [
      'pages without an end',
      () => db.exec('UPDATE addendum_runs SET pages = pages + (1 << 50) WHERE first > 0'),
      /number of pages/,
    ],
    ['fewer pages', () => db.exec('UPDATE leaf_runs SET pages = pages - 1 WHERE first > 0'), /belongs elsewhere/],
    ['no pages', () => db.exec('UPDATE leaf_runs SET pages = 0 WHERE first > 0'), /number of pages/],
    ['an empty filter', () => putFilter(new Uint8Array(filter.length)), /the filter of page 0/],
    ['a shorter filter', () => putFilter(filter.subarray(1)), /another length/],
  ] as [string, () => unknown, RegExp][])
    t.match(saidWith(log, change), why, what)

  let needed = 0
  for (let at = 0; at < 10; at++) {
    const bits = Buffer.from(filter)
    const set = bits.findIndex((byte, i) => i >= at * 160 && byte !== 0)
    bits[set]! &= bits[set]! - 1
    if (/the filter of page 0/.test(saidWith(log, () => putFilter(bits)))) needed++
  }
  t.equal(needed, 10, 'each bit of a filter that is set is one that a key needs')
  t.equal(
    saidWith(log, () => db.exec('DELETE FROM addendum_run_filters')),
    ';',
    'a filter that is not there is made by the next start',
  )
})

t.test('of entries that are there several times the first is found', async (t) => {
  const log = await fill(t, 'raw', repeatedEntry, 2 * RUN_SIZE)
  const { db } = log.store
  const [id] = db.prepare('SELECT id FROM leaf_run_pages ORDER BY id').pluck().all() as number[]
  const page = Buffer.from(db.prepare('SELECT keys FROM leaf_run_pages WHERE id = ?').pluck().get(id) as Uint8Array)
  let found = 0
  for (let at = 0; at < page.length; at += 100 * KEY) {
    const keys = Buffer.concat([page.subarray(0, at), page.subarray(at + KEY)])
    const put = db.prepare('UPDATE leaf_run_pages SET keys = ? WHERE id = ?')
    if (/is not found by its digest/.test(saidWith(log, () => put.run(keys, id)))) found++
  }
  t.equal(found, Math.ceil(page.length / (100 * KEY)), 'a key less')
  const keys = Buffer.from(page)
  keys[KEY - 5]! ^= 1
  const put = db.prepare('UPDATE leaf_run_pages SET keys = ? WHERE id = ?')
  t.match(
    saidWith(log, () => put.run(keys, id)),
    /is not found by its digest/,
    'an index of no entry',
  )
})

t.test('runs that were taken away are made again at the next start', async (t) => {
  for (const [profile, entryOf, size] of [
    ['events', eventEntry, 10 * RUN_SIZE],
    ['raw', repeatedEntry, 4 * RUN_SIZE + 5],
  ] as const) {
    const log = await fill(t, profile, entryOf, size)
    const { store } = log
    const file = store.db.name
    const steps: number[] = []
    const again = SqliteStore.open(file, { newDigests: true, progress: (done) => steps.push(done) })
    t.teardown(() => again.close())
    while (await again.maintain());
    t.equal(steps.at(-1), size)
    t.same(saidOf({ ...log, store: again }), profile === 'raw' ? [undefined] : [undefined, undefined])
    const levels = again.db.prepare('SELECT level FROM leaf_runs ORDER BY first').pluck().all()
    t.ok(levels.length >= 1 && levels[0] === 1, `${levels}`)
    const runs = again.db.prepare('SELECT id FROM leaf_runs').pluck().all() as number[]
    const pages = again.db.prepare('SELECT DISTINCT id / 4294967296 FROM leaf_run_pages').pluck().all()
    t.same(
      pages,
      runs.sort((a, b) => a - b),
      'nothing is left of the old ones',
    )
    for (const index of [3, 1_000, size - 1]) {
      const first = log.leaves.findIndex((leaf) => Buffer.compare(leaf, log.leaves[index]!) === 0)
      t.equal(await again.findLeaf(log.leaves[index]!), first)
    }
  }
})

t.test('a log whose rows of runs are damaged does not open, and never hangs', async (t) => {
  const { store, leaves } = await fill(t, 'raw', rawEntry, 5 * RUN_SIZE)
  const { db } = store
  const file = db.name
  const sound = db.prepare<[], Run>('SELECT * FROM leaf_runs ORDER BY first').all()
  t.same(
    sound.map(({ level }) => level),
    [1, 0],
  )
  const put = db.prepare('INSERT INTO leaf_runs (id, level, first, last, pages) VALUES (?, ?, ?, ?, ?)')
  const write = (runs: readonly Run[]) => {
    db.exec('DELETE FROM leaf_runs')
    for (const { id, level, first, last, pages } of runs) put.run(id, level, first, last, pages)
  }
  const opens: string[] = []
  let refused = 0
  for (const [row, run] of sound.entries()) {
    for (const column of ['id', 'level', 'first', 'last', 'pages'] as const) {
      for (let bit = 0; bit < 52; bit++) {
        for (const sign of [1, -1]) {
          const value = sign * Number(BigInt(run[column]) ^ (1n << BigInt(bit)))
          write(sound.map((one, i) => (i === row ? { ...one, [column]: value } : one)))
          try {
            const opened = SqliteStore.open(file)
            // An id, or a lesser number of pages, is believed until somebody checks what the pages hold.
            if (column !== 'id' && column !== 'pages') opens.push(`${column} ${value}`)
            await opened.close()
          } catch (error) {
            if (!(error instanceof TreelineError && error.code === 'INVALID_LOG')) throw error
            refused++
          }
        }
      }
    }
  }
  t.same(opens, [])
  t.ok(refused > 900, `${refused} are refused`)
  db.exec('UPDATE leaf_run_pages SET id = 9007199254740991 WHERE id = (SELECT max(id) FROM leaf_run_pages)')
  write(sound)
  t.throws(
    () => SqliteStore.open(file),
    { code: 'INVALID_LOG', message: /rebuild-index --digests/ },
    'an id that no page has',
  )

  write([{ ...sound[0]!, last: -sound[0]!.last }])
  db.exec('DELETE FROM leaf_run_pages WHERE id = 9007199254740991')
  const again = SqliteStore.open(file, { newDigests: true })
  while (await again.maintain());
  t.ok(again.db.prepare('SELECT count(*) FROM leaf_runs').pluck().get())
  for (const index of [0, 70_000]) t.equal(await again.findLeaf(leaves[index]!), index)
  await again.close()
})

t.test('the check of a log says so, and what to do', async (t) => {
  const { store } = await fill(t, 'raw', rawEntry, RUN_SIZE + 10)
  await checkLog(store)
  store.db.exec('UPDATE leaf_run_pages SET keys = substr(keys, 12) WHERE id = (SELECT max(id) FROM leaf_run_pages)')
  await t.rejects(checkLog(store), { code: 'INVALID_LOG', message: /entries 0 to 16384.*rebuild-index --digests/ })
  await checkLog(store, { treeOnly: true })
})
