/** Requests that are unusual and right, and some that are nearly right. */
import t from 'tap'
import { parseReceipt } from '../../src/client/receipts.ts'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { CLOUDEVENTS } from '../../src/core/payload.ts'
import { verifyReceipt } from '../../src/core/receipt.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, envelope, event } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, startServer, temporaryFolder } from '../support/server.ts'

const administrator = new Actor()
const [signer, second] = [new Actor(), new Actor('p256')]
const data = temporaryFolder(t)
const { vkey } = await makeEventLog(data, [administrator], [{ actor: signer }, { actor: second }])
const server = await startServer(data)
t.teardown(() => server.close())
const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
const get = (path: string, headers: Record<string, string> = {}) => ask(server.url, `/test/${path}`, { headers })
const submit = (body: string, headers: Record<string, string> = {}) =>
  ask(server.url, '/test/v1/events', { method: 'POST', headers, body })
const { log } = server.opened.logs.get('test')!

t.test('a media type may be missing, in capitals, or have parameters', async (t) => {
  const types = [
    undefined,
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/vnd.dsse.envelope.v1+json',
  ]
  for (const [i, type] of types.entries()) {
    const text = event(signer, `model/${i}`)
    const answer = await submit(text, type === undefined ? {} : { 'content-type': type })
    t.equal(answer.status, 201, String(type))
    verifyReceipt(parseReceipt(json(answer)), parseEnvelope(toUtf8(text)), trust)
  }
  for (const type of ['application/jsonx', 'text/json', 'json', 'application/xml']) {
    const answer = await submit(event(signer, 'model/x'), { 'content-type': type })
    t.match([answer.status, json(answer).code], [415, 'UNSUPPORTED_MEDIA_TYPE'], type)
  }
})

t.test('the receipt is JSON unless text alone is asked for', async (t) => {
  const rows: [string, string][] = [
    ['*/*', 'application/json'],
    ['application/json', 'application/json'],
    ['text/plain, application/json', 'application/json'],
    ['text/plain', 'text/plain'],
    ['text/plain; charset=utf-8', 'text/plain'],
    ['image/png', 'application/json'],
  ]
  const text = event(signer, 'model/accept')
  for (const [accept, type] of rows) {
    const answer = await submit(text, { accept })
    t.ok(answer.headers['content-type']?.startsWith(type), accept)
  }
})

t.test('events of other kinds have receipts like any other', async (t) => {
  const cloud = { specversion: '1.0', id: '7', source: 'ci', type: 'org.example.run', subject: 'model/x' }
  for (const text of [
    envelope(CLOUDEVENTS, cloud, [signer]),
    envelope(CLOUDEVENTS, { ...cloud, id: '8' }, [signer, second]),
    event(second, 'model/p256'),
  ]) {
    const answer = await submit(text)
    t.equal(answer.status, 201)
    const { index } = json(answer)
    // What verifies is what the log keeps: signatures sorted, ECDSA with low S.
    const kept = JSON.stringify(json(await get(`v1/events/${index}`)).envelope)
    verifyReceipt(parseReceipt(json(answer)), parseEnvelope(toUtf8(kept)), trust)
  }
})

t.test('numbers have one spelling, and are given once', async (t) => {
  for (const index of ['01', '+1', '1.0', '1e0', ' 1', '0x1', '', '9007199254740992', '1'.repeat(40)]) {
    const answer = await get(`v1/proofs/inclusion?index=${index.replace(' ', '+')}`)
    t.match([answer.status, json(answer).code], [400, 'UNKNOWN_PARAMETER'], index)
  }
  for (const query of [
    'index=1&index=1',
    `index=1&leaf=${'ab'.repeat(32)}`,
    '',
    'leaf=abc',
    `leaf=${'AB'.repeat(32)}`,
    'index[]=1',
    'index=1&__proto__=1',
  ]) {
    const answer = await get(`v1/proofs/inclusion?${query}`)
    t.match([answer.status, json(answer).code], [400, 'UNKNOWN_PARAMETER'], query)
  }
  for (const query of ['from=1', 'to=1', 'from=1&to=1&to=2']) {
    const answer = await get(`v1/proofs/consistency?${query}`)
    t.match([answer.status, json(answer).code], [400, 'UNKNOWN_PARAMETER'], query)
  }
  const unknown = await get(`v1/proofs/inclusion?leaf=${'ab'.repeat(32)}`)
  t.match([unknown.status, json(unknown).code], [404, 'UNKNOWN_INDEX'])
  const none = await get('v1/proofs/inclusion?index=0&size=0')
  t.match([none.status, json(none).code], [404, 'UNKNOWN_INDEX'])
  t.same(json(await get('v1/proofs/consistency?from=0&to=0')), { from: 0, to: 0, hashes: [] })
  for (const index of ['00', '-1', '1.5', '99999999999999999999'])
    t.equal((await get(`v1/events/${index}`)).status, 404, index)
})

