import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { TreelineClient } from '../../src/client/client.ts'
import { createKeyFiles, SigningKey, signEnvelope } from '../../src/client/signing-key.ts'
import { statementOf } from '../../src/client/statement.ts'
import { requireArtifact, sayEvidence, verifyFile } from '../../src/client/verify.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, statement, TYPE } from '../support/actors.ts'
import { ask } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const folder = temporaryFolder(t)
const signer = new Actor()
const p256 = new Actor('p256')
const { vkey } = await makeEventLog(folder, [new Actor()], [{ actor: signer }, { actor: p256, types: [TYPE] }])
const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
const key = new SigningKey(signer.privateKey)
const signed = (subject: string, type = TYPE, by = key): Uint8Array =>
  signEnvelope(IN_TOTO, toUtf8(JSON.stringify(statement(subject, {}, type))), [by])

let states = 0
const client = (url: string, overrides: object = {}): TreelineClient =>
  new TreelineClient({ url: `${url}/test`, trust, state: join(folder, `state-${states++}`), patience: 0, ...overrides })

const NOWHERE = 'http://127.0.0.1:9'

t.test('a submitted event has a receipt, and its evidence verifies offline', async (t) => {
  const server = await startServer(folder)
  const one = client(server.url, { patience: 5_000 })
  const file = join(folder, 'model.bin')
  writeFileSync(file, 'weights')
  const step = {
    type: 'urn:treeline:step:v1',
    origin: ORIGIN,
    produced: [{ path: file }],
    consumed: [],
    parameters: { seed: 1 },
  }
  for (const by of [key, new SigningKey(p256.privateKey)]) {
    const payload = by === key ? await statementOf(step) : toUtf8(JSON.stringify(statement('p256')))
    const outcome = await one.submit(signEnvelope(IN_TOTO, payload, [by]))
    t.match(outcome, { kind: 'logged', created: true })
  }
  const evidence = await one.evidence(1)
  const settled = await one.settle()
  t.same(settled.waiting, 0)
  await one.close()
  await server.close()

  const verified = verifyFile({ file: evidence, trust })
  if (verified.kind !== 'evidence') throw new Error(verified.kind)
  t.match(sayEvidence(verified.evidence).join('\n'), /signed by signer-/)
  const digest = 'b8a4d9b8c0a1b0d4c2e6e0a3e1d3c2b1a0f9e8d7c6b5a4938271605f4e3d2c1b'
  t.throws(() => requireArtifact(verified.evidence, digest), { code: 'INVALID_PROOF' })
  const wrong: number[] = []
  for (let at = 0; at < evidence.length; at += 41) {
    const bad = evidence.slice()
    bad[at]! ^= 1
    try {
      verifyFile({ file: bad, trust })
      wrong.push(at)
    } catch {}
  }
  t.same(wrong, [], 'no flipped bit verifies')
  const stranger = parseWitnessPolicy(toUtf8('quorum none\n'))
  t.throws(
    () => verifyFile({ file: evidence, trust: stranger }),
    { code: 'UNVERIFIED_NOTE' },
    'a policy that does not list the log',
  )
})

t.test('a log that is away stops nothing: the event waits, in order, and is sent once', async (t) => {
  const state = join(folder, 'spooled')
  const away = client(NOWHERE, { state })
  for (let i = 0; i < 5; i++) t.match(await away.submit(signed(`away ${i}`)), { kind: 'spooled' })
  t.equal(away.spool.list().length, 5)
  const still = await away.drain()
  t.match(still, { left: 5, reason: { code: 'UNREACHABLE' } })
  await away.close()

  const server = await startServer(folder)
  const back = client(server.url, { state })
  t.match(await back.submit(signed('after')), { kind: 'logged' }, 'what waits goes first')
  t.equal(back.spool.list().length, 0)
  const list = JSON.parse((await ask(server.url, '/test/v1/events?from=3')).body.toString()) as {
    events: { envelope: { payload: string } }[]
  }
  const names = list.events.map(
    ({ envelope }) => JSON.parse(Buffer.from(envelope.payload, 'base64').toString()).subject[0].name,
  )
  t.same(names, ['away 0', 'away 1', 'away 2', 'away 3', 'away 4', 'after'])
  await back.close()
  await server.close()
})

