/** A log that takes the place of a lost one: it knows what that one had, and there is never a second present. */

import { createPrivateKey, createPublicKey } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { TreelineClient } from '../../src/client/client.ts'
import { findingsOf, sayFindings } from '../../src/client/findings.ts'
import { parseReceipt } from '../../src/client/receipts.ts'
import { SigningKey, signEnvelope } from '../../src/client/signing-key.ts'
import { BATCH_BODY } from '../../src/core/batch.ts'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint } from '../../src/core/checkpoint.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { parsePublicKey } from '../../src/core/keys.ts'
import { signNote } from '../../src/core/note.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { predecessorOf } from '../../src/core/predecessor.ts'
import { parseProof } from '../../src/core/proof-file.ts'
import { verifyReceipt } from '../../src/core/receipt.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { logFiles } from '../../src/store/folder.ts'
import { loadLogSigner } from '../../src/store/log-key.ts'
import { middle } from '../client/middle.ts'
import { Actor, envelope, event, redactionRequest, signedPolicy, statement } from '../support/actors.ts'
import { signedBatch, statements } from '../support/batch.ts'
import { restoreInto } from '../support/copies.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, startServer, temporaryFolder } from '../support/server.ts'

const administrator = new Actor()
const signer = new Actor()
const rules = [{ actor: signer }]
const [FIRST, SECOND, THIRD] = ['log.example/first', 'log.example/second', 'log.example/third'] as const

/** As our client writes it: for one log. */
const made = (origin: string, subject: string): string => event(signer, subject, { origin })
const wires = { kept: made(FIRST, 'model/kept'), taken: made(FIRST, 'model/taken-back') }

const noteOf = (data: string, name: string): string => readFileSync(logFiles(data, name).published, 'utf8')
const namedBy = (note: string): object => {
  const { origin, size, root } = predecessorOf(toUtf8(note))
  return { successorOf: { origin, size, root: toBase64(root) } }
}

/** The first log with two events, one of them redacted; it is lost, and restored into a new data folder. */
async function restoredFirst(t: Test): Promise<{ data: string; lost: string; vkey: string }> {
  const lost = temporaryFolder(t)
  const { vkey } = await makeEventLog(lost, [administrator], rules, { name: 'first', origin: FIRST })
  const server = await startServer(lost)
  for (const wire of Object.values(wires)) t.equal((await post(server.url, '/first/v1/events', wire)).status, 201)
  const { leafHash } = json(await ask(server.url, '/first/v1/events/2'))
  const request = redactionRequest(FIRST, [{ index: 2, leafHash }], [administrator])
  t.equal((await post(server.url, '/first/v1/redactions', request)).status, 201)
  await server.close()
  const data = temporaryFolder(t)
  await restoreInto(data, lost, 'first')
  return { data, lost, vkey }
}

const succeed = (
  data: string,
  name: string,
  origin: string,
  note: string,
  change: object = {},
  from = [administrator],
) => makeEventLog(data, from, rules, { name, origin, change: { ...namedBy(note), ...change }, succeeded: note })

