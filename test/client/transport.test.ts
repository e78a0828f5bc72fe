import { gzipSync } from 'node:zlib'
import t from 'tap'
import { bytesOf, hashesOf, indexOf, parseAnswer, textOf } from '../../src/client/answer.ts'
import { Transport } from '../../src/client/transport.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { type Answer, middle, problem } from './middle.ts'

const OK: Answer = { status: 200, body: '{"fine":true}' }
const body = toUtf8('{}')

/** Answers in turn, the last one for ever; undefined breaks off. */
async function answering(
  t: { teardown(f: () => unknown): unknown },
  answers: readonly (Answer | undefined)[],
  patience = 5_000,
) {
  let at = 0
  const server = await middle(t, '', async () => answers[Math.min(at++, answers.length - 1)])
  const transport = new Transport({ url: `${server.url}/log/`, patience, token: 'secret' })
  t.teardown(() => transport.close())
  return { transport, ...server }
}

t.test('what can pass is asked again', async (t) => {
  for (const passing of [
    undefined,
    problem(503, 'QUEUE_FULL'),
    problem(429, 'RATE_LIMITED'),
    problem(404, 'NOT_YET_PUBLISHED'),
    problem(500, 'BUG'),
    { status: 502, body: '<html>' },
  ]) {
    const { transport, questions } = await answering(t, [passing, passing, OK])
    t.equal((await transport.post('v1/events', body, 'application/json')).status, 200)
    t.equal(questions.length, 3)
    t.equal(questions[2]?.body.toString(), '{}', 'with its body')
  }
})

t.test('TT-13 a client says that it takes gzip, and takes it', async (t) => {
  const packed = { status: 200, body: gzipSync('a bundle'), headers: { 'content-encoding': 'gzip' } }
  const { transport, questions } = await answering(t, [packed])
  t.same(await transport.get('tile/entries/000'), toUtf8('a bundle'))
  t.equal(questions[0]?.headers['accept-encoding'], 'gzip, identity')
})

t.test('what cannot pass is asked once', async (t) => {
  for (const [answer, code] of [
    [problem(403, 'UNKNOWN_KEY'), 'UNKNOWN_KEY'],
    [problem(410, 'REDACTED'), 'REDACTED'],
    [problem(404, 'UNKNOWN_INDEX'), 'UNKNOWN_INDEX'],
    [{ status: 401, body: '' }, 'UNAUTHENTICATED'],
    [{ status: 403, body: '{}' }, 'FORBIDDEN'],
    [{ status: 404, body: '<html>' }, 'NOT_FOUND'],
    [{ status: 413, body: 'too large' }, 'BODY_TOO_LARGE'],
    [{ status: 302, body: '', headers: { location: 'http://127.0.0.1:9/' } }, 'UNREACHABLE'],
    [{ status: 400, body: '{"type":"urn:other:X","code":"X","detail":"d"}' }, 'UNREACHABLE'],
  ] as const) {
    const { transport, questions } = await answering(t, [answer])
    await t.rejects(transport.get('checkpoint'), { name: 'TreelineError', code })
    t.equal(questions.length, 1, code)
  }
})

t.test('patience ends', async (t) => {
  const { transport, questions } = await answering(t, [problem(503, 'QUEUE_FULL', 'the queue is full')], 600)
  const start = performance.now()
  await t.rejects(transport.get('checkpoint'), { code: 'QUEUE_FULL', message: 'the queue is full' })
  t.ok(performance.now() - start < 2_000)
  t.ok(questions.length > 1)
  await t.rejects(transport.get('checkpoint', 0), { code: 'QUEUE_FULL' })
  const away = new Transport({ url: 'http://localhost:9/log', patience: 0 })
  await t.rejects(away.get('checkpoint'), { code: 'UNREACHABLE', message: /does not answer: .*ECONNREFUSED/ })
  await away.close()
})

t.test('Retry-After is honoured, in seconds and as a date', async (t) => {
  for (const later of [() => '1', () => new Date(Date.now() + 2_000).toUTCString()]) {
    const after = later()
    const busy = { ...problem(503, 'QUEUE_FULL'), headers: { 'retry-after': after } }
    const { transport } = await answering(t, [busy, OK])
    const start = performance.now()
    await transport.get('checkpoint')
    t.ok(performance.now() - start > 850, after)
  }
  const long = { ...problem(503, 'FROZEN'), headers: { 'retry-after': '60' } }
  const { transport, questions } = await answering(t, [long])
  const start = performance.now()
  await t.rejects(transport.get('checkpoint'), { code: 'FROZEN' })
  t.ok(performance.now() - start < 1_000, 'longer than patience is not waited for')
  t.equal(questions.length, 1)
  const odd = { ...problem(503, 'FROZEN'), headers: { 'retry-after': 'soon' } }
  t.equal((await (await answering(t, [odd, OK])).transport.get('x')).length, OK.body.length)
})

t.test('answers are bounded, and unpacked', async (t) => {
  const gzip = { 'content-encoding': 'gzip' }
  const packed = { status: 200, body: gzipSync('{"fine":true}'), headers: gzip }
  t.same(await (await answering(t, [packed])).transport.json('x'), { fine: true })
  const bomb = { status: 200, body: gzipSync(Buffer.alloc(65 * 2 ** 20)), headers: gzip }
  const large = { status: 200, body: Buffer.alloc(65 * 2 ** 20) }
  const foreign = { status: 200, body: 'x', headers: { 'content-encoding': 'br' } }
  const broken = { status: 200, body: 'not gzip', headers: gzip }
  for (const answer of [bomb, large, foreign, broken]) {
    const { transport } = await answering(t, [answer], 0)
    await t.rejects(transport.get('x'), { code: 'UNREACHABLE' })
  }
})

t.test('answers of the wrong shape are the fault of whoever answers', (t) => {
  for (const text of ['', 'x', '7', 'null', '"x"']) t.throws(() => parseAnswer(toUtf8(text)), { code: 'UNREACHABLE' })
  t.throws(() => parseAnswer(Uint8Array.of(0xff)), { code: 'UNREACHABLE' })
  const code = 'INVALID_PROOF'
  for (const value of [undefined, 7, null, 'AB', [], {}]) t.throws(() => bytesOf(value, 'it'), { code })
  for (const value of [undefined, 'x', {}, ['AAAA'], [7], Array(65).fill('')]) t.throws(() => hashesOf(value), { code })
  for (const value of [undefined, 7, null]) t.throws(() => textOf(value, 'it'), { code })
  for (const value of [undefined, -1, 0.5, '1', 2 ** 53]) t.throws(() => indexOf(value, 'it'), { code })
  t.equal(indexOf(0, 'it'), 0)
  t.same(hashesOf([]), [])
  t.end()
})