t.test('a crash between receipt and removal sends nothing twice', async (t) => {
  const server = await startServer(folder)
  const one = client(server.url)
  const event = signed('crash')
  await one.submit(event)
  const before = server.opened.logs.get('test')!.log.head.tree.size
  await one.spool.add(event)
  t.match(await one.drain(), { left: 0, logged: { length: 1 } })
  t.equal(server.opened.logs.get('test')!.log.head.tree.size, before)
  await one.close()
  await server.close()
})

t.test('a refusal is final: the event stands beside its problem', async (t) => {
  const server = await startServer(folder)
  const one = client(server.url)
  await t.rejects(one.submit(signed('x', 'urn:not-allowed', new SigningKey(p256.privateKey))), {
    code: 'TYPE_NOT_ALLOWED',
  })
  await one.spool.add(signed('x', 'urn:not-allowed', new SigningKey(p256.privateKey)))
  await one.spool.add(signed('good'))
  const drained = await one.drain()
  t.match(drained, { logged: { length: 1 }, left: 0 })
  t.equal(drained.rejected[0]?.reason.code, 'TYPE_NOT_ALLOWED')
  const rejected = readdirSync(one.spool.rejected).sort()
  t.equal(rejected.length, 2)
  t.match(
    readFileSync(join(one.spool.rejected, rejected.find((name) => name.endsWith('problem.json'))!), 'utf8'),
    /TYPE_NOT_ALLOWED/,
  )
  await one.close()
  await server.close()
})

t.test('one drainer at a time', async (t) => {
  const one = client(NOWHERE)
  await one.spool.add(signed('x'))
  await one.spool.exclusively(async () => {
    await t.rejects(one.drain(), { code: 'LOCKED' })
  })
  t.match(await one.drain(), { left: 1 })
  await one.close()
})

t.test('a log that lies is caught', async (t) => {
  const server = await startServer(folder)
  const truth = client(server.url, { patience: 5_000 })
  const outcome = await truth.submit(signed('told'))
  if (outcome.kind !== 'logged') throw new Error('not logged')
  const receipt = JSON.parse(readFileSync(outcome.file, 'utf8'))
  const liar = await lying((path) => {
    if (path.endsWith('/v1/events')) return JSON.stringify(receipt)
    return undefined
  }, server.url)
  const victim = client(liar.url)
  await t.rejects(victim.submit(signed('another event')), { code: 'INVALID_PROOF' }, 'the receipt of another event')
  await victim.close()
  liar.server.close()

  // A log that was run again from a copy: the same key, another history.
  const twin = temporaryFolder(t)
  await server.close()
  cpSync(folder, twin, { recursive: true })
  const first = await startServer(folder)
  const state = join(twin, 'kept')
  const honest = client(first.url, { state })
  t.match(await honest.submit(signed('in one history')), { kind: 'logged' })
  await honest.close()
  await first.close()
  const second = await startServer(twin)
  const other = client(second.url, { state, patience: 5_000 })
  t.match(await other.submit(signed('in the other')), { kind: 'logged' })
  await new Promise((resolve) => setTimeout(resolve, 100))
  await t.rejects(other.settle(), { code: 'INVALID_LOG' }, 'two histories of one size')
  const fault = readdirSync(state).find((name) => name.startsWith('fault-'))
  t.ok(fault && readFileSync(join(state, fault), 'utf8').startsWith('treeline.evidence-of-fault@v1\n'))
  await other.close()
  await second.close()
  await truth.close()
})

t.test('key files', (t) => {
  const name = join(folder, 'fresh')
  const made = createKeyFiles(name, 'p256')
  t.equal(SigningKey.load(`${name}.key`).publicKey.id, made.id)
  t.throws(() => createKeyFiles(name, 'ed25519'), { code: 'USAGE' }, 'nothing is overwritten')
  t.throws(() => SigningKey.load(`${name}.pub`), { code: 'USAGE' }, 'a file that others may read')
  t.notOk(existsSync(`${name}.other`))
  t.end()
})

/** A server that answers some paths by itself and asks the real one for the others. */
async function lying(
  lie: (path: string) => string | undefined,
  real: string,
): Promise<{ url: string; server: Server }> {
  const server = createServer(async (request, response) => {
    const text = lie(request.url ?? '')
    const body = text ?? (await ask(real, request.url ?? '')).body
    response.writeHead(200, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}
