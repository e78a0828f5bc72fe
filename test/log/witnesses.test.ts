/** A log that publishes only what its witnesses cosigned, and what happens while they do not. */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseReceipt } from '../../src/client/receipts.ts'
import { seenBy, seenStillAt } from '../../src/client/witness-times.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { verifyReceipt } from '../../src/core/receipt.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseWitnessPolicy, verifyCheckpoint, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, event } from '../support/actors.ts'
import { TestCosigner } from '../support/cosigner.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

type Test = { teardown(f: () => unknown): unknown }
type Server = Awaited<ReturnType<typeof startServer>>

const signer = new Actor()
const policyOf = (
  vkey: string,
  witnesses: readonly TestCosigner[],
  quorum = `all ${names(witnesses)}`,
): WitnessPolicy =>
  parseWitnessPolicy(
    toUtf8(`log ${vkey}\n${witnesses.map(({ line }) => line).join('')}group enough ${quorum}\nquorum enough\n`),
  )
const names = (witnesses: readonly TestCosigner[]): string => witnesses.map(({ name }) => name).join(' ')

async function setUp(t: Test, quorum?: string) {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(data, [new Actor()], [{ actor: signer }])
  const witnesses = [await new TestCosigner('w1.example').listen(t), await new TestCosigner('w2.example').listen(t)]
  const policy = policyOf(vkey, witnesses, quorum)
  const start = async (): Promise<Server> => {
    const server = await startServer(data, { witnesses: policy, publishInterval: 20 })
    t.teardown(() => server.close().catch(() => {}))
    return server
  }
  return { data, vkey, witnesses: witnesses as [TestCosigner, TestCosigner], policy, start }
}

const logOf = (server: Server) => server.opened.logs.get('test')!.log
const submit = (server: Server, subject: string, query = '') =>
  post(server.url, `/test/v1/events${query}`, event(signer, subject))

async function eventually(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await ask()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`never: ${what}`)
}

t.test('nothing is public before the first quorum, and everything is after it', async (t) => {
  const { witnesses, policy, start } = await setUp(t)
  for (const witness of witnesses) witness.misbehave = (response) => !!response.writeHead(500).end()
  const server = await start()
  t.equal((await ask(server.url, '/test/checkpoint')).status, 404, 'the genesis was published by its log alone')
  const answer = await submit(server, 'model/1')
  t.equal(answer.status, 201, 'appending goes on without witnesses')
  t.equal(json(answer).witnessed, false)
  t.equal(json(await ask(server.url, '/test/v1/evidence/1')).code, 'NOT_YET_PUBLISHED')
  const ready = json(await ask(server.url, '/readyz'))
  t.match(ready, { ready: true, logs: [{ ready: true, witnesses: [{ name: 'w1.example', size: 0, why: /500/ }, {}] }] })

  witnesses[0].misbehave = () => false
  await eventually('one cosigns', () => witnesses[0].size === 2n)
  t.equal((await ask(server.url, '/test/checkpoint')).status, 404, 'one of two is no quorum')
  witnesses[1].misbehave = () => false
  await eventually('a quorum', () => logOf(server).published?.size === 2)
  const { checkpoint, cosigners } = verifyCheckpoint((await ask(server.url, '/test/checkpoint')).body, policy)
  t.equal(checkpoint.size, 2n)
  t.equal(cosigners.length, 2)
  t.same(
    json(await ask(server.url, '/readyz')).logs[0].witnesses.map((one: { late: number }) => one.late),
    [0, 0],
  )
  const metrics = (await ask(server.url, '/metrics')).body.toString()
  t.match(metrics, /treeline_log_witness_size\{log="test",witness="w1.example"\} 2/)
  t.match(metrics, /treeline_log_witness_late_seconds\{log="test",witness="w2.example"\} 0/)
})

t.test('TW-3 a witness is sent a proof from where it is, and the lines of the log alone', async (t) => {
  const { witnesses, start } = await setUp(t)
  let server = await start()
  const [first] = witnesses
  await eventually('the genesis', () => logOf(server).published?.size === 1)
  for (let i = 2; i < 6; i++) {
    await submit(server, `model/${i}`)
    await eventually('it is public', () => logOf(server).published?.size === i)
  }
  t.same(first.asked, [0n, 1n, 2n, 3n, 4n])
  t.equal(first.lines, 1)
  await server.close()
  server = await start()
  await submit(server, 'model/6')
  await eventually('it is public', () => logOf(server).published?.size === 6)
  t.same(first.asked.slice(5), [0n, 5n], 'after a restart the 409 says where it is')
})