t.test('an event of any log before is known, to the byte, and nothing else is', async (t) => {
  const first = await restoredFirst(t)
  const { data } = first
  const { vkey } = await succeed(data, 'second', SECOND, noteOf(data, 'first'))
  const trust = parseWitnessPolicy(toUtf8(`log ${first.vkey}\nlog ${vkey}\nquorum none\n`))
  const submit = async (url: string, name: string, wire: string) => post(url, `/${name}/v1/events`, wire)
  const isFirst = async (url: string, name: string): Promise<void> => {
    const known = await submit(url, name, wires.kept)
    t.equal(known.status, 200)
    const receipt = parseReceipt(json(known))
    t.match(receipt, { origin: FIRST, index: 1, checkpoint: noteOf(data, 'first') })
    t.equal(verifyReceipt(receipt, parseEnvelope(toUtf8(wires.kept)), trust).checkpoint.checkpoint.origin, FIRST)
    const gone = await submit(url, name, wires.taken)
    t.match([gone.status, json(gone).code, json(gone).index], [410, 'REDACTED', 2])
    t.match(json(gone).detail, FIRST)
  }
  let server = await startServer(data)
  t.same(server.notices, [])
  await isFirst(server.url, 'second')
  const size = async (name: string) =>
    json(await ask(server.url, '/v1/logs')).find((log: { name: string }) => log.name === name).size
  t.equal(await size('second'), 1, 'nothing was logged again')
  const waited = await post(server.url, '/second/v1/events?wait=witnessed', wires.kept)
  t.match([waited.status, json(waited).origin], [200, FIRST])
  const text = await ask(server.url, '/second/v1/events', {
    method: 'POST',
    headers: { accept: 'text/plain', 'content-type': 'application/json' },
    body: wires.kept,
  })
  t.match(parseProof(new Uint8Array(text.body)), { index: 1n })
  const batch = [wires.kept, wires.taken, made(SECOND, 'model/new'), made(FIRST, 'model/never-logged')].join('\n')
  const lines = (await post(server.url, '/second/v1/events/batch', batch, 'application/x-ndjson')).body.toString()
  t.match(
    lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { status: 200, receipt: { origin: FIRST, index: 1 } },
      { status: 410, problem: { code: 'REDACTED' } },
      { status: 201, receipt: { origin: SECOND, index: 1 } },
      { status: 403, problem: { code: 'WRONG_ORIGIN' } },
    ],
  )
  t.match(json(await ask(server.url, '/v1/logs')), [
    { name: 'first', restored: true, successorOf: undefined },
    { name: 'second', restored: undefined, successorOf: { origin: FIRST, size: 4 } },
  ])
  t.match((await ask(server.url, '/')).body.toString(), new RegExp(`Succeeds.*${FIRST} at size 4`))
  t.equal((await ask(server.url, '/readyz')).status, 200)

  // Evidence says where the log comes from, and that of the first log is as it was.
  while (server.opened.logs.get('second')!.log.published?.size !== 2) await new Promise((r) => setTimeout(r, 10))
  const evidence = async (name: string, index: number) => {
    const file = new Uint8Array((await ask(server.url, `/${name}/v1/evidence/${index}`)).body)
    return findingsOf(verifyEvidence(parseEvidence(file), trust, verifySignature), trust)
  }
  const found = await evidence('second', 1)
  t.match(found.successorOf, { origin: FIRST, size: 4 })
  t.ok(sayFindings(found).includes(`the log succeeds ${FIRST} at size 4`))
  t.match(await evidence('first', 1), { origin: FIRST, successorOf: null, size: 4 })
  await server.close()
  server = await startServer(data)
  await isFirst(server.url, 'second')
  await server.close()

  // Another link: the second log is lost in its turn.
  const third = temporaryFolder(t)
  await restoreInto(third, data, 'first')
  await restoreInto(third, data, 'second')
  await succeed(third, 'third', THIRD, noteOf(third, 'second'))
  server = await startServer(third)
  await isFirst(server.url, 'third')
  t.match(json(await submit(server.url, 'third', made(SECOND, 'model/new'))), { origin: SECOND, index: 1 })
  t.match([await size('third'), (await submit(server.url, 'third', made(THIRD, 'model/x'))).status], [1, 201])
  await server.close()

  // Without the secret of the first log its events have no digest here that could be found.
  rmSync(logFiles(third, 'first').blinding)
  server = await startServer(third)
  t.match(server.notices, [/^first: .*blinding.key is missing: the log that succeeds this one does not know/])
  t.match((await submit(server.url, 'third', wires.kept)).status, 403, 'judged like any other: it is for another log')
  t.equal((await submit(server.url, 'third', made(SECOND, 'model/new'))).status, 200, 'the other link holds')
  t.equal((await ask(server.url, '/first/v1/evidence/1')).status, 200)
  await server.close()
  renameSync(logFiles(third, 'first').folder, join(third, 'elsewhere'))
  server = await startServer(third)
  t.match(server.notices, [`second: ${FIRST}, which it succeeds, is not here: the events that it has are not known`])
  await server.close()
})

