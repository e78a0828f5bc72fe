import { randomBytes } from 'node:crypto'
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import Database from 'better-sqlite3'
import t from 'tap'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry, type EventEntry, encodeEntry } from '../../src/core/entry.ts'
import { formatEvidence, parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { EMPTY_ROOT, leafHash } from '../../src/core/merkle.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { BatchBody } from '../../src/log/batch-body.ts'
import { checkTree } from '../../src/log/check.ts'
import { checkLog } from '../../src/log/check-log.ts'
import { evidenceOf } from '../../src/log/evidence.ts'
import { loadTree } from '../../src/log/prover.ts'
import { backUpDatabase } from '../../src/store/backup.ts'
import { createStore, SqliteStore } from '../../src/store/sqlite.ts'
import { Actor, event, redactionRequest, statement } from '../support/actors.ts'
import { signedBatch, statements } from '../support/batch.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

/** How a text looks in a file: as it is, or in base64 at each of the three places that its first byte can have. */
const spellings = (text: string): Buffer[] => [
  Buffer.from(text),
  ...[0, 1, 2].map((shift) => {
    const whole = Buffer.from('.'.repeat(shift) + text).toString('base64')
    // The groups at both ends depend on the neighbours.
    return Buffer.from(whole.slice(4, -4))
  }),
]

/** Files under a folder that hold a text. */
const filesWith = (folder: string, text: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
    .filter((file) => {
      const bytes = readFileSync(file)
      return spellings(text).some((spelling) => bytes.includes(spelling))
    })

async function checked(file: string, options = {}) {
  const store = SqliteStore.open(file, { readonly: true })
  return checkLog(store, options).finally(() => store.close())
}

async function start(t: Parameters<typeof temporaryFolder>[0]) {
  const data = temporaryFolder(t)
  const administrator = new Actor()
  const signer = new Actor()
  const { vkey } = await makeEventLog(data, [administrator], [{ actor: signer }])
  const server = await startServer(data)
  t.teardown(() => server.close())
  const { log, events } = server.opened.logs.get('test')!
  const { projections } = server.opened
  const submit = (subject: string, predicate: object) => events!.submit(toUtf8(event(signer, subject, predicate)))
  const request = async (indexes: readonly number[]) => {
    const entries = []
    for (const index of indexes) entries.push({ index, leafHash: toHex(leafHash((await log.store.entry(index))!)) })
    return toUtf8(redactionRequest(ORIGIN, entries, [administrator]))
  }
  return { data, vkey, signer, log, events: events!, projections, submit, request }
}

t.test('a redacted payload is in no file, and everything else still verifies', async (t) => {
  const { data, vkey, log, events, submit, request } = await start(t)
  const marker = randomBytes(48).toString('hex')
  const { index } = await submit(`model/${marker}`, { marker, pad: 'x'.repeat(40_000) })
  const neighbours: number[] = []
  for (let i = 0; i < 12; i++) neighbours.push((await submit(`model/${i}`, { pad: 'y'.repeat(i * 700) })).index)
  t.ok(filesWith(data, marker).length > 0, 'the search finds it while it is there')

  const { erased, index: by } = await events.redact(await request([index]))
  t.equal(erased, true)
  t.same(filesWith(data, marker), [])
  t.equal(await log.store.addendum(index), undefined)
  t.equal(await log.store.redactedBy(index), by)

  t.equal((await checkTree(log.store, () => {})).size, log.head.tree.size)
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  while ((log.published?.size ?? 0) < log.head.tree.size) await new Promise((resolve) => setTimeout(resolve, 5))
  for (const one of [0, index, ...neighbours, by]) {
    const file = formatEvidence(await evidenceOf(log, one))
    const { envelope } = verifyEvidence(parseEvidence(file), trust, verifySignature)
    t.equal(envelope !== undefined, neighbours.includes(one), `evidence of ${one}`)
  }

  const sound = join(temporaryFolder(t), 'sound.db')
  backUpDatabase(join(data, 'logs/test/log.db'), sound)
  t.match((await checked(sound)).documents, { sound: log.head.tree.size - 1, redacted: 1, missing: 0 })
  for (const [fault, why] of Object.entries({
    'UPDATE addenda SET bytes = zeroblob(5) WHERE entry = 2': /that of 2 is not the one that the entry commits to/,
    'DELETE FROM addenda WHERE entry = 3': /that of 3 is missing/,
    'INSERT INTO redactions VALUES (3, 7)': /3 is marked as redacted by 7, which does not say so/,
    [`DELETE FROM redactions WHERE entry = ${index}`]:
      /that of \d+ is not the one .*, that of \d+ is not redacted, as \d+ says/,
    'INSERT INTO policies VALUES (4)': /policies are listed at 0,4, and are at 0/,
    'UPDATE log SET time = time + 1': /the time of the head/,
  })) {
    const file = `${sound}.broken`
    cpSync(sound, file)
    const db = new Database(file)
    db.exec(fault)
    db.close()
    await t.rejects(checked(file), { code: 'INVALID_LOG', message: why }, fault)
    t.equal((await checked(file, { treeOnly: true })).size, log.head.tree.size, 'the tree says nothing of it')
  }
})

t.test('a redacted item of a batch is in no file, index.db included', async (t) => {
  const { data, signer, log, events, projections, request } = await start(t)
  const marker = randomBytes(48).toString('hex')
  const word = `w${marker.slice(0, 30)}`
  const payloads = statements(40)
  payloads[17] = statement(`model/${marker}`, { word, pad: 'x'.repeat(20_000) })
  const { body } = signedBatch(ORIGIN, payloads, [signer])
  const { index: header } = await events.submitBatch(new BatchBody(Readable.from([body])))
  for (let i = 0; i < 400 && projections!.size('test') < log.head.tree.size; i++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  t.ok(filesWith(data, marker).length > 0)
  t.ok(
    filesWith(data, word).some((file) => file.includes('index.db')),
    'the index has its words',
  )
  t.match(await events.redact(await request([header + 18])), { erased: true })
  t.same(filesWith(data, marker), [])
  t.same(filesWith(data, word), [])
  t.ok(await log.store.addendum(header + 17), 'its neighbour is there')
})

t.test('a reader that holds old pages delays the answer that all is erased', async (t) => {
  const { data, log, events, submit, request } = await start(t)
  const marker = randomBytes(48).toString('hex')
  const { index } = await submit('model/held', { marker })
  const reader = new Database(join(data, 'logs/test/log.db'), { readonly: true })
  t.teardown(() => reader.close())
  reader.exec('BEGIN')
  reader.prepare('SELECT count(*) FROM entries').get()
  const body = await request([index])
  let turns = 0
  const beat = setInterval(() => turns++, 20)
  const first = await events.redact(body)
  clearInterval(beat)
  t.match(first, { created: true, erased: false })
  t.ok(turns > 20, 'the process went on while it waited')
  t.equal(await log.store.addendum(index), undefined, 'nobody is shown it all the same')
  t.ok(filesWith(data, marker).length > 0)
  reader.exec('COMMIT')
  t.match(await events.redact(body), { created: false, index: first.index, erased: true })
  t.same(filesWith(data, marker), [])
})

t.test('a payload that stands at several indexes is erased from all of them or not at all', async (t) => {
  const data = temporaryFolder(t)
  const administrator = new Actor()
  const signer = new Actor()
  await makeEventLog(data, [administrator], [{ actor: signer }])
  let server = await startServer(data)
  const marker = randomBytes(48).toString('hex')
  const { index, entry } = await server.opened.logs
    .get('test')!
    .events!.submit(toUtf8(event(signer, 'model/x', { marker })))
  await server.close()

  // Items of a signed batch are not deduplicated: the same item again, twice.
  const store = SqliteStore.open(join(data, 'logs/test/log.db'))
  const original = decodeEntry(entry) as EventEntry
  const addendum = (await store.addendum(index))!
  const items = [3, 4].map((position) => encodeEntry({ ...original, batch: { header: 2, position } }))
  const tree = await loadTree(store)
  const next = tree.append(items.map(leafHash))
  await store.commit({
    from: tree.size,
    entries: items,
    addenda: items.map((_, i) => ({ index: tree.size + i, bytes: addendum })),
    redactions: [],
    policies: [],
    tiles: next.full,
    head: { size: next.tree.size, root: next.tree.root, time: original.time },
  })
  await store.close()

  server = await startServer(data)
  t.teardown(() => server.close())
  const { log, events } = server.opened.logs.get('test')!
  const redact = async (indexes: readonly number[], reason: string) => {
    const entries = []
    for (const one of indexes) entries.push({ index: one, leafHash: toHex(leafHash((await log.store.entry(one))!)) })
    return events!.redact(toUtf8(redactionRequest(ORIGIN, entries, [administrator], reason)))
  }
  for (const some of [[index], [2], [index, 3], [2, 3]])
    await t.rejects(redact(some, 'some'), { code: 'MORE_INDEXES', facts: { indexes: [index, 2, 3] } }, `${some}`)
  t.equal(log.head.tree.size, 4, 'nothing is logged')
  t.same(await log.store.addendum(3), addendum)
  t.match(await redact([index, 2, 3], 'all'), { indexes: [index, 2, 3], erased: true })
  t.same(filesWith(data, marker), [])
  await t.rejects(
    redact([index, 2, 3], 'again'),
    { code: 'REDACTED', facts: { index } },
    'another request for the same',
  )
  t.equal(log.head.tree.size, 5)
})

// Deleting rows makes SQLite move others between pages, and it leaves what stood there before: no payload may move.
t.test('of many redacted addenda nothing is left, whatever stood beside them', async (t) => {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/store', 'raw')
  const store = SqliteStore.open(file)
  t.teardown(() => store.close())
  let seed = 1
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor(seed / 2 ** 16) % below
  }
  let size = 0
  const live: number[] = []
  const gone = new Set<number>()
  const commit = (added: number, redacted: readonly number[]) => {
    const from = size
    size += Math.max(added, 1)
    const addenda = Array.from({ length: added }, (_, i) => ({
      index: from + i,
      bytes: toUtf8(`#${String(from + i).padStart(6, '0')}#`.repeat(40 + random(700))),
    }))
    live.push(...addenda.map(({ index }) => index))
    return store.commit({
      from,
      entries: Array.from({ length: size - from }, () => Uint8Array.of(0)),
      addenda,
      redactions: redacted.map((index) => ({ index, by: from })),
      policies: [],
      tiles: [],
      head: { size, root: EMPTY_ROOT, time: 0 },
    })
  }
  await commit(1_000, [])
  const left = new Set<number>()
  for (let round = 0; round < 40; round++) {
    await commit(random(4), [])
    const redacted = Array.from({ length: 20 }, () => live.splice(random(live.length), 1)[0]!)
    for (const index of redacted) gone.add(index)
    await commit(0, redacted)
    if (!(await store.erase())) t.fail('nobody reads, and yet it is not erased')
    for (const [, index] of readFileSync(file, 'latin1').matchAll(/#(\d{6})#/g)) {
      if (gone.has(Number(index))) left.add(Number(index))
    }
  }
  t.same([...left], [])
  t.equal(gone.size, 800)
  for (const index of live) if ((await store.addendum(index)) === undefined) t.fail(`${index} is gone too`)
})
