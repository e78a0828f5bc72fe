import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import { equal, fromBase64, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry } from '../../src/core/entry.ts'
import { leafHash, nodeHash, verifyConsistency, verifyInclusion } from '../../src/core/merkle.ts'
import { Tree } from '../../src/core/tree.ts'
import { checkTree } from '../../src/log/check.ts'
import { Prover } from '../../src/log/prover.ts'
import { addRaw } from '../../src/log/raw.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import type { Commit, Store } from '../../src/store/store.ts'
import { Actor, event } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, makeRawLog, startServer, temporaryFolder } from '../support/server.ts'

const entry = (index: number): Uint8Array => toUtf8(`entry ${index}`)

/** A store whose next commit fails: before anything is written, or after all of it is. */
function breakable(): { wrap: (store: Store) => Store; fail(when: 'before' | 'after'): void } {
  let mode: 'before' | 'after' | undefined
  return {
    fail(when) {
      mode = when
    },
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target)
          if (name !== 'commit') return typeof value === 'function' ? value.bind(target) : value
          return async (commit: Commit) => {
            if (mode !== 'before') await target.commit(commit)
            if (mode !== undefined) throw new Error('the disk is broken')
          }
        },
      }),
  }
}

for (const when of ['before', 'after'] as const) {
  t.test(
    `a commit that fails ${when} it is written: nobody is told that it is in, reads go on, a restart is whole`,
    async (t) => {
      const data = temporaryFolder(t)
      const signer = new Actor()
      await makeEventLog(data, [new Actor()], [{ actor: signer }])
      const broken = breakable()
      const server = await startServer(data, { wrap: broken.wrap })
      const submit = (url: string, text: string) => post(url, '/test/v1/events', text)
      const kept = event(signer, 'kept')
      t.equal((await submit(server.url, kept)).status, 201)
      const note = server.opened.logs.get('test')!.log.head.note
      broken.fail(when)
      const lost = Array.from({ length: 8 }, (_, i) => event(signer, `in doubt ${i}`))
      const answers = await Promise.all(lost.map((text) => submit(server.url, text)))
      for (const answer of answers) t.match([answer.status, json(answer).code], [503, 'STORAGE_FAILED'])
      t.ok(answers[0]!.headers['retry-after'])
      t.equal(server.opened.logs.get('test')!.log.head.note, note, 'nothing new is signed')
      t.equal((await ask(server.url, '/test/v1/events/1')).status, 200, 'reads go on')
      t.equal((await submit(server.url, kept)).status, 200, 'what is in is still known')
      t.equal(json(await submit(server.url, event(signer, 'later'))).code, 'STORAGE_FAILED', 'writes do not')
      t.equal(server.failures.length, 1)
      const readiness = await ask(server.url, '/readyz')
      t.match(
        [readiness.status, json(readiness)],
        [503, { ready: false, logs: [{ name: 'test', code: 'STORAGE_FAILED' }] }],
      )
      t.equal((await ask(server.url, '/healthz')).status, 200)
      await server.close()

      const again = await startServer(data)
      const { log } = again.opened.logs.get('test')!
      if (when === 'before') t.equal(log.head.note, note, 'the same head is signed again')
      t.equal((await checkTree(log.store, () => {})).size, log.head.tree.size)
      const indexes = await Promise.all(lost.map(async (text) => json(await submit(again.url, text)).index as number))
      t.equal(new Set(indexes).size, 8)
      t.equal(log.head.tree.size, 10, 'each is there exactly once')
      const { note: last } = log.head
      await again.close()
      const third = await startServer(data)
      t.equal(third.opened.logs.get('test')!.log.head.note, last, 'and one head has one signature')
      await third.close()
    },
  )
}

t.test('a full queue is refused at once', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const server = await startServer(data, { limits: { queueEntries: 5 } })
  const { log } = server.opened.logs.get('raw')!
  const answers = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => addRaw(log, entry(i))))
  t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 5)
  t.match(answers.at(-1), { status: 'rejected', reason: { code: 'QUEUE_FULL' } })
  t.equal(await addRaw(log, entry(5)), 5, 'and takes more when it is empty again')
  await server.close()
})

t.test('a clock that was set stops appends until it agrees', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  let shift = 0
  const clocks = { wall: () => Date.now() + shift, monotonic: () => performance.now() }
  const server = await startServer(data, { clocks })
  const { log } = server.opened.logs.get('raw')!
  await addRaw(log, entry(0))
  for (const ms of [-60_000, 60_000]) {
    shift = ms
    await t.rejects(addRaw(log, entry(1)), { code: 'CLOCK' })
    t.equal(log.head.tree.size, 1)
    t.equal(json(await ask(server.url, '/readyz')).logs[0].code, 'CLOCK')
  }
  shift = 3_000
  await addRaw(log, entry(1))
  const late = (await log.store.head()).time
  shift = 0
  await addRaw(log, entry(2))
  t.ok((await log.store.head()).time >= late, 'times never go back')
  await server.close()

  const past = { wall: () => Date.now() - 60_000, monotonic: () => performance.now() }
  const behind = await startServer(data, { clocks: past })
  await t.rejects(addRaw(behind.opened.logs.get('raw')!.log, entry(3)), { code: 'CLOCK' })
  await behind.close()
  const accepted = await startServer(data, { clocks: past, acceptClock: true })
  await addRaw(accepted.opened.logs.get('raw')!.log, entry(3))
  await accepted.close()
})