t.test('a batch that the log before has is known by its header, one that it has not is for another log', async (t) => {
  const old = temporaryFolder(t)
  await makeEventLog(old, [administrator], rules, { name: 'first', origin: FIRST })
  const { body } = signedBatch(FIRST, statements(4), [signer])
  let server = await startServer(old)
  const first = json(await post(server.url, '/first/v1/events/batch', body, BATCH_BODY))
  while (server.opened.logs.get('first')!.log.published?.size !== 6) await new Promise((r) => setTimeout(r, 10))
  await server.close()
  const data = temporaryFolder(t)
  await restoreInto(data, old, 'first')
  await succeed(data, 'second', SECOND, noteOf(data, 'first'))
  server = await startServer(data)
  t.teardown(() => server.close())
  const send = (bytes: Uint8Array) => post(server.url, '/second/v1/events/batch', bytes, BATCH_BODY)
  const known = await send(body)
  t.equal(known.status, 200)
  t.match(json(known), { origin: FIRST, index: first.index, first: first.first, size: 4, entry: first.entry })
  t.match(json(await send(signedBatch(FIRST, statements(2), [signer]).body)), { code: 'WRONG_ORIGIN' })
  t.match(json(await send(signedBatch(SECOND, statements(2), [signer]).body)), { origin: SECOND, index: 1 })
})

t.test('of several signatures each log counts those of its own signers', async (t) => {
  const [both, old, late] = [new Actor(), new Actor(), new Actor()]
  const wire = (subject: string, actors: readonly Actor[]) => envelope(IN_TOTO, statement(subject), actors)
  const lost = temporaryFolder(t)
  const make = (data: string, name: string, origin: string, actors: readonly Actor[], note?: string) =>
    makeEventLog(
      data,
      [administrator],
      actors.map((actor) => ({ actor })),
      { name, origin, ...(note && { change: namedBy(note), succeeded: note }) },
    )
  await make(lost, 'first', FIRST, [both, old])
  const wires = [wire('by two', [both, old]), wire('by a later one too', [both, late]), wire('by one', [both])]
  let server = await startServer(lost)
  for (const one of wires) t.equal((await post(server.url, '/first/v1/events', one)).status, 201)
  await server.close()
  const data = temporaryFolder(t)
  await restoreInto(data, lost, 'first')
  await make(data, 'second', SECOND, [both, late], noteOf(data, 'first'))
  server = await startServer(data)
  for (const [i, one] of wires.entries()) {
    const answer = await post(server.url, '/second/v1/events', one)
    t.match([answer.status, json(answer).origin, json(answer).index], [200, FIRST, i + 1])
  }
  t.equal((await post(server.url, '/second/v1/events', wire('of now', [late, old]))).status, 201)
  await server.close()
})