t.test(
  'TW-20 a witness that lies about its cosignature or its size holds nothing up for ever, and is named',
  async (t) => {
    const { witnesses, start } = await setUp(t, 'any w1.example w2.example')
    const [good, bad] = witnesses
    const server = await start()
    const lies: [string, TestCosigner['misbehave'], RegExp][] = [
      [
        'a cosignature of another text',
        (response) => !!response.end(lineOf(bad, `other\n1\n${Buffer.alloc(32).toString('base64')}\n`)),
        /does not verify|not a/,
      ],
      [
        'a line of another key',
        (response) => !!response.end('— w2.example AAAAAAAAAAAA\n'),
        /no cosignature of the key/,
      ],
      ['no line', (response) => !!response.end(''), /no cosignature of the key/],
      ['a size without end', (response) => !!response.writeHead(409).end('1\n'), /another size 3 times/],
      ['a size that is none', (response) => !!response.writeHead(409).end('x\n'), /answered 409/],
      [
        'a redirect',
        (response) => !!response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
        /answered 302/,
      ],
      ['ten megabytes', (response) => !!response.end('x'.repeat(10_000_000)), /./],
      ['an answer that is cut off', (response) => !response.destroy().writable, /./],
      ['silence', () => true, /./],
    ]
    for (const [what, misbehave, why] of lies) {
      const { size } = logOf(server).head.tree
      bad.misbehave = misbehave
      await submit(server, `${what}/1`)
      await eventually(`${what}: published all the same`, () => logOf(server).published?.size === size + 1)
      await eventually(`${what}: named`, () => why.test(logOf(server).witnesses[1]!.why ?? ''))
      t.match(
        logOf(server).witnesses,
        [
          { name: good.name, late: 0 },
          { name: bad.name, why },
        ],
        what,
      )
      bad.misbehave = () => false
      await submit(server, `${what}/2`)
      await eventually(`${what}: forgiven`, () => logOf(server).witnesses[1]!.why === undefined)
    }
  },
)

const lineOf = (witness: TestCosigner, text: string): string => {
  const note = witness.cosign(`${text}\n— x AAAAAAAAAAAA\n`)
  return `${note.split('\n').at(-2)}\n`
}

t.test('an answer waits for witnesses when it is asked to, and never longer than the limit', async (t) => {
  const { witnesses, policy, start } = await setUp(t)
  const server = await start()
  const text = event(signer, 'model/waited')
  const answer = await post(server.url, '/test/v1/events?wait=witnessed', text)
  t.equal(answer.status, 201)
  const receipt = parseReceipt(json(answer))
  t.equal(receipt.witnessed, true)
  t.equal(verifyReceipt(receipt, parseEnvelope(toUtf8(text)), policy).checkpoint.cosigners.length, 2)
  const again = json(await post(server.url, '/test/v1/events?wait=witnessed', text))
  t.match(again, { index: receipt.index, witnessed: true }, 'what is known and covered is answered at once')

  witnesses[1].misbehave = () => true
  const began = performance.now()
  const late = await submit(server, 'model/late', '?wait=witnessed')
  t.match([late.status, json(late).witnessed], [201, false], 'past the limit the receipt is a plain one, and no error')
  t.ok(performance.now() - began >= 1_900 && performance.now() - began < 8_000)
  t.equal((await submit(server, 'model/x', '?wait=published')).status, 400)
  const proof = await ask(server.url, '/test/v1/events?wait=witnessed', {
    method: 'POST',
    headers: { accept: 'text/plain', 'content-type': 'application/json' },
    body: text,
  })
  t.match(proof.body.toString(), /^c2sp.org\/tlog-proof@v1\nindex 1\n[\s\S]*— w1.example .*\n— w2.example .*\n$/)
})

