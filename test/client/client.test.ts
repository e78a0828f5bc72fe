import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bodyOf, prepareBatch } from '../../src/client/batch.ts'
import { type Outcome, TreelineClient } from '../../src/client/client.ts'
import { canonicalOf, createKeyFiles, SigningKey, signEnvelope } from '../../src/client/signing-key.ts'
import { statementOf } from '../../src/client/statement.ts'
import { trustedOrigin } from '../../src/client/trusted-log.ts'
import { verifyFile } from '../../src/client/verify.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { formatEnvelope } from '../../src/core/dsse.ts'
import { COSIGNATURE_ED25519, verifierKey } from '../../src/core/note.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import type { BatchReceipt } from '../../src/core/receipt.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, event, statement, TYPE } from '../support/actors.ts'
import { makeEventLog, startServer, temporaryFolder } from '../support/server.ts'
import { middle, problem } from './middle.ts'

const folder = temporaryFolder(t)
const signer = new Actor()
const p256 = new Actor('p256')
const { vkey } = await makeEventLog(folder, [new Actor()], [{ actor: signer }, { actor: p256, types: [TYPE] }])
const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
const key = new SigningKey(signer.privateKey)
const narrow = new SigningKey(p256.privateKey)
const signed = (subject: string, type = TYPE, by = key): Uint8Array =>
  signEnvelope(IN_TOTO, toUtf8(JSON.stringify(statement(subject, {}, type))), [by])
const forbidden = (subject: string): Uint8Array => signed(subject, 'urn:not-allowed', narrow)

let states = 0
const freshState = (): string => join(folder, `state-${states++}`)
const client = (url: string, overrides: object = {}): TreelineClient =>
  new TreelineClient({ url: `${url}/test`, trust, state: freshState(), patience: 0, ...overrides })

const NOWHERE = 'http://127.0.0.1:9'

/** Subjects of all events from an index on, in the order of the log. */
async function subjects(url: string, from = 1): Promise<string[]> {
  const { events } = (await (await fetch(`${url}/test/v1/events?from=${from}&limit=1000`)).json()) as {
    events: { envelope: { payload: string } }[]
  }
  return events.map(({ envelope }) => JSON.parse(Buffer.from(envelope.payload, 'base64').toString()).subject[0].name)
}