t.test('a client takes the receipt of a log that it has pinned, and of no other', async (t) => {
  const first = await restoredFirst(t)
  const { data } = first
  const { vkey } = await succeed(data, 'second', SECOND, noteOf(data, 'first'))
  const server = await startServer(data)
  t.teardown(() => server.close())
  const at = (name: string) => `${server.url}/${name}`
  const both = `log ${first.vkey} ${at('first')}\nlog ${vkey} ${at('second')}\nquorum none\n`
  const one = `log ${vkey} ${at('second')}\nquorum none\n`
  let states = 0
  const client = (trust: string, url = at('second')): TreelineClient => {
    const state = join(data, `state-${states++}`)
    const made = new TreelineClient({ url, trust: parseWitnessPolicy(toUtf8(trust)), state, patience: 0 })
    t.teardown(() => made.close())
    return made
  }
  const key = new SigningKey(signer.privateKey)
  const old = signEnvelope(IN_TOTO, parseEnvelope(toUtf8(wires.kept)).payload, [key])
  const fresh = signEnvelope(IN_TOTO, toUtf8(JSON.stringify(statement('model/fresh', { origin: SECOND }))), [key])

  const trusting = client(both)
  const known = await trusting.submit(old)
  t.match(known, { kind: 'logged', created: false, receipt: { origin: FIRST, index: 1 } })
  t.match(await trusting.submit(fresh), { kind: 'logged', created: true, receipt: { origin: SECOND } })
  for (let i = 0; i < 50 && (await trusting.settle()).proved === 0; i++) await new Promise((r) => setTimeout(r, 20))
  t.same(await trusting.settle(), { proved: 0, waiting: 0, foreign: 0 }, 'the receipt of the first is not among those')
  const firstClient = new TreelineClient({
    url: at('first'),
    trust: parseWitnessPolicy(toUtf8(both)),
    state: join(data, 'state-0'),
    patience: 0,
  })
  t.match(await firstClient.settle(), { proved: 1 }, 'its own log proves it')
  t.match(await firstClient.submit(fresh), { kind: 'spooled', reason: { code: 'FROZEN' } }, 'and takes nothing')
  await firstClient.close()

  const narrow = client(one)
  await t.rejects(narrow.submit(old), {
    code: 'UNVERIFIED_NOTE',
    message: /answers that the event is in log.example\/first.*pin it too.*The event is kept in/s,
  })
  t.match(await narrow.drain(), { left: 1, reason: { code: 'UNVERIFIED_NOTE' } })
  t.equal(readdirSync(narrow.spool.folder).filter((name) => name.endsWith('.json')).length, 1)

  // Nobody logs an event anew in another log than was asked.
  const liar = await middle(t, server.url, async (_, forward) => ({ ...(await forward()), status: 201 }))
  await t.rejects(client(both.replaceAll(server.url, liar.url), `${liar.url}/second`).submit(old), {
    code: 'INVALID_PROOF',
    message: /the receipt is of log.example\/first, not log.example\/second/,
  })
})