t.test('a database that went back in time is served and not written', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const folder = join(data, 'logs/raw')
  const copy = join(data, 'copy.db')
  let server = await startServer(data)
  await addRaw(server.opened.logs.get('raw')!.log, entry(0))
  await server.close()
  cpSync(join(folder, 'log.db'), copy)
  server = await startServer(data)
  await addRaw(server.opened.logs.get('raw')!.log, entry(1))
  await server.close()
  const published = readFileSync(join(folder, 'published'), 'utf8')
  t.match(published, /\n2\n/)
  rmSync(join(folder, 'log.db-wal'), { force: true })
  cpSync(copy, join(folder, 'log.db'))

  server = await startServer(data)
  const refused = await post(server.url, '/raw/add', 'x', 'application/octet-stream')
  t.match([refused.status, json(refused).code], [503, 'FROZEN'])
  t.equal((await ask(server.url, '/raw/tile/entries/000.p/1')).status, 200)
  t.equal((await ask(server.url, '/raw/checkpoint')).body.toString(), published, 'no second history is signed')
  await server.close()
  t.equal(readFileSync(join(folder, 'published'), 'utf8'), published)
  writeFileSync(join(folder, 'published'), published.replace('\n2\n', '\n3\n'))
  await t.rejects(
    startServer(data),
    { code: 'USAGE' },
    'and a published file that the log did not sign stops the start',
  )
})

t.test('check names what was changed', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const server = await startServer(data)
  await Promise.all(Array.from({ length: 600 }, (_, i) => addRaw(server.opened.logs.get('raw')!.log, entry(i))))
  await server.close()
  const sound = join(data, 'logs/raw/log.db')
  const flip = (bytes: Buffer): Buffer => {
    bytes[bytes.length - 3]! ^= 1
    return bytes
  }
  const faults: Record<string, (db: Database.Database) => void> = {
    'an entry': (db) => {
      const { first, bundle } = db.prepare('SELECT first, bundle FROM entries ORDER BY first DESC').get() as {
        first: number
        bundle: Buffer
      }
      db.prepare('UPDATE entries SET bundle = ? WHERE first = ?').run(flip(bundle), first)
    },
    'a tile': (db) => {
      const { id, hashes } = db.prepare('SELECT id, hashes FROM tiles LIMIT 1').get() as { id: number; hashes: Buffer }
      db.prepare('UPDATE tiles SET hashes = ? WHERE id = ?').run(flip(hashes), id)
    },
    'its inner nodes': (db) => {
      const { id, nodes } = db.prepare('SELECT id, nodes FROM tiles LIMIT 1').get() as { id: number; nodes: Buffer }
      db.prepare('UPDATE tiles SET nodes = ? WHERE id = ?').run(flip(nodes), id)
    },
    'the length of an entry': (db) => {
      const { first, bundle } = db.prepare('SELECT first, bundle FROM entries LIMIT 1').get() as {
        first: number
        bundle: Buffer
      }
      bundle[0]! ^= 0x40
      db.prepare('UPDATE entries SET bundle = ? WHERE first = ?').run(bundle, first)
    },
    'a missing row': (db) => db.prepare('DELETE FROM entries WHERE first = (SELECT max(first) FROM entries)').run(),
    'a missing row in the middle': (db) => db.prepare('DELETE FROM entries WHERE first = 256').run(),
    'a missing tile': (db) => db.prepare('DELETE FROM tiles WHERE id = (SELECT max(id) FROM tiles)').run(),
    'the head': (db) => db.prepare('UPDATE log SET root = ?').run(Buffer.alloc(32)),
  }
  const check = async (file: string) => {
    const store = SqliteStore.open(file, { readonly: true })
    try {
      return await checkTree(store, () => {})
    } finally {
      await store.close()
    }
  }
  t.equal((await check(sound)).size, 600)
  for (const [name, fault] of Object.entries(faults)) {
    const file = join(data, 'broken.db')
    cpSync(sound, file)
    const db = new Database(file)
    fault(db)
    db.close()
    await t.rejects(check(file), { code: 'INVALID_LOG' }, name)
  }
})

