/** The server as a service: who may read, what one client can take of it, and what it says of itself. */
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { closeServer } from '../../src/http/app.ts'
import { type Gate, TokenGate } from '../../src/http/auth.ts'
import { describeError } from '../../src/http/logging.ts'
import { addRaw } from '../../src/log/raw.ts'
import type { Store } from '../../src/store/store.ts'
import { changeTokens, mintToken, readTokens, type TokenScope, tokensFile } from '../../src/store/tokens.ts'
import { Actor, event } from '../support/actors.ts'
import { ask, type HttpAnswer, json, post } from '../support/http.ts'
import { makeEventLog, makeRawLog, startServer, temporaryFolder } from '../support/server.ts'
import type { OpenApiDocument } from '../support/validate.ts'

const signer = new Actor()

/** Two logs, `test` of events and `raw`, and a server that nobody reads without a token. */
async function guarded(t: Test) {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  await makeRawLog(data)
  const failures: unknown[] = []
  const gate = new TokenGate({
    file: tokensFile(data),
    public: false,
    loopback: false,
    onFailure: (error) => failures.push(error),
  })
  const server = await startServer(data, { http: { gate } })
  t.teardown(() => server.close())
  return { data, server, failures }
}

function tokenFor(data: string, logs: readonly string[], ...scopes: TokenScope[]): string {
  const { token, rule } = mintToken(logs, scopes, 1_700_000_000_000)
  changeTokens(tokensFile(data), (rules) => [...rules, rule])
  return token
}

const as = (url: string, path: string, token?: string) =>
  ask(url, path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })

/** Asks until the answer has this status: the file of tokens is looked at once a second. */
async function becomes(status: number, request: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
  for (let i = 0; i < 60; i++) {
    const answer = await request()
    if (answer.status === status) return answer
    await sleep(50)
  }
  throw new Error(`never answered ${status}`)
}

/** A store of which one method can be paused, to hold requests in flight. */
function pausable(method: 'commit' | 'bundle' = 'commit'): {
  wrap: (store: Store) => Store
  pause(): void
  resume(): void
} {
  let resume = (): void => {}
  let gate = Promise.resolve()
  return {
    pause() {
      gate = new Promise((resolve) => {
        resume = resolve
      })
    },
    resume: () => resume(),
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target)
          if (typeof value !== 'function') return value
          if (name !== method) return value.bind(target)
          return async (...args: unknown[]) => {
            await gate
            return value.apply(target, args)
          }
        },
      }),
  }
}

/** Bytes as they are written; resolves to everything that came back when the other side closes. */
function raw(url: string, bytes: string | readonly (string | number)[]): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.on('data', (part) => {
      answer += part
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
    void (async () => {
      for (const part of typeof bytes === 'string' ? [bytes] : bytes) {
        // What the other side has closed must not keep the test alive.
        if (typeof part === 'number') await sleep(part, undefined, { ref: false })
        else socket.write(part)
      }
    })()
  })
}

