import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { operations } from '../../src/http/operations.ts'
import { buildServer } from '../../src/http/server.ts'
import { Actor, event } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, makeRawLog, startServer, temporaryFolder } from '../support/server.ts'
import { checkAnswer, type OpenApiDocument } from '../support/validate.ts'

const signer = new Actor()
const data = temporaryFolder(t)
await makeEventLog(data, [new Actor()], [{ actor: signer }])
await makeRawLog(data)
const server = await startServer(data)
t.teardown(() => server.close())

const served = await ask(server.url, '/openapi.json')
const document = json(served) as OpenApiDocument
const all = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

t.test('the document is OpenAPI 3.1', async (t) => {
  t.equal(served.headers['content-type'], 'application/json; charset=utf-8')
  const validator = new Validator()
  const { valid, errors } = await validator.validate(json(served))
  t.ok(valid, JSON.stringify(errors))
  t.equal(validator.version, '3.1')
  t.notOk((await new Validator().validate({ ...json(served), paths: { x: 1 } })).valid, 'the validator can refuse')
})

t.test('every route is described, and nothing else', async (t) => {
  const ids = all.map(({ operation }) => operation.operationId)
  t.same([...ids].sort(), [...Object.values(operations).map((one) => one.operationId), 'getPartialTile'].sort())
  const app = await buildServer(new Map(), { bodyLimit: 1, batchBytes: 1, waitLimit: 1 })
  for (const { path, method } of all) {
    const url = path
      .replace('{level}/{tile}', '*')
      .replace('.p/{width}', '')
      .replace(/\{(\w+)\}/g, ':$1')
    t.ok(app.hasRoute({ method, url }), `${method} ${url}`)
  }
})

t.test('every answer that can come has its own status, and errors are problems', async (t) => {
  for (const { path, method, operation } of all) {
    const statuses = Object.keys(operation.responses)
    t.ok(
      statuses.some((status) => status.startsWith('2')),
      `${method} ${path}`,
    )
    for (const [status, { content = {} }] of Object.entries(operation.responses)) {
      t.match(status, /^[2345][0-9][0-9]$/, `${method} ${path}`)
      const readiness = path === '/readyz'
      if (Number(status) >= 400 && !readiness) t.same(Object.keys(content), ['application/problem+json'])
    }
    const parameters = (operation.parameters ?? []).map(({ name }) => name)
    for (const [, name] of path.matchAll(/\{(\w+)\}/g)) t.ok(parameters.includes(name!), `${path} ${name}`)
    t.ok(operation.summary)
  }
})

t.test('answers of every route are as described', async (t) => {
  const first = await post(server.url, '/test/v1/events', event(signer, 'model'))
  t.equal(first.status, 201)
  const { index } = json(first)
  const { addendum } = json(await ask(server.url, `/test/v1/events/${index}`))
  const address = `${addendum.slice(0, 2)}/${addendum.slice(2, 4)}/${addendum}`
  for (const path of [
    ...['/', '/healthz', '/readyz', '/v1/logs', '/openapi.json', '/test/checkpoint', '/test/addenda.v1'],
    ...['/test/tile/0/000.p/1', '/test/tile/entries/000.p/2', '/test/v1/policy', `/test/addenda/${address}`],
    ...['/test/v1/events', '/test/v1/events?from=1&limit=1', '/test/v1/events/0', `/test/v1/evidence/0`],
    ...['/test/v1/proofs/inclusion?index=0', '/test/v1/proofs/consistency?from=1&to=2', '/test/v1/witnesses', '/logs'],
  ]) {
    // The request fails where the answer is not as described.
    t.equal((await ask(server.url, path)).status, 200, path)
    t.equal((await ask(server.url, path, { method: 'HEAD' })).status, 200, `HEAD ${path}`)
  }
  t.equal((await post(server.url, '/raw/add', 'x')).status, 200)
  const coded = { headers: { 'content-encoding': 'br' } }
  t.equal((await ask(server.url, '/v1/logs', coded)).status, 200, 'the coding of a body that is not there')
  t.equal((await ask(server.url, '/raw/add', { ...coded, method: 'POST', body: 'x' })).status, 415)
})