t.test('HEAD answers as GET does, without the body', async (t) => {
  for (const path of ['checkpoint', 'tile/0/000.p/1', 'tile/entries/000.p/1', 'v1/policy', 'v1/events/0']) {
    const head = await ask(server.url, `/test/${path}`, { method: 'HEAD' })
    const whole = await get(path)
    t.equal(head.status, whole.status, path)
    t.equal(head.body.length, 0, path)
    for (const name of ['content-type', 'cache-control', 'etag']) t.equal(head.headers[name], whole.headers[name], path)
  }
})

t.test('a list walks through everything once, and its pages stay small however large the payloads are', async (t) => {
  const pad = 'x'.repeat(700_000)
  for (let i = 0; i < 14; i++) t.equal((await submit(event(signer, `model/large/${i}`, { pad }))).status, 201)
  const seen: number[] = []
  let longest = 0
  let pages = 0
  for (let next: number | null = 0; next !== null; pages++) {
    const answer = await get(`v1/events?limit=1000&from=${next}`)
    longest = Math.max(longest, answer.body.length)
    const page = json(answer)
    seen.push(...page.events.map(({ index }: { index: number }) => index))
    t.equal(page.completeTo, log.head.tree.size)
    next = page.next
  }
  t.same(
    seen,
    Array.from({ length: log.head.tree.size }, (_, i) => i),
  )
  t.ok(pages > 1 && longest < 10e6, `${pages} pages of up to ${longest} bytes`)
  const beyond = json(await get(`v1/events?from=${log.head.tree.size + 5}`))
  t.match(beyond, { events: [], next: null })
})

t.test('a batch keeps its order, and its lines are independent', async (t) => {
  const before = log.head.tree.size
  const lines = Array.from({ length: 300 }, (_, i) =>
    i % 3 === 1 ? `{"line":${i}}` : event(signer, `model/batch/${i}`),
  )
  const body = `${lines.join('\r\n')}\n\n`
  const answer = await post(server.url, '/test/v1/events/batch', body, 'application/x-ndjson')
  const answers = answer.body.toString().trimEnd().split('\n')
  t.equal(answers.length, 301, 'an answer for each line, also for the empty one')
  const wrong: number[] = []
  for (const [i, text] of answers.entries()) {
    const one = JSON.parse(text)
    if (one.line !== i + 1 || one.status !== (i % 3 === 1 || i === 300 ? 400 : 201)) wrong.push(i)
    if (one.receipt) verifyReceipt(parseReceipt(one.receipt), parseEnvelope(toUtf8(lines[i]!)), trust)
  }
  t.same(wrong, [])
  t.equal(log.head.tree.size, before + 200)
  const none = await post(server.url, '/test/v1/events/batch', '', 'application/x-ndjson')
  t.match([none.status, none.body.length], [200, 0])
})

t.test(
  'a signature that nobody of the policy made is left out, and one that fails under a known key sinks the envelope',
  async (t) => {
    const stranger = new Actor()
    const text = JSON.parse(event(signer, 'model/two'))
    const foreign = JSON.parse(event(stranger, 'model/two')).signatures[0]
    const both = await submit(JSON.stringify({ ...text, signatures: [foreign, ...text.signatures] }))
    t.equal(both.status, 201)
    const { index } = json(both)
    t.match(json(await get(`v1/events/${index}`)), { keys: [signer.key.id] })
    t.equal(json(await submit(JSON.stringify(text))).index, index, 'without it it is the same event')
    const broken = { keyid: second.key.id, sig: toBase64(second.sign(toUtf8('something else'))) }
    const sunk = await submit(JSON.stringify({ ...text, signatures: [...text.signatures, broken] }))
    t.match([sunk.status, json(sunk).code], [403, 'BAD_SIGNATURE'])
    const many = Array.from({ length: 17 }, () => text.signatures[0])
    t.equal(json(await submit(JSON.stringify({ ...text, signatures: many }))).code, 'MALFORMED_ENVELOPE')
  },
)

t.test('an addendum that is known is not sent again', async (t) => {
  const { addendum } = json(await get('v1/events/1'))
  const path = `addenda/${addendum.slice(0, 2)}/${addendum.slice(2, 4)}/${addendum}`
  const etag = `"${addendum}"`
  const whole = await get(path)
  t.match([whole.status, whole.headers.etag, whole.headers['cache-control']], [200, etag, 'private, no-cache'])
  for (const header of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const answer = await get(path, { 'if-none-match': header })
    t.match([answer.status, answer.body.length, answer.headers.etag], [304, 0, etag], header)
  }
  for (const header of ['', '"other"', addendum])
    t.equal((await get(path, { 'if-none-match': header })).status, 200, header)
  // Of a random digest one in 256 begins with either.
  const another = (byte: string): string => (byte === '00' ? '01' : '00')
  for (const other of [
    `addenda/${another(addendum.slice(0, 2))}/${addendum.slice(2, 4)}/${addendum}`,
    `addenda/${addendum.slice(0, 2)}/${another(addendum.slice(2, 4))}/${addendum}`,
    `addenda/${addendum.slice(0, 2)}/${addendum.slice(2, 4)}/${addendum.toUpperCase()}`,
    `addenda/${addendum.slice(0, 2)}/${addendum.slice(2, 4)}/${addendum.slice(0, 62)}`,
    `addenda/${addendum}`,
  ])
    t.equal((await get(other)).status, 404, other)
})