t.test('a token opens what its scopes name, in the logs that it names', async (t) => {
  const { data, server } = await guarded(t)
  const { url } = server
  const tree = tokenFor(data, ['test'], 'tree')
  const payload = tokenFor(data, ['test'], 'payload')
  const elsewhere = tokenFor(data, ['raw'], 'tree', 'payload')
  const metrics = tokenFor(data, [], 'metrics')
  const { token: mixed, rule } = mintToken(['raw'], ['payload'], 1)
  changeTokens(tokensFile(data), (rules) => [...rules, rule, { ...rule, logs: ['test'], scopes: ['tree'] }])
  const submitted = await post(url, '/test/v1/events', event(signer, 'guarded'))
  t.equal(submitted.status, 201, 'writers sign, and need no token')
  await becomes(200, () => as(url, '/test/checkpoint', tree))
  const { addendum } = json(await as(url, '/test/v1/events/1', payload))
  const addendumPath = (digest: string) => `/test/addenda/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest}`
  const document = addendumPath(addendum)
  const policy = addendumPath(json(await as(url, '/test/v1/events/0', tree)).addendum)
  await becomes(200, () => as(url, '/test/v1/evidence/1', payload))
  await becomes(200, () => as(url, '/test/checkpoint', mixed))
  t.equal((await as(url, '/test/v1/evidence/1', mixed)).status, 403, 'each log as its own rule says')
  t.equal(
    (await as(url, '/raw/tile/entries/000.p/1', mixed)).status,
    (await as(url, '/raw/tile/entries/000.p/1', elsewhere)).status,
  )
  t.equal((await as(url, '/test/checkpoint', `${mixed.slice(0, -1)}${mixed.endsWith('A') ? 'B' : 'A'}`)).status, 401)

  const table: readonly (readonly [string, readonly number[]])[] = [
    //                                       none  bad  tree  payload  another log  metrics
    ['/test/checkpoint', [401, 401, 200, 200, 403, 403]],
    ['/test/tile/0/000.p/1', [401, 401, 200, 200, 403, 403]],
    ['/test/tile/entries/000.p/1', [401, 401, 200, 200, 403, 403]],
    ['/test/addenda.v1', [401, 401, 200, 200, 403, 403]],
    ['/test/v1/events', [401, 401, 200, 200, 403, 403]],
    ['/test/v1/events/1', [401, 401, 200, 200, 403, 403]],
    ['/test/v1/policy', [401, 401, 200, 200, 403, 403]],
    ['/test/v1/proofs/inclusion?index=0', [401, 401, 200, 200, 403, 403]],
    ['/test/v1/proofs/consistency?from=0&to=1', [401, 401, 200, 200, 403, 403]],
    ['/test/v1/evidence/1', [401, 401, 403, 200, 403, 403]],
    [document, [401, 401, 403, 200, 403, 403]],
    [policy, [401, 401, 200, 200, 403, 403]],
    ['/raw/checkpoint', [401, 401, 403, 403, 200, 403]],
    ['/none/checkpoint', [401, 401, 403, 403, 403, 403]],
    ['/v1/logs', [401, 401, 200, 200, 200, 200]],
    ['/', [401, 401, 200, 200, 200, 200]],
    ['/metrics', [401, 401, 403, 403, 403, 200]],
    ['/healthz', [200, 200, 200, 200, 200, 200]],
    ['/readyz', [200, 200, 200, 200, 200, 200]],
    ['/openapi.json', [200, 200, 200, 200, 200, 200]],
  ]
  const wrong = `${tree.slice(0, -1)}${tree.endsWith('A') ? 'B' : 'A'}`
  for (const [path, statuses] of table) {
    const answers = await Promise.all(
      [undefined, wrong, tree, payload, elsewhere, metrics].map((token) => as(url, path, token)),
    )
    t.same(
      answers.map(({ status }) => status),
      statuses,
      path,
    )
    const known = answers.slice(2).filter(({ status }) => status === 200)
    if (statuses[0] !== 401) continue
    for (const { headers } of known) t.match(headers['cache-control'], /\b(private|no-store)\b/, `${path} is private`)
    for (const { headers } of known) t.notMatch(headers['cache-control'], /public/)
    t.equal(answers[0]!.headers['www-authenticate'], 'Bearer')
    t.match(answers[1]!.headers['www-authenticate'], /error="invalid_token"/)
  }
  t.equal(json(await as(url, '/test/v1/events/1', tree)).envelope, null)
  t.same(
    json(await as(url, '/test/v1/events', tree)).events.map(({ envelope }: { envelope: unknown }) => envelope),
    [null, null],
  )
  t.ok(json(await as(url, '/test/v1/events/1', payload)).envelope.payload)
  t.match(
    (await as(url, '/test/tile/0/000.p/1', tree)).headers['cache-control'],
    /^private, max-age=\d{6,}, immutable$/,
  )
  t.same(
    json(await as(url, '/v1/logs', elsewhere)).map(({ name }: { name: string }) => name),
    ['raw'],
  )
  t.same(json(await as(url, '/v1/logs', metrics)), [])
  const page = (await as(url, '/', elsewhere)).body.toString()
  t.ok(page.includes('/raw/checkpoint') && !page.includes('/test/checkpoint'))
  t.same(json(await as(url, '/readyz')), { ready: true, logs: [] }, 'without a token the status is all')
  t.same(
    json(await as(url, '/readyz', tree)).logs.map(({ name }: { name: string }) => name),
    ['test'],
  )
  for (const authorization of [
    '',
    'Bearer',
    'Basic dDp0',
    `Basic ${tree}`,
    tree,
    `Bearer ${tree} `.repeat(2),
    'Bearer tl_',
  ])
    t.equal((await ask(url, '/test/checkpoint', { headers: { authorization } })).status, 401, authorization)
  t.equal((await ask(url, '/test/checkpoint', { headers: { authorization: `bearer  ${tree}` } })).status, 200)
  t.equal((await ask(url, `/test/checkpoint?access_token=${tree}`)).status, 401, 'a URL ends up in logs')
})