t.test('checkAnswer refuses what is not described', async (t) => {
  const proof = { index: 0, size: 1, leafHash: 'ab'.repeat(32), hashes: [] }
  const check =
    (status: number, body: unknown, type = 'application/json') =>
    () =>
      checkAnswer('GET', '/test/v1/proofs/inclusion?index=0', status, type, Buffer.from(JSON.stringify(body)))
  t.doesNotThrow(check(200, proof))
  t.throws(check(200, { ...proof, more: 1 }), /additional/)
  t.throws(check(200, { ...proof, index: '0' }), /integer/)
  t.throws(check(200, { index: 0 }), /required/)
  t.throws(check(201, proof), /status/)
  t.throws(check(500, proof), /status/)
  t.throws(check(200, proof, 'text/plain'), /media type/)
  const problem = (code: string, status = 404) => ({
    ...{ type: `urn:treeline:problem:${code}`, title: 'x', detail: 'x', code, status },
  })
  t.doesNotThrow(check(404, problem('UNKNOWN_SIZE'), 'application/problem+json'))
  t.throws(check(404, problem('REDACTED'), 'application/problem+json'), /allowed values/)
  t.throws(check(404, problem('UNKNOWN_SIZE', 400), 'application/problem+json'), /constant/)
  const elsewhere = (method: string, path: string, status: number, code: string) => () =>
    checkAnswer(method, path, status, 'application/problem+json', Buffer.from(JSON.stringify(problem(code, status))))
  t.doesNotThrow(elsewhere('GET', '/a/b/c', 404, 'NOT_FOUND'))
  t.throws(elsewhere('GET', '/a/b/c', 404, 'UNKNOWN_LOG'))
  t.throws(elsewhere('GET', '/a/add', 404, 'NOT_FOUND'))
  t.doesNotThrow(elsewhere('GET', '/a/add', 405, 'METHOD_NOT_ALLOWED'))
  t.throws(() => checkAnswer('POST', '/a/v1/events/batch', 200, 'application/x-ndjson', Buffer.from('{"line":1}\n')))
})

t.test('numbers in query strings have one spelling', async (t) => {
  const get = (query: string) => ask(server.url, `/test/v1/proofs/consistency?${query}`)
  t.match(json(await get('from=0&to=1')), { from: 0, to: 1 })
  for (const query of [
    ...[
      'from=00&to=1',
      'from=0&to=1e0',
      'from=0&to=+1',
      'from=0&to=%201',
      'from=0&to=1.0',
      'from=-0&to=1',
      'from=&to=1',
    ],
    ...['from=0&to=0x1', 'from=0&to=9007199254740992', 'from=0&from=0&to=1', 'from=0&to=1&to=1', 'from=0', 'to=1', ''],
    ...[
      'from=0&to=1&size=1',
      'from=0&to=1&__proto__=1',
      'from=0&to=1&constructor=1',
      'from=null&to=1',
      'from[]=0&to=1',
    ],
  ]) {
    const answer = await get(query)
    t.match([answer.status, json(answer).code], [400, 'UNKNOWN_PARAMETER'], query)
  }
  t.equal((await get('from=0&to=9007199254740991')).status, 404)
  const unknown = await ask(server.url, '/test/v1/events?limti=1')
  t.match(json(unknown).detail, /"limti"/)
})

t.test('another method is 405, and says which the path takes', async (t) => {
  for (const [method, path, allow] of [
    ['GET', '/test/v1/redactions', 'POST'],
    ['DELETE', '/test/v1/events', 'POST, GET, HEAD'],
    ['POST', '/test/v1/events/7', 'GET, HEAD'],
    ['PUT', '/raw/tile/0/x001/000', 'GET, HEAD'],
    ['OPTIONS', '/v1/logs', 'GET, HEAD'],
    ['TRACE', '/healthz', 'GET, HEAD'],
    ['OPTIONS', '/test/v1/events/batch', 'POST'],
    ['QUERY', '/test/v1/events', 'POST, GET, HEAD'],
  ] as const) {
    const { status, headers } = await ask(server.url, path, { method })
    t.same([status, headers.allow], [405, allow], `${method} ${path}`)
  }
  for (const path of ['/%', '/%ff/checkpoint', '/test/v1/%zz', '/test/v1/nothing', '/docs/nothing'])
    t.equal((await ask(server.url, path)).status, 404, path)
})

t.test('the pages at /docs run nothing that is not a file of the server', async (t) => {
  const page = await ask(server.url, '/docs')
  const text = page.body.toString()
  t.equal(page.status, 200)
  t.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self'; /)
  t.notMatch(page.headers['content-security-policy'], /unsafe|https?:|\*/)
  t.notMatch(text, /<script(?![^>]* src=)|<style|\son\w+=|https?:/i, 'nothing inline, nothing from elsewhere')
  for (const [, file] of text.matchAll(/(?:src|href)="([^"]+)"/g))
    t.equal((await ask(server.url, file!)).status, 200, file!)
  t.same(json(await ask(server.url, '/docs/json')), document)
})