t.test('only a log that never signs again is succeeded, and only as it was witnessed', async (t) => {
  const { data, lost } = await restoredFirst(t)
  const note = noteOf(data, 'first')
  const attempt = (change: object, more: { succeeded?: string; administrators?: Actor[]; into?: string } = {}) => {
    const { succeeded = note, administrators = [administrator], into = data } = more
    return makeEventLog(into, administrators, rules, { name: 'next', origin: SECOND, change, succeeded })
  }
  const { successorOf } = namedBy(note) as { successorOf: object }
  const named = { successorOf }
  const usage = (message: RegExp) => ({ code: 'USAGE', message })
  await t.rejects(attempt(named, { into: lost }), usage(/first is log.example\/first itself and would go on signing/))
  await t.rejects(attempt({}), usage(/the policy says that the log succeeds nothing/))
  await t.rejects(attempt({ successorOf: { ...successorOf, size: 3 } }), usage(/or another root/))
  await t.rejects(
    attempt({ successorOf: { ...successorOf, root: toBase64(new Uint8Array(32)) } }),
    usage(/or another root/),
  )
  await t.rejects(attempt({ successorOf: { ...successorOf, origin: THIRD } }), usage(/or another root/))
  await t.rejects(
    makeEventLog(data, [administrator], rules, { name: 'next', origin: SECOND, change: named }),
    usage(/give --successor-of/),
  )
  await t.rejects(
    makeEventLog(data, [administrator], [{ actor: signer }], { name: 'next', origin: SECOND }),
    { code: 'POLICY_CONFLICT' },
    'without a chain the signer is in two logs',
  )
  await t.rejects(
    makeEventLog(data, [administrator], rules, { name: 'again', origin: FIRST }),
    usage(/the log first of .* has the origin log.example\/first already/),
  )
  // A checkpoint of the same size that the lost log never signed, and one of a history that is not this one.
  const forged = note.replace(/\n4\n/, '\n3\n')
  await t.rejects(attempt(namedBy(forged), { succeeded: forged }), usage(/not one that first has signed/))
  const other = await restoredFirst(t)
  const elsewhere = noteOf(other.data, 'first')
  await t.rejects(attempt(namedBy(elsewhere), { succeeded: elsewhere }), usage(/not one that first has signed/))

  // Signed by the lost log itself, after the copy was made or in another history.
  const lostSigner = loadLogSigner(logFiles(lost, 'first').key, FIRST)
  const root = new Uint8Array(32).fill(1)
  for (const size of [4n, 5n]) {
    const later = signNote(formatCheckpoint({ origin: FIRST, size, root, extensions: [] }), [lostSigner])
    await t.rejects(attempt(namedBy(later), { succeeded: later }), usage(/is not one of first, which has size 4/))
  }

  // Keys have one role, and the new log a key of its own.
  const logKey = createPrivateKey(readFileSync(logFiles(lost, 'first').key))
  const asPerson = new Actor()
  Object.assign(asPerson, {
    privateKey: logKey,
    key: parsePublicKey(new Uint8Array(createPublicKey(logKey).export({ format: 'der', type: 'spki' }))),
  })
  await t.rejects(
    attempt(named, { administrators: [asPerson] }),
    usage(/was a key of the log log.example\/first itself/),
  )
  const reused = temporaryFolder(t)
  cpSync(logFiles(lost, 'first').key, join(logFiles(reused, 'next').folder, 'log.key'), { recursive: true })
  await t.rejects(attempt(named, { into: reused }), usage(/the key of the new log is that of the one before/))

  // What was refused left no log; what is right is taken, and a server holds no second present beside it.
  t.same(
    readdirSync(join(data, 'logs')).filter((name) => name !== 'next'),
    ['first'],
  )
  await attempt(named)
  const server = await startServer(data)
  await server.close()
  renameSync(logFiles(data, 'first').folder, join(data, 'kept'))
  cpSync(logFiles(lost, 'first').folder, logFiles(data, 'first').folder, { recursive: true })
  await t.rejects(startServer(data), usage(/next succeeds log.example\/first, but the log first is .* and signs/))
  rmSync(logFiles(data, 'first').folder, { recursive: true })
  await restoreInto(data, other.data, 'first', {})
  await t.rejects(startServer(data), usage(/has not that tree: it was restored from another copy/))
})

t.test('one administrator suspends a signer of a successor at once', async (t) => {
  const { data } = await restoredFirst(t)
  const second = new Actor()
  const admins = [administrator, second]
  const { document } = await succeed(data, 'second', SECOND, noteOf(data, 'first'), {}, admins)
  const server = await startServer(data)
  t.teardown(() => server.close())
  const { index, sha256, policy } = json(await ask(server.url, '/second/v1/policy'))
  t.match(policy.successorOf, { origin: FIRST, size: 4 })
  const { successorOf: _, ...rest } = document
  const next = { ...rest, sequence: 1, previous: { index, sha256 } }
  const signers = (document.signers as object[]).map((one) => ({
    ...one,
    suspended: { since: 5, compromisedSince: null },
  }))
  const send = (policy: object) => post(server.url, '/second/v1/policy', signedPolicy(policy, [second]))
  t.equal(json(await send({ ...next, private: ['urn:x'] })).code, 'BAD_SIGNATURE')
  t.equal(json(await send({ ...next, signers, successorOf: document.successorOf })).code, 'MALFORMED_PAYLOAD')
  t.equal((await send({ ...next, signers })).status, 201)
  const logs = json(await ask(server.url, '/v1/logs'))
  t.match(logs[1].successorOf, { origin: FIRST }, 'the genesis is what counts')
})