t.test('every route that is not known to be open refuses who comes without a token', async (t) => {
  const { server } = await guarded(t)
  const open = new Set(['/healthz', '/readyz', '/openapi.json'])
  const { paths }: OpenApiDocument = json(await ask(server.url, '/openapi.json'))
  for (const [path, operations] of Object.entries(paths)) {
    for (const method of Object.keys(operations)) {
      const real = path
        .replace('{log}', 'test')
        .replace('{level}', '0')
        .replace('{tile}', '000')
        .replace(/\{(index|width)\}/g, '1')
        .replace('{a}/{b}/{digest}', `ab/cd/${'abcd'.repeat(16)}`)
      const { status } = await ask(server.url, real, { method: method.toUpperCase() })
      if (method === 'post') t.not(status, 401, `${method} ${real}`)
      else t.equal(status, open.has(path) ? 200 : 401, `${method} ${real}`)
      if (method === 'get') t.equal((await ask(server.url, real, { method: 'HEAD' })).status, status, `HEAD ${real}`)
    }
  }
})

t.test('tokens come, go and are kept while the server runs', async (t) => {
  const { data, server, failures } = await guarded(t)
  const file = tokensFile(data)
  const status = async (token: string) => (await as(server.url, '/raw/checkpoint', token)).status
  const first = tokenFor(data, ['raw'], 'tree')
  await becomes(200, () => as(server.url, '/raw/checkpoint', first))
  const second = tokenFor(data, ['raw'], 'tree')
  await becomes(200, () => as(server.url, '/raw/checkpoint', second))
  const [, kept] = readTokens(file)!
  changeTokens(file, (rules) => rules.slice(1))
  await becomes(401, () => as(server.url, '/raw/checkpoint', first))
  t.equal(await status(second), 200)
  t.notOk(JSON.stringify(readTokens(file)).includes(second.slice(12)), 'the file has no token in it')

  for (const spoil of [
    () => writeFileSync(file, '{"tokens": []'),
    () => writeFileSync(file, ''),
    () => chmodSync(file, 0o640),
  ]) {
    const before = failures.length
    spoil()
    for (let i = 0; i < 60 && failures.length === before; i++) {
      t.equal(await status(second), 200, 'a file that cannot be used changes nothing')
      await sleep(50)
    }
    t.match(failures.at(-1), { code: 'USAGE' })
  }
  rmSync(file)
  changeTokens(file, () => [kept!])
  await sleep(1_100)
  t.equal(await status(second), 200)
  rmSync(file)
  await becomes(401, () => as(server.url, '/raw/checkpoint', second))
})

t.test('what a file of tokens may look like', (t) => {
  const data = temporaryFolder(t)
  const file = tokensFile(data)
  t.equal(readTokens(file), undefined)
  const { token, rule } = mintToken(['raw'], ['tree'], 1)
  t.match(token, /^tl_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/)
  changeTokens(file, () => [rule])
  t.same(readTokens(file), [rule])
  for (const wrong of [
    { ...rule, extra: 1 },
    { ...rule, scopes: ['all'] },
    { ...rule, sha256: rule.sha256.toUpperCase() },
    { ...rule, id: 'x' },
    { ...rule, created: '1' },
  ]) {
    writeFileSync(file, `${JSON.stringify({ tokens: [wrong] }, null, 2)}\n`)
    t.throws(() => readTokens(file), { code: 'USAGE' }, JSON.stringify(wrong))
  }
  rmSync(file)
  writeFileSync(`${file}.new`, '')
  t.throws(() => changeTokens(file, () => []), { code: 'USAGE', message: /another command/ })
  rmSync(`${file}.new`)
  t.throws(() =>
    changeTokens(file, () => {
      throw new Error('no')
    }),
  )
  changeTokens(file, () => [])
  t.same(readTokens(file), [], 'what failed left nothing behind')
  t.end()
})