const numbered = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name} ${i}`)

function logged(outcome: Outcome): Extract<Outcome, { kind: 'logged' }> {
  if (outcome.kind !== 'logged') throw new Error(`${outcome.kind}: ${outcome.reason.message}`)
  return outcome
}

t.test('a submitted event has a receipt, and its evidence and proof verify offline', async (t) => {
  const server = await startServer(folder)
  const one = client(server.url, { patience: 5_000 })
  const model = join(folder, 'model.bin')
  writeFileSync(model, 'weights')
  const step = {
    type: 'urn:treeline:step:v1',
    origin: one.origin,
    produced: [{ path: model }],
    consumed: [],
    parameters: { seed: 1 },
  }
  const envelope = signEnvelope(IN_TOTO, await statementOf(step), [key])
  const { receipt, created, file } = logged(await one.submit(envelope))
  t.ok(created)
  t.notOk(logged(await one.submit(envelope)).created, 'the same event again is known')
  const last = logged(await one.submit(signed('p256', TYPE, narrow)))
  t.ok(last.created)

  const text = new Uint8Array(readFileSync(file))
  t.match(verifyFile({ file: text, trust, envelope }), { kind: 'receipt', index: BigInt(receipt.index) })
  const evidence = await one.evidence(receipt.index)
  const proof = await one.proof(receipt.index)
  // Both receipts are covered once the later one is.
  await one.evidence(last.receipt.index)
  const settled = await one.settle()
  t.same([settled.waiting, settled.foreign], [0, 0])
  t.notOk(existsSync(file), 'a receipt that is proved is kept no longer')
  await one.close()
  await server.close()

  t.match(verifyFile({ file: evidence, trust }), { kind: 'evidence', evidence: { index: receipt.index } })
  t.match(verifyFile({ file: proof, trust, entry: receipt.entry }), { kind: 'proof', index: BigInt(receipt.index) })
})

t.test('a log that is away stops nothing: events wait, in order, and go once', async (t) => {
  const state = freshState()
  const away = client(NOWHERE, { state })
  for (const name of numbered('away', 5)) t.match(await away.submit(signed(name)), { kind: 'spooled' })
  t.match(await away.drain(), { left: 5, reason: { code: 'UNREACHABLE' } })
  t.equal(statSync(away.spool.path(away.spool.list()[0]!)).mode & 0o077, 0, 'for the owner alone')
  await away.close()

  const server = await startServer(folder)
  const from = server.opened.logs.get('test')!.log.head.tree.size
  const back = client(server.url, { state })
  const { rejected } = logged(await back.submit(signed('after')))
  t.same(rejected, [])
  t.same(back.spool.list(), [])
  t.same(await subjects(server.url, from), [...numbered('away', 5), 'after'], 'what waits goes first')
  await back.close()
  await server.close()
})

t.test('an overloaded log is a log that is away', async (t) => {
  for (const [status, code] of [
    [503, 'QUEUE_FULL'],
    [503, 'FROZEN'],
    [429, 'RATE_LIMITED'],
    [500, 'BUG'],
    [502, 'nothing of ours'],
  ] as const) {
    const { url } = await middle(t, NOWHERE, async () => problem(status, code))
    const one = client(url)
    t.match(await one.submit(signed(code)), { kind: 'spooled' }, code)
    t.equal(one.spool.list().length, 1)
    await one.close()
  }
})

t.test('the order of adding is the order of sending, whatever the clock does and however fast they come', async (t) => {
  const one = client(NOWHERE)
  const { now } = Date
  try {
    let clock = now()
    Date.now = () => --clock
    await Promise.all(numbered('fast', 20).map((name) => one.spool.add(signed(name))))
  } finally {
    Date.now = now
  }
  const server = await startServer(folder)
  const from = server.opened.logs.get('test')!.log.head.tree.size
  const other = client(server.url, { state: join(one.spool.folder, '../..') })
  t.match(await other.drain(), { left: 0, logged: { length: 20 } })
  t.same(await subjects(server.url, from), numbered('fast', 20))
  await other.close()
  await one.close()
  await server.close()
})

t.test('a crash between receipt and removal sends nothing twice', async (t) => {
  const server = await startServer(folder)
  const one = client(server.url)
  const envelope = signed('crash')
  const { receipt } = logged(await one.submit(envelope))
  const before = server.opened.logs.get('test')!.log.head.tree.size
  await one.spool.add(envelope)
  const drained = await one.drain()
  t.match(drained, { left: 0, logged: [{ created: false, receipt: { index: receipt.index } }] })
  t.equal(server.opened.logs.get('test')!.log.head.tree.size, before)
  await one.close()
  await server.close()
})

t.test('a refusal is final: the event stands beside its problem, and others go on', async (t) => {
  const server = await startServer(folder)
  const one = client(server.url)
  await t.rejects(one.submit(forbidden('x')), { code: 'TYPE_NOT_ALLOWED' })
  t.same(one.spool.list(), [])
  await one.spool.add(forbidden('x'))
  await one.spool.add(signed('good'))
  const drained = await one.drain()
  t.match(drained, { logged: { length: 1 }, left: 0, rejected: [{ reason: { code: 'TYPE_NOT_ALLOWED' } }] })
  const { file } = drained.rejected[0]!
  t.match(JSON.parse(readFileSync(file, 'utf8')), { payloadType: IN_TOTO }, 'whole')
  t.match(JSON.parse(readFileSync(file.replace(/json$/, 'problem.json'), 'utf8')), { code: 'TYPE_NOT_ALLOWED' })
  t.equal(readdirSync(one.spool.rejected).length, 2)

  await one.spool.add(forbidden('old'))
  const outcome = logged(await one.submit(signed('new')))
  t.match(outcome.rejected, [{ reason: { code: 'TYPE_NOT_ALLOWED' } }], 'a refusal of an older event is told')
  await one.spool.add(signed('older'))
  await t.rejects(one.submit(forbidden('own')), { code: 'TYPE_NOT_ALLOWED' }, 'behind others as well')
  await one.close()
  await server.close()
})

t.test('what says nothing about the event leaves it in the spool, and is an error', async (t) => {
  for (const answer of [
    problem(401, 'UNAUTHENTICATED'),
    problem(404, 'UNKNOWN_LOG'),
    { status: 403, body: '<html>' },
    { status: 404, body: '' },
    { status: 201, body: '{"origin":"x"}' },
    { status: 201, body: '[]' },
  ]) {
    const { url } = await middle(t, NOWHERE, async () => answer)
    const one = client(url)
    await t.rejects(one.submit(signed('kept')), { name: 'TreelineError', message: /kept in / }, String(answer.body))
    await t.rejects(one.submit(signed('kept too')), { name: 'TreelineError', message: /kept in / }, 'behind it')
    t.equal(one.spool.list().length, 2)
    t.notOk(existsSync(one.spool.rejected))
    await one.close()
  }
})

t.test('one drainer at a time, and it sends what is added meanwhile', async (t) => {
  const server = await startServer(folder)
  const state = freshState()
  let late: Promise<unknown> | undefined
  const { url } = await middle(t, server.url, async ({ path }, forward) => {
    // While the first event is on its way another process has one more.
    if (path.endsWith('v1/events')) late ??= other.submit(signed('added meanwhile'))
    t.match(await late, { kind: 'spooled', reason: { code: 'LOCKED' } })
    return forward()
  })
  const one = client(url, { state })
  const other = client(server.url, { state })
  await one.spool.add(signed('first of two'))
  await one.spool.exclusively(async () => {
    await t.rejects(one.drain(), { code: 'LOCKED' })
  })
  t.match(await one.drain(), { logged: { length: 2 }, left: 0 })
  t.same((await subjects(server.url)).slice(-2), ['first of two', 'added meanwhile'])
  await one.close()
  await other.close()
  await server.close()
})

t.test('logs have spools of their own', async (t) => {
  const { vkey: otherKey } = await makeEventLog(folder, [new Actor()], [{ actor: new Actor() }], {
    name: 'other',
    origin: 'log.example/other',
  })
  const state = freshState()
  const away = client(NOWHERE, { state })
  await away.submit(signed('for test'))
  const server = await startServer(folder)
  const both = parseWitnessPolicy(
    toUtf8(`log ${vkey} ${server.url}/test\nlog ${otherKey} ${server.url}/other/\nquorum none\n`),
  )
  const other = new TreelineClient({ url: `${server.url}/other`, trust: both, state, patience: 0 })
  t.equal(other.origin, 'log.example/other')
  t.match(await other.drain(), { logged: [], rejected: [], left: 0 })
  t.equal(trustedOrigin(both, `${server.url}/test/`), away.origin)
  t.throws(() => trustedOrigin(both, NOWHERE), { code: 'USAGE' })
  t.throws(() => trustedOrigin(parseWitnessPolicy(toUtf8('quorum none\n')), NOWHERE), { code: 'USAGE' })
  // A log that is trusted, but for another URL.
  const swapped = parseWitnessPolicy(
    toUtf8(`log ${otherKey} ${server.url}/test\nlog ${vkey} ${server.url}/other\nquorum none\n`),
  )
  const confused = new TreelineClient({ url: `${server.url}/test`, trust: swapped, state: freshState(), patience: 0 })
  await t.rejects(confused.submit(signed('for test')), { code: 'INVALID_PROOF' })
  await t.rejects(confused.settle({ patience: 5_000 }), { code: 'UNVERIFIED_NOTE' })
  for (const one of [away, other, confused]) await one.close()
  await server.close()
})

t.test('a receipt that is not for the event is refused', async (t) => {
  const server = await startServer(folder)
  const truth = client(server.url, { patience: 5_000 })
  const told = JSON.parse(readFileSync(logged(await truth.submit(signed('told'))).file, 'utf8'))
  const known = signed('known')
  const own = JSON.parse(readFileSync(logged(await truth.submit(known)).file, 'utf8'))
  const flipped = (text: string): string => {
    const bytes = Buffer.from(text, 'base64')
    bytes[bytes.length >> 1]! ^= 1
    return bytes.toString('base64')
  }
  for (const [name, document] of Object.entries({
    'of another event': told,
    'with another salt': { ...own, salt: flipped(own.salt) },
    'with a short salt': { ...own, salt: 'AAAA' },
    'without a salt': { ...own, salt: undefined },
    'with another entry': { ...own, entry: flipped(own.entry) },
    'with no entry': { ...own, entry: '' },
    'with a broken path': { ...own, hashes: [flipped(own.hashes[0]), ...own.hashes.slice(1)] },
    'with a hash too many': { ...own, hashes: [...own.hashes, own.hashes[0]] },
    'with a short hash': { ...own, hashes: ['AAAA'] },
    'with another index': { ...own, index: own.index - 1 },
    'with no index': { ...own, index: '7' },
    'with another root': { ...own, checkpoint: own.checkpoint.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA') },
    'with another origin': { ...own, origin: 'log.example/other' },
    'with no signature': { ...own, checkpoint: own.checkpoint.split('\n\n')[0] },
    'with witnesses that it does not have': { ...own, witnessed: 'yes' },
  })) {
    const { url } = await middle(t, server.url, async () => ({ status: 201, body: JSON.stringify(document) }))
    const victim = client(url)
    await t.rejects(victim.submit(known), { code: /^(INVALID_PROOF|UNVERIFIED_NOTE)$/ }, name)
    t.equal(victim.spool.list().length, 1, `${name}: the event is kept`)
    await victim.close()
  }
  const stranger = parseWitnessPolicy(
    toUtf8(`log ${(await makeEventLog(temporaryFolder(t), [new Actor()], [])).vkey}\nquorum none\n`),
  )
  const other = client(server.url, { trust: stranger })
  await t.rejects(other.submit(known), { code: 'UNVERIFIED_NOTE' }, 'a log key that is not the pinned one')
  await other.close()
  await truth.close()
  await server.close()
})

t.test('receipts are settled only by what the trust policy accepts', async (t) => {
  const server = await startServer(folder)
  const state = freshState()
  const one = client(server.url, { state, patience: 5_000 })
  logged(await one.submit(signed('settled later')))
  const kept = () => readdirSync(join(one.spool.folder, '../receipts')).filter((name) => name.endsWith('.json')).length
  t.equal(kept(), 1)
  t.same(await one.settle({ limit: 0 }), { proved: 0, waiting: 1, foreign: 0 })
  const witness = formatVkey(verifierKey('witness.example', COSIGNATURE_ED25519, new Actor().key.raw))
  const demanding = parseWitnessPolicy(toUtf8(`log ${vkey}\nwitness W ${witness}\nquorum W\n`))
  const two = client(server.url, { state, trust: demanding })
  await t.rejects(two.settle({ patience: 5_000 }), { code: 'UNVERIFIED_NOTE' })
  await two.close()
  t.equal(kept(), 1)
  t.match(await one.settle({ patience: 5_000 }), { proved: 1, waiting: 0 })
  t.equal(kept(), 0)
  await one.close()
  await server.close()
})

t.test('what was seen once must stay true', async (t) => {
  const server = await startServer(folder)
  const state = freshState()
  const one = client(server.url, { state, patience: 5_000 })
  logged(await one.submit(signed('before')))
  await one.evidence(server.opened.logs.get('test')!.log.head.tree.size - 1)
  await one.settle()
  const old = Buffer.from(await one.transport.get('checkpoint'))
  const { receipt } = logged(await one.submit(signed('newer')))
  await one.evidence(receipt.index)
  t.match(await one.settle(), { proved: 1 })
  // An old answer, as of a cache, is no fault, and does not make the client forget.
  const { url } = await middle(t, server.url, async ({ path }, forward) =>
    path.endsWith('/checkpoint') ? { status: 200, body: old } : forward(),
  )
  const stale = client(url, { state })
  logged(await stale.submit(signed('stale')))
  t.match(await stale.settle(), { proved: 0, waiting: 1 })
  // Until then nobody has to prove anything.
  const { log } = server.opened.logs.get('test')!
  while ((log.published?.size ?? 0) < log.head.tree.size) await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(readFileSync(join(one.spool.folder, '../checkpoint')).length >= old.length, true)
  t.not(readFileSync(join(one.spool.folder, '../checkpoint'), 'utf8'), old.toString())
  // A log that proves nothing.
  for (const lie of [
    problem(404, 'UNKNOWN_SIZE'),
    { status: 200, body: '{"hashes":[]}' },
    { status: 200, body: '{"hashes":7}' },
  ]) {
    const mute = await middle(t, server.url, async ({ path }, forward) => (path.includes('/proofs/') ? lie : forward()))
    const victim = client(mute.url, { state })
    await t.rejects(victim.settle({ patience: 5_000 }), { code: 'INVALID_PROOF' })
    await victim.close()
  }
  t.same(
    readdirSync(join(one.spool.folder, '..')).filter((name) => name.startsWith('fault-')),
    [],
    'that is no evidence',
  )
  await one.close()
  await stale.close()
  await server.close()
})

t.test('a log that shows two histories is caught, with evidence', async (t) => {
  // A log that was run again from a copy: the same key, another history.
  for (const [more, name] of [
    [0, 'of one size'],
    [3, 'of two sizes'],
  ] as const) {
    const twin = temporaryFolder(t)
    cpSync(folder, twin, { recursive: true })
    const first = await startServer(folder)
    const state = freshState()
    const honest = client(first.url, { state })
    logged(await honest.submit(signed(`in one history ${name}`)))
    await honest.close()
    await first.close()
    const second = await startServer(twin)
    const other = client(second.url, { state, patience: 5_000 })
    let last = 0
    for (const subject of numbered(`in the other ${name}`, 1 + more))
      last = logged(await other.submit(signed(subject))).receipt.index
    await other.evidence(last)
    await t.rejects(other.settle(), { code: 'INVALID_LOG' }, name)
    const own = join(other.spool.folder, '..')
    const file = new Uint8Array(readFileSync(join(own, readdirSync(own).find((one) => one.startsWith('fault-'))!)))
    t.match(verifyFile({ file, trust }), { kind: 'fault', fault: { kind: 'fork', what: /log.example\/test/ } })
    await t.rejects(other.settle(), { code: 'INVALID_LOG' }, 'it is not forgotten')
    await other.close()
    await second.close()
  }
})

t.test('receipts of a key that is not trusted any more accuse nobody', async (t) => {
  const fresh = temporaryFolder(t)
  const actor = new Actor()
  const remade = await makeEventLog(fresh, [new Actor()], [{ actor }])
  const state = freshState()
  const server = await startServer(folder)
  const old = client(server.url, { state, patience: 5_000 })
  logged(await old.submit(signed('of the old log')))
  await old.settle({ limit: 0 })
  await old.close()
  await server.close()
  const again = await startServer(fresh)
  const repinned = parseWitnessPolicy(toUtf8(`log ${remade.vkey}\nquorum none\n`))
  const one = client(again.url, { state, trust: repinned, patience: 5_000 })
  const { receipt } = logged(await one.submit(canonicalOf(toUtf8(event(actor, 'of the new log')), [actor.key])))
  await one.evidence(receipt.index)
  t.same(await one.settle(), { proved: 1, waiting: 0, foreign: 1 })
  t.same(await one.settle(), { proved: 0, waiting: 0, foreign: 0 })
  await one.close()
  await again.close()
})

t.test('key files', (t) => {
  const name = join(folder, 'fresh')
  for (const algorithm of ['ed25519', 'p256'] as const) {
    const made = createKeyFiles(`${name}-${algorithm}`, algorithm)
    t.equal(SigningKey.load(`${name}-${algorithm}.key`).publicKey.id, made.id)
    t.equal(statSync(`${name}-${algorithm}.key`).mode & 0o777, 0o600)
  }
  t.throws(() => createKeyFiles(`${name}-p256`, 'ed25519'), { code: 'USAGE' }, 'nothing is overwritten')
  t.throws(() => SigningKey.load(`${name}-p256.pub`), { code: 'USAGE' }, 'a file that others may read')
  t.throws(() => SigningKey.load(folder), { code: 'USAGE' }, 'a folder')
  t.throws(() => SigningKey.load(`${name}.none`), { code: 'USAGE' })
  writeFileSync(`${name}.other.pub`, '')
  t.throws(() => createKeyFiles(`${name}.other`, 'p256'), { code: 'USAGE' })
  t.notOk(existsSync(`${name}.other.key`), 'both files or none')
  writeFileSync(`${name}.junk`, 'junk', { mode: 0o600 })
  t.throws(() => SigningKey.load(`${name}.junk`), { code: 'USAGE' })
  const twice = JSON.parse(Buffer.from(signEnvelope(IN_TOTO, toUtf8('{}'), [key, key])).toString())
  t.equal(twice.signatures.length, 1, 'one key signs once')
  t.end()
})

t.test('statements', async (t) => {
  const step = { type: TYPE, origin: 'o', consumed: [], parameters: {} }
  const file = join(folder, 'same')
  writeFileSync(file, 'x')
  await t.rejects(statementOf({ ...step, produced: [{ path: file }, { path: file }] }), { code: 'USAGE' })
  await t.rejects(statementOf({ ...step, produced: [{ path: folder }] }), { code: 'USAGE' })
  const times = { startedOn: '2026-01-01T00:00:00Z', finishedOn: '2026-01-01T00:00:01Z' }
  const text = await statementOf({
    ...step,
    ...times,
    produced: [{ path: file, name: 'n' }],
    consumed: [{ path: file }],
  })
  const digest = { sha256: '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881' }
  t.same(JSON.parse(Buffer.from(text).toString()), {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'n', digest }],
    predicateType: TYPE,
    predicate: { origin: 'o', consumed: [{ name: 'same', digest }], parameters: {}, ...times },
  })
})

t.test('a batch is made from a file, sent once, spooled whole, and drained in its order', async (t) => {
  const folder = temporaryFolder(t)
  const { vkey } = await makeEventLog(folder, [new Actor()], [{ actor: signer }, { actor: p256, types: [TYPE] }])
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  const lines = (count: number, name: string) =>
    Array.from({ length: count }, (_, i) => JSON.stringify(statement(`${name} ${i}`, { pad: 'x'.repeat(i) })))
  const file = join(folder, 'batch.ndjson')
  // Lines are sent as they are, white space too; the last one has no newline.
  writeFileSync(file, [...lines(700, 'item'), ` ${JSON.stringify(statement('spaced'))} `].join('\n'))
  const prepare = (path = file, keys = [key]) => prepareBatch({ file: path, origin: 'log.example/test', keys })
  const batch = await prepare()
  t.equal(batch.header.size, 701)
  t.same((await prepare()).envelope, batch.envelope, 'the same file by the same key is the same batch')
  t.notSame((await prepare(file, [new SigningKey(new Actor().privateKey)])).header.root, batch.header.root)

  const state = freshState()
  const away = client(NOWHERE, { state, trust })
  await away.submit(signed('before the batch'))
  t.match(await away.submitBatch(batch), { kind: 'spooled' })
  await away.submit(signed('after the batch'))
  t.equal(away.spool.list().filter((name) => name.endsWith('.batch')).length, 1)
  await away.close()

  const server = await startServer(folder)
  const { log } = server.opened.logs.get('test')!
  const start = log.head.tree.size
  const one = client(server.url, { state, trust, patience: 5_000 })
  const drained = await one.drain()
  t.match(drained, { left: 0, rejected: [] })
  const [, { receipt, file: kept }] = drained.logged as unknown as [unknown, { receipt: BatchReceipt; file: string }]
  t.match(receipt, { index: start + 1, first: start + 2, size: 701 })
  t.equal(drained.logged[2]!.receipt.index, start + 703, 'in order')
  const again = logged(await one.submitBatch(await prepare()))
  t.notOk(again.created)
  t.equal(again.receipt.index, start + 1)
  const envelope = formatEnvelope(batch.envelope)
  t.match(verifyFile({ file: new Uint8Array(readFileSync(kept)), trust, envelope }), { kind: 'receipt' })
  t.throws(() => verifyFile({ file: new Uint8Array(readFileSync(kept)), trust, envelope: signed('x') }), {
    code: 'MALFORMED_PAYLOAD',
  })
  for (const index of [receipt.first, receipt.first + 700]) {
    const found = verifyFile({ file: await one.evidence(index), trust })
    t.match(found, { kind: 'evidence', evidence: { batch: { index: receipt.index, size: 701 } } })
  }
  t.match((await one.settle()).waiting, 0)

  const bad = join(folder, 'bad.ndjson')
  const cloud = JSON.stringify({ specversion: '1.0', id: '1', source: 's', type: 'urn:x' })
  const rows: [string, RegExp][] = [
    ['', /no lines/],
    ['{}', /line 1: neither/],
    [`${lines(1, 'a')}\n\n${lines(1, 'b')}`, /line 2: /],
    [`${lines(1, 'a')}\n${cloud}`, /line 2: not an in-toto Statement/],
    [`${cloud}\n${lines(1, 'a')}`, /line 2: not a CloudEvent/],
    [`${`${cloud}\n`.repeat(10_001)}`, /more than one batch/],
  ]
  for (const [text, message] of rows) {
    writeFileSync(bad, text)
    await t.rejects(prepare(bad), { code: 'USAGE', message })
  }
  await t.rejects(prepare(join(folder, 'nothing')), { code: 'USAGE' })
  writeFileSync(bad, lines(3, 'changed').join('\n'))
  const changed = await prepare(bad)
  writeFileSync(bad, lines(4, 'changed').join('\n'))
  await t.rejects(bodyOf(changed), /has changed/)

  t.ok(logged(await one.submitBatch(await prepare(file, [narrow, key]))).created, 'by two keys it is another batch')
  await one.close()
  await server.close()
})
