/** How the server serves the built explorer, and that it does without. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { readExplorer } from '../../src/http/explorer.ts'
import { ask, exchange } from '../support/http.ts'
import { makeRawLog, startServer, temporaryFolder } from '../support/server.ts'

const HTML = '<!doctype html><title>Treeline</title><script type="module" src="/assets/index-abc.js"></script>'
const SCRIPT = 'console.log("é")'

const data = temporaryFolder(t)
await makeRawLog(data)
const built = temporaryFolder(t)
mkdirSync(join(built, 'assets'))
writeFileSync(join(built, 'index.html'), HTML)
writeFileSync(join(built, 'assets/index-abc.js'), SCRIPT)
const closed = { readerOf: () => undefined }
const server = await startServer(data, { http: { explorer: built, gate: closed } })
t.teardown(() => server.close())

t.test('the page and its files are open to all, also where logs are not', async (t) => {
  t.equal((await ask(server.url, '/v1/logs')).status, 401)
  const page = await ask(server.url, '/')
  t.equal(page.status, 200)
  t.equal(page.body.toString(), HTML)
  const policy = page.headers['content-security-policy'] ?? ''
  t.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; /)
  t.notMatch(policy, /unsafe|https?:|\*|data:/)
  t.equal(page.headers['cache-control'], 'no-cache')
  const script = await exchange(server.url, '/assets/index-abc.js')
  t.equal(script.headers['content-type'], 'text/javascript; charset=utf-8')
  t.equal(script.headers['cache-control'], 'public, max-age=31536000, immutable')
  t.equal(script.headers['x-content-type-options'], 'nosniff')
  t.equal(script.body.toString(), SCRIPT)
})

t.test('packed where that is taken, and not sent again where it is known', async (t) => {
  const path = '/assets/index-abc.js'
  const packed = await exchange(server.url, path, { headers: { 'accept-encoding': 'gzip' } })
  t.equal(packed.headers['content-encoding'], 'gzip')
  t.equal(gunzipSync(packed.body).toString(), SCRIPT)
  const etag = `"${createHash('sha256').update(SCRIPT).digest('hex').slice(0, 32)}"`
  t.equal(packed.headers.etag, etag)
  const again = await exchange(server.url, path, { headers: { 'if-none-match': etag } })
  t.equal(again.status, 304)
  t.equal(again.body.length, 0)
})

t.test('no other file of the folder or beside it is served', async (t) => {
  for (const path of [
    '/assets/',
    '/assets/index.html',
    '/assets/../index.html',
    '/assets/%2e%2e/index.html',
    '/index.html',
    '/assets/none.js',
  ])
    t.equal((await exchange(server.url, path)).status, 404, path)
})

t.test('the plain page stands at /logs, and at / where nothing was built', async (t) => {
  t.equal((await ask(server.url, '/logs')).status, 401)
  t.equal(readExplorer(join(built, 'nothing')), undefined)
  const other = temporaryFolder(t)
  await makeRawLog(other)
  const plain = await startServer(other, { http: { explorer: join(built, 'nothing') } })
  t.teardown(() => plain.close())
  for (const path of ['/', '/logs']) {
    const { body, headers } = await ask(plain.url, path)
    t.match(body.toString(), 'log.example/raw', path)
    t.notMatch(headers['content-security-policy'] ?? '', 'script-src', path)
  }
})

t.test('a folder with files that no build makes is refused', (t) => {
  const strange = temporaryFolder(t)
  mkdirSync(join(strange, 'assets'))
  writeFileSync(join(strange, 'index.html'), HTML)
  writeFileSync(join(strange, 'assets/key.pem'), 'x')
  t.throws(() => readExplorer(strange), /build it again/)
  t.end()
})
