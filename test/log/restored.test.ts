/** A log that is made from a copy: the same answers, no signature ever again, or no log at all. */
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addendumHash } from '../../src/core/addendum.ts'
import { equal, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint } from '../../src/core/checkpoint.ts'
import { formatEnvelope } from '../../src/core/dsse.ts'
import { ed25519NoteSigner } from '../../src/core/ed25519.ts'
import { REDACTION } from '../../src/core/entry.ts'
import { parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { signNote } from '../../src/core/note.ts'
import { REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { Tree } from '../../src/core/tree.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { checkTree } from '../../src/log/check.ts'
import { type CopiedEntry, createRestored, type RestoreParts } from '../../src/log/restore.ts'
import { logFiles, logNames } from '../../src/store/folder.ts'
import { loadLogSigner } from '../../src/store/log-key.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { canonical, PaperLog, SECRET } from '../core/paper-log.ts'
import { Actor, event, redactionRequest, signedPolicy, statement } from '../support/actors.ts'
import { copyOf, listed, restoreInto } from '../support/copies.ts'
import { ask, exchange, json, post } from '../support/http.ts'
import { makeEventLog, makeRawLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const administrator = new Actor()
const signer = new Actor()

/** A log of all kinds of entries and one full tile, stopped: its folder. */
async function lostLog(t: Test): Promise<{ data: string; vkey: string }> {
  const data = temporaryFolder(t)
  const { vkey, document } = await makeEventLog(data, [administrator], [{ actor: signer }])
  const server = await startServer(data)
  const lines = Array.from({ length: 300 }, (_, i) => event(signer, `model/${i}`)).join('\n')
  await post(server.url, '/test/v1/events/batch', lines, 'application/x-ndjson')
  const { index, sha256 } = json(await ask(server.url, '/test/v1/policy'))
  const next = { ...document, sequence: 1, previous: { index, sha256 }, private: ['urn:private:*'] }
  t.equal((await post(server.url, '/test/v1/policy', signedPolicy(next, [administrator]))).status, 201)
  const { leafHash } = json(await ask(server.url, '/test/v1/events/7'))
  const request = redactionRequest(ORIGIN, [{ index: 7, leafHash }], [administrator])
  t.equal((await post(server.url, '/test/v1/redactions', request)).status, 201)
  await post(server.url, '/test/v1/events', event(signer, 'model/last'))
  await server.close()
  return { data, vkey }
}

t.test('a restored log gives the answers of the lost one, and takes nothing', async (t) => {
  const lost = await lostLog(t)
  const names = ['00', '01'].map((first) => `tile/0/${first.padStart(3, '0')}`)
  const last = json(await withServer(lost.data, (url) => ask(url, '/test/v1/events/303')))
  const policyDigest = json(await withServer(lost.data, (url) => ask(url, '/test/v1/policy'))).sha256
  const address = (digest: string) => `addenda/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest}`
  const paths = [
    ...['checkpoint', names[0]!, `${names[1]}.p/48`, 'tile/entries/000', 'tile/entries/001.p/48', 'addenda.v1'],
    ...[address(last.addendum), address(policyDigest), 'v1/events?limit=1000', 'v1/events/7', 'v1/policy'],
    ...['v1/proofs/inclusion?index=9&size=200', `v1/proofs/inclusion?leaf=${last.leafHash}`],
    ...['v1/proofs/consistency?from=5&to=304', 'v1/evidence/3', 'v1/evidence/7', 'v1/evidence/303'],
  ]
  const answers = (data: string) =>
    withServer(data, async (url) => {
      const found: [string, number, string][] = []
      for (const path of paths) {
        const { status, body } = await ask(url, `/test/${path}`)
        found.push([path, status, body.toString('latin1')])
      }
      return found
    })
  const before = await answers(lost.data)
  t.same(
    before.filter(([, status]) => status !== 200),
    [],
  )

  const data = temporaryFolder(t)
  const progress: number[] = []
  const done = await restoreInto(data, lost.data, 'test', { onProgress: (at) => progress.push(at) })
  t.match(done, { size: 304, missing: 0 })
  t.same(progress, [304])
  t.same(readdirSync(logFiles(data, 'test').folder).sort(), ['blinding.key', 'log.db', 'log.vkey', 'published'])
  t.same(await answers(data), before, 'byte for byte')

  const { key, published } = logFiles(data, 'test')
  const note = readFileSync(published, 'utf8')
  const refuses = async (why: string): Promise<void> => {
    const server = await startServer(data)
    const { url } = server
    const wire = event(signer, `model/${why}`)
    for (const [path, body, type] of [
      ['v1/events', wire, 'application/json'],
      ['v1/events', event(signer, 'model/0'), 'application/json'],
      ['v1/events', '{', 'application/json'],
      ['v1/policy', wire, 'application/json'],
      ['v1/redactions', wire, 'application/json'],
    ] as const) {
      const answer = await post(url, `/test/${path}`, body, type)
      t.match([answer.status, json(answer).code], [503, 'FROZEN'], `${why}: ${path}`)
      t.match(json(answer).detail, /restored from a copy and never signs again.*--successor-of/)
    }
    const [line] = (await post(url, '/test/v1/events/batch', wire, 'application/x-ndjson')).body.toString().split('\n')
    t.match(JSON.parse(line!), { status: 503, problem: { code: 'FROZEN' } })
    const readiness = await ask(url, '/readyz')
    t.equal(readiness.status, 200, 'the server is of use all the same')
    t.match(json(readiness), { ready: true, logs: [{ ready: false, restored: true, code: 'FROZEN' }] })
    t.match(json(await ask(url, '/v1/logs'))[0], { restored: true, size: 304, published: 304 })
    t.match((await ask(url, '/metrics')).body.toString(), 'treeline_log_ready{log="test"} 1')
    t.match((await ask(url, '/')).body.toString(), /restored from a copy/)
    await server.close()
    t.equal(readFileSync(published, 'utf8'), note)
    t.same(
      server.notices.map((notice) => notice.replace(data, '')),
      why === 'as it is' ? [] : ['test: /logs/test/log.key is not used: a restored log never signs'],
    )
  }
  await refuses('as it is')
  copyFileSync(logFiles(lost.data, 'test').key, key)
  await refuses('with the key of the lost log put back')
  writeFileSync(key, 'no key')
  await refuses('with a key that is none')
  t.same(await answers(data), before, 'and nothing has changed')

  // Below the code that refuses: the file itself takes no commit.
  const store = SqliteStore.open(logFiles(data, 'test').database)
  const head = await store.head()
  t.ok(store.restored)
  const more = { from: 304, entries: [Uint8Array.of(1)], addenda: [], redactions: [], policies: [], tiles: [] }
  await t.rejects(store.commit({ ...more, head: { ...head, size: 305 } }), /or was restored/)
  await t.rejects(store.seal(), /not one that is being restored/)
  t.same(await store.head(), head)
  await store.close()

  // What stands beside the database is held against it at each start.
  const witnessed = note
  for (const [name, file, text, code] of [
    ['an older checkpoint', published, await noteOf(t, lost.data, 100), 'INVALID_LOG'],
    ['none of this log', published, note.replace(ORIGIN, 'log.example/other'), 'USAGE'],
    ['another key', logFiles(data, 'test').vkey, `${await makeRawLog(temporaryFolder(t), 'x', ORIGIN)}\n`, 'USAGE'],
    ['the key of another name', logFiles(data, 'test').vkey, `${await makeRawLog(temporaryFolder(t))}\n`, 'USAGE'],
  ] as const) {
    const kept = readFileSync(file)
    writeFileSync(file, text)
    await t.rejects(startServer(data), { code }, name)
    writeFileSync(file, kept)
  }
  t.equal(readFileSync(published, 'utf8'), witnessed)
})

async function withServer<T>(data: string, work: (url: string) => Promise<T>): Promise<T> {
  const server = await startServer(data)
  try {
    return await work(server.url)
  } finally {
    await server.close()
  }
}

/** A checkpoint that the lost log could have signed at a size. */
async function noteOf(t: Test, data: string, size: number): Promise<string> {
  const { tree } = Tree.empty.append((await copyOf(data, 'test')).slice(0, size).map(({ entry }) => leafHash(entry)))
  const signer = loadLogSigner(logFiles(data, 'test').key, ORIGIN)
  t.equal(tree.size, size)
  return signNote(formatCheckpoint({ origin: ORIGIN, size: BigInt(size), root: tree.root, extensions: [] }), [signer])
}

/** A log on paper: two events, a policy, one more event, and a redaction of the first. */
function paperLog(): { log: PaperLog; copy: CopiedEntry[]; redacted: Uint8Array } {
  const log = new PaperLog([administrator], [{ actor: signer }], {}, 'log.example/paper')
  const add = (subject: string) => log.addEvent(canonical('application/vnd.in-toto+json', statement(subject), [signer]))
  const first = add('model/taken-back')
  add('model/kept')
  log.setPolicy(log.next({ produces: ['urn:x:*'] }), [administrator])
  add('model/lost')
  const entries = [{ index: first, leafHash: toHex(leafHash(log.entries[first]!)) }]
  const request = { origin: log.origin, entries, reason: 'personal-data' }
  const document = formatEnvelope(canonical(REDACTION_REQUEST, request, [administrator]))
  const addendum = addendumHash(document)
  const policy = log.current.index
  log.add({ kind: REDACTION, time: log.time, addendum, policy, indexes: [first], reason: 'personal-data' }, document)
  const copy = log.entries.map((entry, i) => ({ entry, document: log.addenda[i]! }))
  return { log, copy, redacted: log.addenda[first]! }
}

const partsOf = (data: string, log: PaperLog, entries: readonly CopiedEntry[]): RestoreParts => ({
  data,
  name: 'paper',
  vkey: log.vkey,
  profile: 'events',
  checkpoint: log.note(),
  blinding: SECRET,
  entries: listed(entries),
})

t.test('what the copy does not have is missing, what was redacted is redacted, and is not in the file', async (t) => {
  const { log, copy, redacted } = paperLog()
  const data = temporaryFolder(t)
  const lost = copy.map(({ entry, document }, i) => (i === 4 ? { entry } : { entry, document: document! }))
  t.match(
    await createRestored(partsOf(data, log, lost)),
    { size: 6, missing: 1 },
    'with the redacted document in the copy',
  )
  const { folder, database } = logFiles(data, 'paper')
  for (const file of readdirSync(folder))
    t.notOk(readFileSync(join(folder, file)).includes(Buffer.from(redacted.subarray(0, 60))), file)
  t.ok(readFileSync(database).includes(Buffer.from(copy[2]!.document!.subarray(0, 60))), 'where another one is')

  const server = await startServer(data, { witnesses: log.trust('w') })
  t.teardown(() => server.close())
  const read = async (path: string) => ask(server.url, `/paper/${path}`)
  const address = (index: number): string => {
    const digest = toHex(addendumHash(copy[index]!.document!))
    return `addenda/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest}`
  }
  t.match(json(await read('v1/events/1')), { envelope: null, redacted: { index: 5 }, missing: undefined })
  t.match(json(await read('v1/events/4')), { envelope: null, redacted: null, missing: true })
  t.match(json(await read('v1/events/2')), { envelope: {}, redacted: null, missing: undefined })
  const gone = await read(address(1))
  t.match([gone.status, json(gone).code], [410, 'REDACTED'])
  const missing = await read(address(4))
  t.match([missing.status, json(missing).code], [404, 'NOT_FOUND'])
  t.match(json(missing).detail, /missing: nobody redacted it/)
  t.equal((await read(address(2))).status, 200)
  for (let index = 0; index < copy.length; index++) {
    const evidence = parseEvidence(new Uint8Array((await read(`v1/evidence/${index}`)).body))
    const verified = verifyEvidence(evidence, log.trust('w'), verifySignature)
    t.equal(verified.envelope === undefined, ![2].includes(index), `entry ${index}`)
    t.equal(verified.checkpoint.cosigners.length, 1)
  }
  t.equal(server.opened.logs.get('paper')!.log.published?.witnessed, true)
  // The copy had it or not: a redacted document is none that is missing.
  const none = copy.map(({ entry }, i) => ([1, 2, 4, 5].includes(i) ? { entry } : copy[i]!))
  t.match(await createRestored({ ...partsOf(data, log, none), name: 'bare' }), { missing: 2 })
})

t.test('a redaction erases what an earlier transaction has written', async (t) => {
  const { log, redacted } = paperLog()
  const add = (subject: string) => log.addEvent(canonical('application/vnd.in-toto+json', statement(subject), [signer]))
  for (let i = 0; i < 1_100; i++) add(`model/${i}`)
  const second = 2
  const entries = [{ index: second, leafHash: toHex(leafHash(log.entries[second]!)) }]
  const document = formatEnvelope(
    canonical(REDACTION_REQUEST, { origin: log.origin, entries, reason: 'late' }, [administrator]),
  )
  const { time, current } = log
  const addendum = addendumHash(document)
  log.add({ kind: REDACTION, time, addendum, policy: current.index, indexes: [second], reason: 'late' }, document)
  const copy = log.entries.map((entry, i) => ({ entry, document: log.addenda[i]! }))
  const data = temporaryFolder(t)
  t.match(await createRestored(partsOf(data, log, copy)), { missing: 0 })
  const { folder } = logFiles(data, 'paper')
  for (const gone of [redacted, log.addenda[second]!])
    for (const file of readdirSync(folder))
      t.notOk(readFileSync(join(folder, file)).includes(Buffer.from(gone.subarray(0, 60))), file)
  const store = SqliteStore.open(logFiles(data, 'paper').database, { readonly: true })
  t.same([await store.redactedBy(second), await store.addendum(second)], [log.entries.length - 1, undefined])
  await store.close()
})

t.test('a copy that is not what the checkpoint covers leaves nothing behind', async (t) => {
  const { log, copy } = paperLog()
  const other = paperLog().log
  const data = temporaryFolder(t)
  const flip = (index: number, change: (one: CopiedEntry) => CopiedEntry) =>
    copy.map((one, i) => (i === index ? change(one) : one))
  const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))
  const wrongRoot = signNoteOf(log.origin, 6, new Uint8Array(32).fill(9))
  async function* breaks(): AsyncGenerator<CopiedEntry> {
    yield copy[0]!
    throw new Error('the store went away')
  }
  for (const [name, change, error] of [
    ['one byte of an entry', { entries: flip(2, ({ entry }) => ({ entry: flipped(entry, 60) })) }, 'INVALID_LOG'],
    ['every entry an entry', { entries: flip(2, ({ entry }) => ({ entry: flipped(entry, 9) })) }, 'INVALID_LOG'],
    ['two that changed places', { entries: [copy[0], copy[2], copy[1], ...copy.slice(3)] }, 'INVALID_LOG'],
    ['an end that is cut off', { entries: copy.slice(0, 5) }, 'INVALID_LOG'],
    ['nothing', { entries: [] }, 'INVALID_LOG'],
    ['no genesis', { entries: copy.slice(1) }, 'INVALID_LOG'],
    ['another document', { entries: flip(2, ({ entry }) => ({ entry, document: copy[4]!.document! })) }, 'INVALID_LOG'],
    ['a policy without document', { entries: flip(3, ({ entry }) => ({ entry })) }, 'INVALID_LOG'],
    ['a larger checkpoint', { checkpoint: signNoteOf(log.origin, 7, new Uint8Array(32), log) }, 'INVALID_LOG'],
    ['another root', { checkpoint: signNoteOf(log.origin, 6, new Uint8Array(32), log) }, 'INVALID_LOG'],
    ['a checkpoint of another key', { checkpoint: wrongRoot }, 'USAGE'],
    ['a checkpoint of the same origin by another log', { checkpoint: other.note() }, 'USAGE'],
    ['no checkpoint', { checkpoint: 'x' }, 'USAGE'],
    ['the key of another log', { vkey: other.vkey }, 'USAGE'],
    ['the blinding key of another log', { blinding: new Uint8Array(32) }, 'USAGE'],
    ['a copy that breaks off', { entries: breaks() }, /the store went away/],
    ['a name that no log may have', { name: 'readyz' }, 'USAGE'],
  ] as const) {
    const entries = 'entries' in change && Array.isArray(change.entries) ? listed(change.entries) : undefined
    const parts = { ...partsOf(data, log, copy), ...change, ...(entries && { entries }) } as RestoreParts
    await t.rejects(createRestored(parts), typeof error === 'string' ? { code: error } : error, name)
    t.same(existsSync(join(data, 'logs')) ? readdirSync(join(data, 'logs')) : [], [], `${name}: nothing is left`)
  }

  // As a crash leaves it: no log to anyone, and no obstacle to the next attempt.
  const unfinished = logFiles(data, 'paper.restoring').folder
  const saved = join(data, 'saved')
  async function* watched(): AsyncGenerator<CopiedEntry> {
    for (const [i, one] of copy.entries()) {
      if (i === 3) {
        t.same(logNames(data), [], 'while it is being made')
        cpSync(unfinished, saved, { recursive: true })
      }
      yield one
    }
  }
  await createRestored({ ...partsOf(data, log, []), entries: watched() })
  cpSync(saved, logFiles(data, 'next.restoring').folder, { recursive: true })
  t.same(logNames(data), ['paper'])
  await t.rejects(createRestored(partsOf(data, log, copy)), { code: 'USAGE' }, 'a name that is taken')
  t.match(await createRestored({ ...partsOf(data, log, copy), name: 'next' }), { size: 6 })
  t.same(readdirSync(join(data, 'logs')).sort(), ['next', 'paper'])
  // Moved into its place by hand, an unfinished one is refused.
  cpSync(saved, logFiles(join(data, 'by-hand'), 'paper').folder, { recursive: true })
  copyFileSync(logFiles(data, 'paper').vkey, logFiles(join(data, 'by-hand'), 'paper').vkey)
  await t.rejects(startServer(join(data, 'by-hand')), { code: 'USAGE' })
  copyFileSync(logFiles(data, 'paper').published, logFiles(join(data, 'by-hand'), 'paper').published)
  await t.rejects(startServer(join(data, 'by-hand')), { code: 'INVALID_LOG' })
})

function signNoteOf(origin: string, size: number, root: Uint8Array, by?: PaperLog): string {
  const actor = by?.key ?? new Actor()
  const signer = ed25519NoteSigner(origin, actor.key.raw, (message) => actor.sign(message))
  return signNote(formatCheckpoint({ origin, size: BigInt(size), root, extensions: [] }), [signer])
}

t.test('a raw log of many entries, in many transactions', async (t) => {
  const origin = 'log.example/raw'
  const count = 20_000
  const actor = new Actor()
  const signer = ed25519NoteSigner(origin, actor.key.raw, (message) => actor.sign(message))
  const entry = (i: number) => toUtf8(`entry ${i} of a log without signatures`)
  const { tree } = Tree.empty.append(Array.from({ length: count }, (_, i) => leafHash(entry(i))))
  async function* entries(): AsyncGenerator<CopiedEntry> {
    for (let i = 0; ; i++) yield { entry: entry(i) }
  }
  const data = temporaryFolder(t)
  const checkpoint = formatCheckpoint({ origin, size: BigInt(count), root: tree.root, extensions: [] })
  const progress: number[] = []
  const done = await createRestored({
    data,
    name: 'raw',
    vkey: formatVkey(signer.key),
    profile: 'raw',
    checkpoint: signNote(checkpoint, [signer]),
    // More than the checkpoint covers is not read.
    entries: entries(),
    onProgress: (at) => progress.push(at),
  })
  t.ok(equal(done.root, tree.root))
  t.equal(progress.length, Math.ceil(count / 1_024))
  const store = SqliteStore.open(logFiles(data, 'raw').database, { readonly: true })
  t.match(await checkTree(store, () => {}), { size: count, tiles: 78 })
  const runs = store.db.prepare('SELECT count(*) FROM leaf_runs').pluck().get()
  t.equal(runs, 1, 'digests did not gather in memory')
  await store.close()
  await withServer(data, async (url) => {
    const refused = await exchange(url, '/raw/add', { method: 'POST', body: 'one more' })
    t.match([refused.status, json(refused).code], [503, 'FROZEN'])
    for (const index of [3, 19_999])
      t.match(json(await ask(url, `/raw/v1/proofs/inclusion?leaf=${toHex(leafHash(entry(index)))}`)), { index })
  })
})

t.test('a log of the version before opens as one that signs', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const { database } = logFiles(data, 'raw')
  const store = SqliteStore.open(database)
  store.db.exec(
    'ALTER TABLE log DROP COLUMN restored; ALTER TABLE log DROP COLUMN packed; DROP TABLE addendum_run_filters; PRAGMA user_version = 2',
  )
  await store.close()
  await withServer(data, async (url) => {
    t.equal((await exchange(url, '/raw/add', { method: 'POST', body: 'x' })).status, 200)
    t.match(json(await ask(url, '/v1/logs'))[0], { restored: undefined })
  })
})