t.test('who reads without a token', (t) => {
  const seen = (gate: Gate, token?: string) => {
    const reader = gate.readerOf(token && `Bearer ${token}`)
    return reader && [reader.may('raw', 'tree'), reader.may('raw', 'payload'), reader.mayMeasure]
  }
  const everything = [true, true, true]
  const logs = [true, true, false]
  const onFailure = (error: unknown): never => {
    throw error
  }
  for (const tokens of [false, true]) {
    const data = temporaryFolder(t)
    const token = tokens ? tokenFor(data, ['raw'], 'tree', 'metrics') : undefined
    const gate = (open: boolean, loopback: boolean) =>
      new TokenGate({ file: tokensFile(data), public: open, loopback, onFailure })
    t.same(seen(gate(false, true)), tokens ? undefined : everything, 'this machine, until there is a token')
    t.same(seen(gate(false, false)), undefined, 'not strangers')
    t.same(seen(gate(true, true)), logs, 'a public server, but not its measurements')
    t.same(seen(gate(true, false)), logs)
    if (tokens) t.same(seen(gate(true, false), token), everything)
    if (tokens) t.same(seen(gate(false, false), token), [true, false, true])
  }
  t.end()
})

t.test('bodies in gzip, in chunks, and after 100-continue', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  await makeRawLog(data)
  const server = await startServer(data)
  t.teardown(() => server.close())
  const { url } = server
  const packed = (coding: string, body: Uint8Array, path = '/test/v1/events', type = 'application/json') =>
    ask(url, path, { method: 'POST', headers: { 'content-encoding': coding, 'content-type': type }, body })
  const text = event(signer, 'packed')
  t.equal((await packed('gzip', gzipSync(text))).status, 201)
  t.equal((await packed('GZIP', gzipSync(text, { level: 1 }))).status, 200)
  t.equal((await packed('x-gzip', gzipSync(text))).status, 200)
  t.equal((await packed('identity', toUtf8(text))).status, 200)
  const lines = gzipSync(`${text}\n${event(signer, 'packed line')}\n`)
  const batch = await packed('gzip', lines, '/test/v1/events/batch', 'application/x-ndjson')
  t.match(batch.body.toString(), /^\{"line":1,"status":200.*\n\{"line":2,"status":201.*\n$/)
  t.match(json(await packed('gzip', toUtf8(text))), { status: 400, code: 'MALFORMED_ENVELOPE' })
  t.match(json(await packed('gzip', gzipSync(text).subarray(0, -20))), { status: 400, code: 'MALFORMED_ENVELOPE' })
  for (const coding of ['br', 'deflate', 'gzip, gzip', '*'])
    t.match(
      json(await packed(coding, brotliCompressSync(text))),
      { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' },
      coding,
    )

  const head = `POST /test/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`
  const half = text.length >> 1
  const chunk = (part: string) => `${part.length.toString(16)}\r\n${part}\r\n`
  const chunked = await raw(url, [
    `${head}Transfer-Encoding: chunked\r\n\r\n${chunk(text.slice(0, half))}`,
    50,
    `${chunk(text.slice(half))}0\r\n\r\n`,
  ])
  t.match(chunked, /^HTTP\/1.1 200 /)
  const continued = await raw(url, [`${head}Expect: 100-continue\r\nContent-Length: ${text.length}\r\n\r\n`, 50, text])
  t.match(continued, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /)
})

t.test('a bomb is refused at the limit, and is never unpacked', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  const server = await startServer(data)
  t.teardown(() => server.close())
  // 990 MiB of zeros in one body: 990 members of 1 MiB.
  const member = gzipSync(new Uint8Array(2 ** 20), { level: 9 })
  const bomb = Buffer.concat(Array.from({ length: 990 }, () => member))
  const before = process.memoryUsage.rss()
  const began = performance.now()
  for (const path of ['/test/v1/events', '/test/v1/events/batch']) {
    const type = path.endsWith('batch') ? 'application/x-ndjson' : 'application/json'
    for (let i = 0; i < 5; i++) {
      const answer = await ask(server.url, path, {
        method: 'POST',
        headers: { 'content-encoding': 'gzip', 'content-type': type },
        body: bomb,
      })
      t.match(json(answer), { status: 413, code: 'BODY_TOO_LARGE' })
    }
  }
  t.ok(performance.now() - began < 5_000)
  t.ok(process.memoryUsage.rss() - before < 200 * 2 ** 20, 'memory stays flat')
})

t.test('a client that asks too often waits; others do not', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const server = await startServer(data, {
    http: { rates: { reads: 5, writes: 3 }, proxies: ['127.0.0.1'] },
  })
  t.teardown(() => server.close())
  const get = (path: string, address: string) => ask(server.url, path, { headers: { 'x-forwarded-for': address } })
  const add = (address: string) =>
    ask(server.url, '/raw/add', { method: 'POST', headers: { 'x-forwarded-for': address }, body: 'entry' })
  const reads = []
  for (let i = 0; i < 7; i++) reads.push(await get(i % 2 ? '/raw/checkpoint' : '/v1/logs', '192.0.2.1'))
  t.same(
    reads.map(({ status }) => status),
    [200, 200, 200, 200, 200, 429, 429],
    'all reads count together',
  )
  t.equal(json(reads[5]!).code, 'RATE_LIMITED')
  const wait = Number(reads[5]!.headers['retry-after'])
  t.ok(wait > 0 && wait <= 60)
  t.equal((await get('/raw/checkpoint', '192.0.2.2')).status, 200, 'another address')
  t.equal((await get('/healthz', '192.0.2.1')).status, 200)
  t.equal((await get('/readyz', '192.0.2.1')).status, 200)
  const writes = []
  for (let i = 0; i < 4; i++) writes.push(await add('192.0.2.1'))
  t.same(
    writes.map(({ status }) => status),
    [200, 200, 200, 503],
    'writers get 503, which their clients ask again after',
  )
  t.match(json(writes[3]!), { code: 'RATE_LIMITED', status: 503 })
  t.ok(Number(writes[3]!.headers['retry-after']) > 0)
  for (let i = 0; i < 5; i++) await get('/raw/checkpoint', `2001:db8::${i}`)
  t.equal((await get('/raw/checkpoint', '2001:db8::ffff')).status, 429, 'one IPv6 network is one client')
  t.equal((await get('/raw/checkpoint', '2001:db8:0:1::1')).status, 200)

  const another = temporaryFolder(t)
  await makeRawLog(another)
  const direct = await startServer(another, { http: { rates: { reads: 1, writes: 0 } } })
  t.teardown(() => direct.close())
  const forged = (n: number) => ask(direct.url, '/v1/logs', { headers: { 'x-forwarded-for': `192.0.2.${n}` } })
  t.equal((await forged(1)).status, 200)
  t.equal((await forged(2)).status, 429, 'only a proxy that was named is believed')
  for (let i = 0; i < 5; i++) t.equal((await post(direct.url, '/raw/add', 'x')).status, 200, '0 is no limit')
})