t.test('evidence says between which two cosignatures an entry was logged', async (t) => {
  const { witnesses, policy, start } = await setUp(t)
  const server = await start()
  await eventually('the genesis', () => logOf(server).published?.size === 1)
  for (let i = 1; i <= 4; i++) {
    for (const [j, witness] of witnesses.entries()) witness.time = 1_767_225_600n + BigInt(i * 100 + j)
    await submit(server, `model/${i}`)
    await eventually('it is public', () => logOf(server).published?.size === i + 1)
  }
  await server.close()
  const restarted = await start()
  for (let index = 1; index <= 4; index++) {
    const file = new Uint8Array((await ask(restarted.url, `/test/v1/evidence/${index}`)).body)
    const { checkpoint, earlier } = verifyEvidence(parseEvidence(file), policy, verifySignature)
    t.equal(checkpoint.checkpoint.size, BigInt(index + 1), 'the first one that covers it')
    t.equal(earlier?.checkpoint.size, BigInt(index), 'and the last one that does not')
    // A full quorum had seen it when the later of both had, and still did not have it when the earlier of both looked.
    t.equal(seenBy(checkpoint, policy), 1_000 * (1_767_225_600 + index * 100 + 1))
    t.equal(seenStillAt(earlier!, policy), 1_000 * (1_767_225_600 + (index - 1) * 100))
  }
})

t.test('a disk that was rolled back is known by its witnesses, at the start and later', async (t) => {
  const { data, vkey, witnesses, start } = await setUp(t)
  const logs = join(data, 'logs')
  const old = join(temporaryFolder(t), 'logs')
  let server = await start()
  await eventually('the genesis', () => logOf(server).published?.size === 1)
  await server.close()
  cpSync(logs, old, { recursive: true })
  server = await start()
  await submit(server, 'model/1')
  await submit(server, 'model/2')
  await eventually('they are public', () => logOf(server).published?.size === 3)
  await server.close()

  const restore = () => {
    rmSync(logs, { recursive: true })
    // The published head too: only the witnesses know better.
    cpSync(old, logs, { recursive: true })
  }
  restore()
  server = await start()
  t.match(json(await ask(server.url, '/readyz')), {
    ready: false,
    logs: [{ code: 'FROZEN', why: /w[12].example shows/ }],
  })
  t.equal(json(await submit(server, 'model/other')).code, 'FROZEN')
  t.equal((await ask(server.url, '/test/tile/entries/000.p/1')).status, 200, 'reads go on')
  await server.close()

  // Its witnesses are away at the start, and come back.
  restore()
  for (const witness of witnesses) witness.misbehave = () => true
  server = await start()
  t.equal((await submit(server, 'model/other')).status, 201, 'nobody could say better')
  for (const witness of witnesses) witness.misbehave = () => false
  await eventually('it is frozen', () => logOf(server).frozen !== undefined)
  t.equal(json(await submit(server, 'model/third')).code, 'FROZEN')
  t.not(logOf(server).published?.size, 2, 'and what it signed alone was never public')
  await server.close()

  // A witness cannot stop a log by showing what the log never signed.
  const honest = await setUp(t)
  for (const witness of honest.witnesses) {
    witness.size = 9n
    witness.shown = `${ORIGIN}\n9\n${Buffer.alloc(32).toString('base64')}\n\n— ${ORIGIN} ${Buffer.alloc(68).toString('base64')}\n`
  }
  server = await honest.start()
  t.equal((await submit(server, 'model/1')).status, 201)
  await eventually('it says why', () =>
    /ahead|does not verify|no signature/.test(logOf(server).witnesses[0]!.why ?? ''),
  )
  t.equal(logOf(server).frozen, undefined)
  t.ok(vkey)
})

t.test('a policy that cannot work is refused', async (t) => {
  const { data, vkey, witnesses } = await setUp(t)
  const noUrl = parseWitnessPolicy(toUtf8(`log ${vkey}\nwitness w ${witnesses[0].vkey}\nquorum w\n`))
  await t.rejects(startServer(data, { witnesses: noUrl }), { code: 'USAGE', message: /no URLs for a full quorum/ })
})

t.test('what witnesses say of their audits is told as it is, and asked for once in a while', async (t) => {
  const { witnesses, start } = await setUp(t)
  let asked = 0
  witnesses[0].misbehave = (response, path) => {
    if (!path.endsWith('/audited')) return false
    asked++
    return !!response.end('{"audited":1}')
  }
  witnesses[1].misbehave = (response, path) => path.endsWith('/audited') && !!response.end('{"audited":-1}')
  const server = await start()
  await eventually('a quorum', () => logOf(server).published?.size === 1)
  const told = json(await ask(server.url, '/test/v1/witnesses'))
  t.match(told, [
    { name: 'w1.example', size: 1, late: 0, why: null, audited: 1 },
    { name: 'w2.example', size: 1, late: 0, why: null, audited: null },
  ])
  for (let i = 0; i < 5; i++) t.same(json(await ask(server.url, '/test/v1/witnesses')), told)
  t.equal(asked, 1, 'who asks the log often makes it ask no oftener')
})
