/** The published head and the tree are two things, and at a start either can be the larger. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseReceipt } from '../../src/client/receipts.ts'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { verifyReceipt } from '../../src/core/receipt.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, event, redactionRequest, signedPolicy } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const administrator = new Actor()
const signer = new Actor()
const HOUR = 3_600_000

t.test('evidence is for the published head, receipts are for the committed one, also after a restart', async (t) => {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(data, [administrator], [{ actor: signer }])
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  const file = join(data, 'logs/test/published')
  const genesis = readFileSync(file, 'utf8')
  let server = await startServer(data)
  for (let i = 0; i < 3; i++) await post(server.url, '/test/v1/events', event(signer, `model/${i}`))
  await server.close()
  t.match(readFileSync(file, 'utf8'), /\n4\n/, 'closing publishes what waits')

  // As a crash between the commit and the publishing leaves it.
  writeFileSync(file, genesis)
  // And a disk that refuses the new file, so that it stays so for a while.
  mkdirSync(`${file}.new`)
  server = await startServer(data, { publishInterval: HOUR })
  t.teardown(() => server.close())
  const evidence = async (index: number) => {
    const answer = await ask(server.url, `/test/v1/evidence/${index}`)
    if (answer.status === 404) {
      t.equal(json(answer).code, 'NOT_YET_PUBLISHED')
      t.ok(answer.headers['retry-after'])
      return undefined
    }
    return verifyEvidence(parseEvidence(new Uint8Array(answer.body)), trust, verifySignature)
  }
  t.equal((await evidence(0))?.checkpoint.checkpoint.size, 1n)
  t.equal(await evidence(2), undefined)
  t.equal((await ask(server.url, '/test/checkpoint')).body.toString(), genesis)
  t.equal(server.failures.length > 0, true, 'the operator hears of it')
  rmSync(`${file}.new`, { recursive: true })
  while (server.opened.logs.get('test')!.log.published?.size !== 4)
    await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal((await evidence(2))?.checkpoint.checkpoint.size, 4n, 'and it is tried again')
  const text = event(signer, 'model/late')
  const answer = await post(server.url, '/test/v1/events', text)
  const { checkpoint } = verifyReceipt(parseReceipt(json(answer)), parseEnvelope(toUtf8(text)), trust)
  t.equal(checkpoint.checkpoint.size, 5n)
  t.equal(await evidence(4), undefined, 'the interval is not over')
  t.equal((await evidence(3))?.checkpoint.checkpoint.size, 4n)
  const published = await ask(server.url, '/test/checkpoint')
  t.match(published.body.toString(), /\n4\n/)
  const logs = json(await ask(server.url, '/v1/logs'))
  t.match(logs, [{ size: 5, published: 4 }])
})

t.test('a published head is not taken for the tree while it is the smaller', async (t) => {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(data, [administrator], [{ actor: signer }])
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  const server = await startServer(data, { publishInterval: HOUR })
  t.teardown(() => server.close())
  const submit = async (subject: string) => json(await post(server.url, '/test/v1/events', event(signer, subject)))
  await submit('model/0')
  const { log } = server.opened.logs.get('test')!
  while (log.published?.size !== 2) await new Promise((resolve) => setTimeout(resolve, 5))
  for (let i = 1; i < 6; i++) await submit(`model/${i}`)
  t.equal(log.head.tree.size, 7)
  for (const index of [0, 1]) {
    const file = new Uint8Array((await ask(server.url, `/test/v1/evidence/${index}`)).body)
    t.equal(verifyEvidence(parseEvidence(file), trust, verifySignature).checkpoint.checkpoint.size, 2n)
  }
})

t.test('a log that went back in time proves nothing, not even what it knows', async (t) => {
  const data = temporaryFolder(t)
  const { document } = await makeEventLog(data, [administrator], [{ actor: signer }])
  const folder = join(data, 'logs/test')
  const texts = ['model/0', 'model/1'].map((subject) => event(signer, subject))
  let server = await startServer(data)
  await post(server.url, '/test/v1/events', texts[0]!)
  await server.close()
  cpSync(join(folder, 'log.db'), join(data, 'copy'))
  server = await startServer(data)
  await post(server.url, '/test/v1/events', texts[1]!)
  await server.close()
  rmSync(join(folder, 'log.db-wal'), { force: true })
  cpSync(join(data, 'copy'), join(folder, 'log.db'))

  server = await startServer(data)
  t.teardown(() => server.close())
  const { log } = server.opened.logs.get('test')!
  const request = redactionRequest(
    ORIGIN,
    [{ index: 1, leafHash: toHex(leafHash((await log.store.entry(1))!)) }],
    [administrator],
  )
  const attempts = {
    'a new event': post(server.url, '/test/v1/events', texts[1]!),
    'a known event': post(server.url, '/test/v1/events', texts[0]!),
    'the policy in force': post(server.url, '/test/v1/policy', signedPolicy(document, [administrator])),
    'a redaction': post(server.url, '/test/v1/redactions', request),
    'evidence of what is there': ask(server.url, '/test/v1/evidence/1'),
  }
  for (const [name, attempt] of Object.entries(attempts)) {
    const answer = await attempt
    t.match([answer.status, json(answer).code], [503, 'FROZEN'], name)
  }
  t.equal((await ask(server.url, '/test/v1/events/1')).status, 200, 'what is there is shown')
  t.equal((await ask(server.url, '/test/v1/proofs/inclusion?index=0&size=2')).status, 200)
  t.equal(log.head.tree.size, 2)
})