t.test('clients that are slow, silent, too many or make no sense', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const server = await startServer(data, { http: { maxConnections: 3 } })
  t.teardown(() => server.close())
  const { url, app } = server
  t.equal(app.server.headersTimeout, 10_000)
  t.equal(app.server.requestTimeout, 60_000)
  app.server.headersTimeout = 200
  app.server.requestTimeout = 400
  const head = 'POST /raw/add HTTP/1.1\r\nHost: x\r\n'
  const began = performance.now()
  const [slowHead, slowBody] = await Promise.all([
    raw(url, [head, 300, 'A: b\r\n', 300, 'C: d\r\n', 60_000]),
    raw(url, [`${head}Content-Length: 10\r\n\r\n`, 300, '12', 60_000]),
  ])
  t.match(slowHead, /^HTTP\/1.1 408 Request Timeout\r\nContent-Type: application\/problem\+json\r\n/)
  t.match(JSON.parse(slowHead.split('\r\n\r\n')[1]!), { type: 'about:blank', status: 408, code: undefined })
  t.match(slowBody, /^(HTTP\/1.1 408 .*)?$/s)
  t.ok(performance.now() - began < 8_000)

  t.match(await raw(url, 'GARBAGE\r\n\r\n'), /^HTTP\/1.1 400 Bad Request\r\nContent-Type: application\/problem\+json/)
  t.match(await raw(url, `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 431 /)
  t.match(
    await raw(url, `${head}Expect: magic\r\nContent-Length: 1\r\n\r\n`.replace('\r\n', '\r\nConnection: close\r\n')),
    /^HTTP\/1.1 417 /,
  )
  t.match(
    await raw(url, `${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`),
    /^HTTP\/1.1 400 /,
    'smuggling',
  )

  const silent = Array.from({ length: 3 }, () => connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {}))
  await sleep(100)
  t.equal(await raw(url, 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), '', 'one too many')
  for (const socket of silent) socket.destroy()
  await sleep(100)
  const metrics = (await ask(url, '/metrics')).body.toString()
  t.match(metrics, /^treeline_http_connections_dropped_total 1$/m)
})

t.test('metrics count what happened, in series that no client can make', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  const server = await startServer(data)
  t.teardown(() => server.close())
  const { url } = server
  const value = async (series: string): Promise<number | undefined> => {
    const text = (await ask(url, '/metrics')).body.toString()
    const line = text.split('\n').find((one) => one.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.slice(series.length + 1))
  }
  for (let i = 0; i < 3; i++) await post(url, '/test/v1/events', event(signer, `counted ${i}`))
  await post(url, '/test/v1/events', 'no envelope')
  await post(url, '/test/v1/events', event(new Actor(), 'stranger'))
  await post(url, '/test/v1/events/batch', `no envelope\n${event(signer, 'counted 0')}\n`, 'application/x-ndjson')
  await ask(url, '/test/v1/events', { method: 'HEAD' })
  for (let i = 0; i < 20; i++) {
    await ask(url, `/${i}/${'x'.repeat(i)}`)
    await ask(url, `/log-${i}/checkpoint`)
    await post(url, `/log-${i}/v1/events`, 'x')
    await ask(url, `/nothing${i}`, { method: ['PUT', 'DELETE', 'PROPFIND', 'PURGE'][i % 4]! })
  }
  const submit = 'method="POST",route="/:log/v1/events"'
  t.equal(await value(`treeline_http_requests_total{${submit},status="201"}`), 3)
  t.equal(await value(`treeline_http_requests_total{${submit},status="400"}`), 1)
  t.equal(await value(`treeline_http_requests_total{method="HEAD",route="/:log/v1/events",status="200"}`), 1)
  t.equal(await value(`treeline_http_requests_total{method="GET",route="/:log/checkpoint",status="404"}`), 20)
  t.equal(await value(`treeline_http_requests_total{method="any",route="none",status="404"}`), 40)
  t.equal(await value(`treeline_http_request_duration_seconds_count{${submit}}`), 25)
  t.equal(await value(`treeline_http_request_duration_seconds_bucket{le="+Inf",${submit}}`), 25)
  t.ok((await value(`treeline_http_request_duration_seconds_sum{${submit}}`))! > 0)
  t.equal(await value('treeline_rejected_total{log="test",code="MALFORMED_ENVELOPE"}'), 2)
  t.equal(await value('treeline_rejected_total{log="test",code="UNKNOWN_KEY"}'), 1)
  t.equal(await value('treeline_log_entries_appended_total{log="test"}'), 3)
  t.equal(await value('treeline_log_commit_duration_seconds_count{log="test"}'), 3)
  t.equal(await value('treeline_log_commit_entries_sum{log="test"}'), 3)
  t.equal(await value('treeline_log_size{log="test"}'), 4)
  t.equal(await value('treeline_log_ready{log="test"}'), 1)
  t.equal(await value('treeline_log_queue_entries{log="test"}'), 0)
  for (let i = 0; i < 50 && (await value('treeline_log_published_size{log="test"}')) !== 4; i++) await sleep(20)
  t.equal(await value('treeline_log_publish_lag_seconds{log="test"}'), 0)
  const text = (await ask(url, '/metrics')).body.toString()
  t.equal(new Set(text.match(/^treeline_http_requests_total\{[^}]*\}/gm)).size < 30, true)
  t.notMatch(text, /log-7|xxx|nothing/)
  for (const line of text.split('\n')) t.match(line, /^($|# (HELP|TYPE) treeline_|treeline_\w+(\{[^}]*\})? \S+$)/)
})

t.test('lines of the log say what happened, and nothing that was sent', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  const lines: string[] = []
  const logger = pino(
    { level: 'debug', base: null, serializers: { err: describeError }, formatters: { level: (level) => ({ level }) } },
    { write: (line: string) => lines.push(line) },
  )
  let broken = false
  const wrap = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (broken && name === 'entry') return async () => JSON.parse('{SECRET-IN-A-PAYLOAD')
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  const token = tokenFor(data, ['test'], 'tree', 'payload')
  const gate = new TokenGate({ file: tokensFile(data), public: false, loopback: true, onFailure: () => {} })
  const server = await startServer(data, { wrap, http: { gate, logger } })
  t.teardown(() => server.close())
  const { url } = server
  const headers = { authorization: `Bearer ${token}`, cookie: 'SECRET-COOKIE', 'user-agent': 'SECRET-AGENT' }
  await post(url, '/test/v1/events', event(signer, 'SECRET-SUBJECT', { key: 'SECRET-VALUE' }))
  await post(url, '/test/v1/events', '{"SECRET-KEY": SECRET')
  await ask(url, `/test/v1/events/1?SECRET-PARAMETER=${token}`, { headers })
  await ask(url, '/SECRET-PATH', { headers })
  await ask(url, '/SECRET-LOG/checkpoint', { headers })
  await ask(url, '/test/v1/events/1', { headers })
  broken = true
  const bug = await ask(url, '/test/v1/events/1', {
    headers: { ...headers, 'x-request-id': 'id-of-the-client' },
  }).catch(() => undefined)
  t.equal(bug, undefined, 'a bug is no answer that the description has')
  broken = false
  await ask(url, '/healthz')
  await sleep(50)
  const text = lines.join('\n')
  t.notMatch(text, /SECRET/)
  t.notOk(text.includes(token.slice(12)) || text.includes('Bearer'))
  const found = lines.map((line) => JSON.parse(line))
  t.match(found[0], {
    level: 'info',
    method: 'POST',
    route: '/:log/v1/events',
    log: 'test',
    status: 201,
    address: '127.0.0.1',
    bytes: Number,
    ms: Number,
    id: /^[A-Za-z0-9_-]+-[0-9a-z]+$/,
  })
  t.match(
    found.find(({ route }) => route === '/:log/v1/events/:index'),
    { token: token.slice(3, 11) },
  )
  t.match(
    found.find(({ route }) => route === 'none'),
    { status: 404 },
  )
  t.notOk('log' in found.find(({ route, status }) => route === '/:log/checkpoint' && status === 403))
  const bugs = found.filter(({ id }) => id === 'id-of-the-client')
  t.match(bugs, [
    { level: 'error', msg: 'a bug', err: { name: 'SyntaxError', stack: /at / } },
    { level: 'error', status: 500 },
  ])
  t.match(
    found.find(({ route }) => route === '/healthz'),
    { level: 'debug' },
  )
})

t.test('request ids', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const server = await startServer(data)
  t.teardown(() => server.close())
  const idFor = async (id?: string) =>
    (await ask(server.url, '/healthz', id === undefined ? {} : { headers: { 'x-request-id': id } })).headers[
      'x-request-id'
    ]
  for (const sane of ['01HZY-abc_d.e', '4bf92f3577b34da6a3ce929d0e0e4736']) t.equal(await idFor(sane), sane)
  const made = new Set<unknown>()
  for (const odd of [
    undefined,
    undefined,
    '',
    'short',
    'x'.repeat(65),
    'with space and more',
    '<script>alert(1)</script>',
    '"},{"level":60',
  ])
    made.add(await idFor(odd))
  t.equal(made.size, 8, 'each gets one of its own')
  for (const id of made) t.match(id, /^[A-Za-z0-9_-]{8}-[0-9a-z]+$/)
})

t.test('the page is plain, and nobody can write into it', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data, 'odd', `log.example/<b>"&'</b>`)
  await makeRawLog(data)
  const server = await startServer(data)
  t.teardown(() => server.close())
  const { headers, body } = await ask(server.url, '/')
  const page = body.toString()
  t.match(
    headers['content-security-policy'],
    /^default-src 'none';style-src 'sha256-[\w+/=]+';base-uri 'none';form-action 'none';frame-ancestors 'none'$/,
  )
  t.equal(headers['x-frame-options'], 'DENY')
  t.equal(headers['referrer-policy'], 'no-referrer')
  t.notMatch(page, /<b>|<script|\son\w+=|style=/)
  t.ok(page.includes('log.example/&lt;b&gt;&quot;&amp;&#39;&lt;/b&gt;'))
  t.match(page, /<html lang="en">.*<title>.*<main>.*<h1>.*<section aria-labelledby="log-odd">.*<h2 id="log-odd">/s)
  t.match(page, /color-scheme:light dark/)
  const api = await ask(server.url, '/raw/checkpoint')
  t.equal(api.headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'")
  t.equal(api.headers['x-content-type-options'], 'nosniff')
})

t.test('a server that closes answers what it took, and nothing more', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const store = pausable()
  const server = await startServer(data, { wrap: store.wrap })
  const { url, app, opened } = server
  store.pause()
  const posts = Array.from({ length: 20 }, (_, i) => post(url, '/raw/add', `entry ${i}`))
  const { log } = opened.logs.get('raw')!
  while (log.queued.entries < 19) await sleep(5)
  const { port } = new URL(url)
  const idle = connect(Number(port), '127.0.0.1')
  const gone = new Promise((resolve) => idle.once('close', resolve))
  idle.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  await new Promise((resolve) => idle.once('data', resolve))
  const closed = closeServer(app, 10_000)
  await gone
  await t.rejects(ask(url, '/healthz'), { code: 'ECONNREFUSED' })
  store.resume()
  const answers = await Promise.all(posts)
  t.same(
    answers.map(({ body }) => Number(body.toString())).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i),
  )
  for (const { headers } of answers) t.equal(headers.connection, 'close')
  t.equal(await closed, true)
  await opened.close()
  t.equal(log.published?.size, 20, 'all of it is published')
  await t.rejects(addRaw(log, toUtf8('late')), { code: 'STORAGE_FAILED' })
})

t.test('a server that closes waits no longer than it was told', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const store = pausable()
  const server = await startServer(data, { wrap: store.wrap })
  store.pause()
  const cut = t.rejects(post(server.url, '/raw/add', 'entry'))
  const silent = raw(server.url, 'POST /raw/add HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12')
  await sleep(100)
  const began = performance.now()
  t.equal(await closeServer(server.app, 300), false)
  t.ok(performance.now() - began < 3_000)
  await cut
  t.equal(await silent, '', 'no half answer')
  store.resume()
  await server.opened.close()
})

t.test('what goes on when it was cut off finds its log closed, and that is no bug', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  const store = pausable('bundle')
  const lines: { level: number; err: { message: string } }[] = []
  const logger = pino({ level: 'debug' }, { write: (line) => lines.push(JSON.parse(line)) })
  const server = await startServer(data, { wrap: store.wrap, http: { logger } })
  await post(server.url, '/raw/add', 'entry')
  store.pause()
  const cut = t.rejects(ask(server.url, '/raw/tile/entries/000.p/1'))
  await sleep(100)
  t.equal(await closeServer(server.app, 50), false)
  await cut
  await server.opened.close()
  store.resume()
  await sleep(100)
  const said = lines.filter(({ err }) => err?.message.includes('not open'))
  t.match(said, [{ level: 20 }], 'it can be looked for')
})
