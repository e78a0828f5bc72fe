/** GET v1/stream: resume, scope, slow readers, shutdown. */
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { parseWitnessPolicy, verifyCheckpoint } from '../../src/core/witness-policy.ts'
import { TokenGate } from '../../src/http/auth.ts'
import { changeTokens, mintToken, type TokenScope, tokensFile } from '../../src/store/tokens.ts'
import { Actor, envelope, event, statement } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, makeRawLog, startServer, temporaryFolder } from '../support/server.ts'

const signer = new Actor()

async function serve(t: Test, options: Parameters<typeof startServer>[1] = {}) {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(data, [new Actor()], [{ actor: signer }])
  await makeRawLog(data)
  const server = await startServer(data, options)
  t.teardown(() => server.close())
  const submit = async (subject: string) =>
    json(await post(server.url, '/test/v1/events', event(signer, subject))).index
  return { data, vkey, server, submit, trust: parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`)) }
}

interface Sent {
  readonly id?: number
  readonly event: string
  readonly data: { readonly [member: string]: unknown }
}

/** A reader that takes what comes, and what it has taken so far. */
class Reader {
  readonly sent: Sent[] = []
  comments = 0
  readonly answer: IncomingMessage
  readonly #request: ClientRequest

  private constructor(request: ClientRequest, answer: IncomingMessage) {
    this.#request = request
    this.answer = answer
    let rest = ''
    answer.on('error', () => {})
    answer.setEncoding('utf8').on('data', (part: string) => {
      const frames = (rest + part).split('\n\n')
      rest = frames.pop()!
      for (const frame of frames) this.#take(frame)
    })
  }

  #take(frame: string): void {
    if (frame.startsWith(':')) this.comments++
    const fields = new Map(
      frame.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
    )
    const [id, data] = [fields.get('id'), fields.get('data')]
    if (data !== undefined)
      this.sent.push({ ...(id && { id: Number(id) }), event: fields.get('event') ?? 'message', data: JSON.parse(data) })
  }

  static async open(url: string, path: string, headers: Record<string, string> = {}): Promise<Reader> {
    const outgoing = request(new URL(path, url), { headers, agent: false }).end()
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    outgoing.on('error', () => {})
    return new Reader(outgoing, answer)
  }

  get ids(): (number | undefined)[] {
    return this.sent.flatMap(({ event, id }) => (event === 'message' ? [id] : []))
  }

  async until(done: (reader: Reader) => boolean): Promise<void> {
    for (let i = 0; i < 500 && !done(this); i++) await sleep(10)
    if (!done(this)) throw new Error(`it did not come: ${JSON.stringify(this.sent).slice(0, 500)}`)
  }

  close(): void {
    this.#request.destroy()
  }
}

t.test('entries come as they are published, never with payloads, and the head that covers them after', async (t) => {
  const { server, submit, trust } = await serve(t)
  await submit('model/1')
  const { url } = server
  const all = await Reader.open(url, '/test/v1/stream?from=0')
  const late = await Reader.open(url, '/test/v1/stream?from=1')
  t.match(all.answer.headers, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  await all.until(({ ids }) => ids.length === 2)
  const new_ = await Reader.open(url, '/test/v1/stream')
  await submit('model/2')
  await Promise.all([all.until(({ ids }) => ids.length === 3), new_.until(({ ids }) => ids.length === 1)])
  await Promise.all([
    late.until(({ ids }) => ids.length === 2),
    all.until(({ sent }) => sent.at(-1)?.event === 'checkpoint'),
  ])
  t.same([all.ids, late.ids, new_.ids], [[0, 1, 2], [1, 2], [2]])
  for (const { id, event, data } of all.sent) {
    if (event === 'checkpoint') continue
    t.same(data, { ...json(await ask(url, `/test/v1/events/${id}`)), envelope: null })
  }
  const { data } = all.sent.at(-1)!
  t.equal(data.size, 3)
  t.equal(Number(verifyCheckpoint(toUtf8(data.checkpoint as string), trust).checkpoint.size), 3)
  t.notMatch(JSON.stringify(all.sent), 'model/')

  const resumed = await Reader.open(url, '/test/v1/stream?from=0', { 'last-event-id': '0' })
  await resumed.until(({ ids }) => ids.length === 2)
  t.same(resumed.ids, [1, 2], 'Last-Event-ID goes before from: a browser repeats the address')
  for (const reader of [all, late, new_, resumed]) reader.close()
})

t.test('a reader who breaks off anywhere and comes back misses nothing and sees nothing twice', async (t) => {
  const { server, submit } = await serve(t)
  const writing = (async () => {
    for (let i = 0; i < 60; i++) await submit(`step ${i}`)
  })()
  const seen: (number | undefined)[] = []
  for (let want = 1; seen.length < 61; want = (want % 7) + 1) {
    const last = seen.at(-1)
    const reader = await Reader.open(
      server.url,
      '/test/v1/stream?from=0',
      last === undefined ? {} : { 'last-event-id': `${last}` },
    )
    const wanted = Math.min(want, 61 - seen.length)
    await reader.until(({ ids }) => ids.length >= wanted)
    seen.push(...reader.ids)
    reader.close()
  }
  await writing
  t.same(
    seen,
    Array.from({ length: 61 }, (_, i) => i),
  )
})

t.test('what cannot be followed is refused', async (t) => {
  const { url } = (await serve(t)).server
  const refused = async (path: string, status: number, code: string, headers: Record<string, string> = {}) => {
    const answer = await ask(url, path, { headers })
    t.match([answer.status, json(answer).code], [status, code], path)
  }
  await refused('/test/v1/stream?from=2', 404, 'UNKNOWN_INDEX')
  await refused('/test/v1/stream', 404, 'UNKNOWN_INDEX', { 'last-event-id': '1' })
  for (const id of ['x', '-1', '01', '9007199254740993', ''])
    await refused('/test/v1/stream', 400, 'UNKNOWN_PARAMETER', { 'last-event-id': id })
  await refused('/test/v1/stream?since=1', 400, 'UNKNOWN_PARAMETER')
  await refused('/raw/v1/stream', 404, 'NOT_FOUND')
  await refused('/nowhere/v1/stream', 404, 'UNKNOWN_LOG')
  const head = await ask(url, '/test/v1/stream', { method: 'HEAD' })
  t.match(head, { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } }, 'a HEAD ends')
  t.notOk(head.headers['content-length'])
})

t.test('it takes the scope tree, and a token that is removed takes its streams with it', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  const file = tokensFile(data)
  const add = (log: string, scopes: TokenScope[]) => {
    const { token, rule } = mintToken([log], scopes, Date.now())
    changeTokens(file, (rules) => [...rules, rule])
    return { token, id: rule.id }
  }
  const [tree, other] = [add('test', ['tree']), add('other', ['payload'])]
  const gate = new TokenGate({ file, public: false, loopback: true, onFailure: () => {} })
  const server = await startServer(data, { http: { gate, streams: { heartbeat: 50, slow: 1_000, most: 10 } } })
  t.teardown(() => server.close())
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  t.equal((await ask(server.url, '/test/v1/stream')).status, 401)
  t.equal((await ask(server.url, '/test/v1/stream', { headers: bearer(other.token) })).status, 403)
  const reader = await Reader.open(server.url, '/test/v1/stream?from=0', bearer(tree.token))
  await reader.until(({ comments }) => comments > 2)
  t.same(reader.ids, [0])
  const ended = once(reader.answer, 'end')
  changeTokens(file, (rules) => rules.filter(({ id }) => id !== tree.id))
  await ended
  t.ok(reader.answer.complete, 'the stream was ended, not broken')
})

t.test('there are so many streams and no more, and one that is left makes room', async (t) => {
  const { server } = await serve(t, { http: { streams: { heartbeat: 20, slow: 1_000, most: 2 } } })
  const readers = [await Reader.open(server.url, '/test/v1/stream'), await Reader.open(server.url, '/test/v1/stream')]
  const refused = await ask(server.url, '/test/v1/stream')
  t.match([refused.status, json(refused).code], [429, 'RATE_LIMITED'])
  readers[0]!.close()
  await sleep(50)
  const third = await Reader.open(server.url, '/test/v1/stream')
  t.equal(third.answer.statusCode, 200)
  await third.until(({ comments }) => comments > 1)
  for (const reader of [...readers, third]) reader.close()
})

t.test('a reader who takes nothing is cut off, and holds no more than a buffer', async (t) => {
  const { server } = await serve(t, { http: { streams: { heartbeat: 20, slow: 300, most: 10 } } })
  const large = (name: string) => {
    const consumed = Array.from({ length: 63 }, (_, i) => ({ digest: { sha512: `${i}`.padStart(128, '0') } }))
    return envelope('application/vnd.in-toto+json', statement(name, { consumed }), [signer])
  }
  for (let i = 0; i < 4; i++) {
    const batch = Array.from({ length: 250 }, (_, j) => large(`${i} ${j}`)).join('\n')
    await post(server.url, '/test/v1/events/batch', batch, 'application/x-ndjson')
  }
  const sockets: Socket[] = []
  server.app.server.on('connection', (socket: Socket) => sockets.push(socket))
  const outgoing = request(new URL('/test/v1/stream?from=0', server.url), { agent: false }).end()
  outgoing.on('error', () => {})
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  answer.on('error', () => {})
  const began = performance.now()
  await once(sockets[0]!, 'close')
  const waited = performance.now() - began
  t.ok(waited > 250 && waited < 5_000, `after ${waited} ms`)
  const whole = 1_000 * 17_000
  t.ok(sockets[0]!.bytesWritten < whole / 2, `${sockets[0]!.bytesWritten} bytes were written`)

  const patient = await Reader.open(server.url, '/test/v1/stream?from=0')
  await patient.until(({ ids }) => ids.length === 1_001)
  t.same(
    patient.ids,
    Array.from({ length: 1_001 }, (_, i) => i),
    'whoever reads gets all of it',
  )
  const { bytesRead } = patient.answer.socket
  t.ok(bytesRead > whole, `of ${bytesRead} bytes`)
  patient.close()
})

t.test('a server that stops ends its streams, and waits for none', async (t) => {
  const { server, submit } = await serve(t)
  const readers = await Promise.all([0, 1, 2].map(() => Reader.open(server.url, '/test/v1/stream?from=0')))
  await submit('model')
  await Promise.all(readers.map((reader) => reader.until(({ ids }) => ids.length === 2)))
  const ended = readers.map(({ answer }) => once(answer, 'end'))
  const began = performance.now()
  await server.close()
  await Promise.all(ended)
  t.ok(performance.now() - began < 3_000)
  for (const { answer } of readers) t.ok(answer.complete, 'ended, not broken')
})