t.test('proofs of every size, cold and warm, are those of the tree', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const server = await startServer(data, { limits: { batchEntries: 1_000, queueEntries: 100_000 } })
  const { log } = server.opened.logs.get('raw')!
  const count = 66_000
  await Promise.all(Array.from({ length: count }, (_, i) => addRaw(log, entry(i))))
  const { tree } = log.head
  const leaves = Array.from({ length: count }, (_, i) => leafHash(entry(i)))
  const roots = new Map<number, Uint8Array>()
  const rootAt = (size: number): Uint8Array => {
    const root = roots.get(size) ?? Tree.empty.append(leaves.slice(0, size)).tree.root
    roots.set(size, root)
    return root
  }
  const sizes = [1, 2, 3, 7, 8, 130, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, count]
  const wrong: string[] = []
  for (const prover of [new Prover(log.store), log.prover]) {
    for (const size of sizes) {
      if (!equal(await prover.root(tree, size), rootAt(size))) wrong.push(`root ${size}`)
      for (const index of new Set([0, 1, 127, 128, 255, 256, 65_535, 65_536, size - 1])) {
        if (index >= size) continue
        const proof = await prover.inclusion(tree, index, size)
        if (!verifyInclusion(BigInt(index), BigInt(size), leaves[index]!, proof, rootAt(size)))
          wrong.push(`${index} of ${size}`)
      }
      for (const from of sizes) {
        if (from > size) continue
        const proof = await prover.consistency(tree, from, size)
        if (!verifyConsistency(BigInt(from), BigInt(size), rootAt(from), rootAt(size), proof))
          wrong.push(`${from} to ${size}`)
      }
    }
  }
  t.same(wrong, [])
  const found = json(
    await ask(server.url, `/raw/v1/proofs/inclusion?leaf=${Buffer.from(leaves[40_000]!).toString('hex')}`),
  )
  t.equal(found.index, 40_000)
  t.equal(found.hashes.map((hash: string) => fromBase64(hash)).length > 10, true)
  await server.close()
})

t.test('every proof up to 130 entries is the one of the definition', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const server = await startServer(data)
  const { log } = server.opened.logs.get('raw')!
  await Promise.all(Array.from({ length: 300 }, (_, i) => addRaw(log, entry(i))))
  const leaves = Array.from({ length: 300 }, (_, i) => leafHash(entry(i)))
  const power = (below: number): number => 2 ** Math.floor(Math.log2(below - 1))
  const known = new Map<number, Uint8Array>()
  /** RFC 6962 section 2.1, word for word. */
  const mth = (from: number, to: number): Uint8Array => {
    if (to - from === 1) return leaves[from]!
    const name = from * 1_000 + to
    const middle = from + power(to - from)
    const hash = known.get(name) ?? nodeHash(mth(from, middle), mth(middle, to))
    known.set(name, hash)
    return hash
  }
  const path = (m: number, from: number, to: number): Uint8Array[] => {
    if (to - from === 1) return []
    const middle = from + power(to - from)
    return m < middle ? [...path(m, from, middle), mth(middle, to)] : [...path(m, middle, to), mth(from, middle)]
  }
  const subproof = (m: number, from: number, to: number, whole: boolean): Uint8Array[] => {
    if (m === to) return whole ? [] : [mth(from, to)]
    const middle = from + power(to - from)
    return m <= middle
      ? [...subproof(m, from, middle, whole), mth(middle, to)]
      : [...subproof(m, middle, to, false), mth(from, middle)]
  }
  const same = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
    a.length === b.length && a.every((hash, i) => equal(hash, b[i]!))
  const { tree } = log.head
  const wrong: string[] = []
  const cold = new Prover(log.store)
  for (const prover of [cold, cold, log.prover]) {
    for (const size of [...Array.from({ length: 130 }, (_, i) => i + 1), 255, 256, 257, 300]) {
      if (!equal(await prover.root(tree, size), mth(0, size))) wrong.push(`root ${size}`)
      for (let at = 0; at < size; at++) {
        if (!same(await prover.inclusion(tree, at, size), path(at, 0, size))) wrong.push(`${at} of ${size}`)
        const expected = at === 0 ? [] : subproof(at, 0, size, true)
        if (!same(await prover.consistency(tree, at, size), expected)) wrong.push(`${at} to ${size}`)
      }
    }
  }
  t.same(wrong.slice(0, 5), [])
  await server.close()
})

t.test('the time of an entry is never less than that of the entry before', async (t) => {
  const data = temporaryFolder(t)
  const signer = new Actor()
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  let shift = 0
  const clocks = { wall: () => Date.now() + shift, monotonic: () => performance.now() }
  const server = await startServer(data, { clocks })
  const { log, events } = server.opened.logs.get('test')!
  for (const [i, ms] of [0, 4_000, -4_000, 2_000, 60_000, -900, 0, -60_000, 0].entries()) {
    shift = ms
    const work = events!.submit(toUtf8(event(signer, `at ${i}`)))
    // More than 5 s off, or more than 5 s behind what was believed 4 s too early.
    if (Math.abs(ms) > 5_000 || ms === -4_000) await t.rejects(work, { code: 'CLOCK' }, `${ms}`)
    else t.ok((await work).created, `${ms}`)
  }
  const times = (await log.store.entries(0, log.head.tree.size)).map((bytes) => decodeEntry(bytes).time)
  t.equal(times.length, 7)
  t.same(
    times,
    times.toSorted((a, b) => a - b),
  )
  await server.close()
})
