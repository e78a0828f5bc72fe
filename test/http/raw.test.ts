import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { fromBase64, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import { leafHash, verifyInclusion } from '../../src/core/merkle.ts'
import { ED25519, parseNote, verifyNote } from '../../src/core/note.ts'
import { formatTilePath, MAX_ENTRY_SIZE, parseBundle, tileCounts } from '../../src/core/tile.ts'
import { Tree } from '../../src/core/tree.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { ask, json, post } from '../support/http.ts'
import { makeRawLog, startServer, temporaryFolder } from '../support/server.ts'

const SIZE = 300
const entries = Array.from({ length: SIZE }, (_, i) => toUtf8(`entry ${i}`))
const data = temporaryFolder(t)
const vkey = await makeRawLog(data)
const server = await startServer(data)
t.teardown(() => server.close())
const get = (path: string, headers: Record<string, string> = {}) => ask(server.url, `/raw/${path}`, { headers })

// One at a time up to 260, so that checkpoints of many sizes are published; then a burst.
const published: { size: number; note: string }[] = []
for (let i = 0; i < SIZE; i++) {
  const answer = await post(server.url, '/raw/add', entries[i]!, 'application/octet-stream')
  if (answer.status !== 200 || answer.body.toString() !== String(i)) throw new Error(answer.body.toString())
  if (i % 20 === 0) {
    const note = (await get('checkpoint')).body.toString()
    published.push({ size: Number(note.split('\n')[1]), note })
  }
}
async function checkpointOf(size: number): Promise<string> {
  for (let i = 0; i < 200; i++) {
    const note = (await get('checkpoint')).body.toString()
    if (note.split('\n')[1] === String(size)) return note
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`no checkpoint of ${size}`)
}
const note = await checkpointOf(SIZE)

t.test('TC-8 the checkpoint is signed under a key named like its origin', async (t) => {
  const parsed = parseNote(toUtf8(note))
  t.equal(parseCheckpoint(parsed.text).origin, 'log.example/raw')
  t.same(
    parsed.signatures.map(({ name }) => name),
    ['log.example/raw'],
  )
})

t.test('TT-1 the checkpoint is served as text', async (t) => {
  const answer = await get('checkpoint')
  t.equal(answer.status, 200)
  t.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
  t.equal(parseCheckpoint(parseNote(answer.body).text).size, BigInt(SIZE))
})

t.test('TT-2 the checkpoint is not cached', async (t) => {
  t.equal((await get('checkpoint')).headers['cache-control'], 'no-cache')
})

t.test('TT-3 the checkpoint carries an Ed25519 signature of the log', async (t) => {
  const key = parseVkey(vkey)
  t.equal(key.type, ED25519)
  t.equal(verifyNote(parseNote(toUtf8(note)), [ed25519NoteVerifier(key)]).length, 1)
})

t.test('TT-4 any other spelling of a tile path is 404', async (t) => {
  for (const path of [
    'tile/0/%30%30%30',
    'tile/0/0',
    'tile/00/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/x000/000',
    'tile/0/000/',
    'tile/64/000',
    'tile/-1/000',
    'tile/entries/000.p/',
    'tile/0/000.p/1/',
    'tile/0//000',
    'tile/0/../0/000',
    'tile/0/001.P/44',
    'Tile/0/000',
    'tile/data/000',
    'tile/0/%2e%2e/000',
    'tile%2f0/000',
    'checkpoint/',
    '%63heckpoint',
  ]) {
    const { status, headers } = await get(path)
    t.equal(status, 404, path)
    t.match(headers['content-type'], /^application\/problem\+json/, path)
  }
})

t.test('TT-5 tiles and bundles are octet streams', async (t) => {
  for (const path of ['tile/0/000', 'tile/0/001.p/44', 'tile/1/000.p/1', 'tile/entries/000', 'tile/entries/001.p/44']) {
    const answer = await get(path)
    t.equal(answer.status, 200, path)
    t.equal(answer.headers['content-type'], 'application/octet-stream', path)
  }
  const bundle = new Uint8Array((await get('tile/entries/001.p/44')).body)
  t.same(parseBundle(bundle), entries.slice(256))
})

t.test('TT-7 a tile wider than the tree is 404', async (t) => {
  for (const path of [
    'tile/0/001.p/45',
    'tile/0/001',
    'tile/0/002.p/1',
    'tile/1/000.p/2',
    'tile/1/000',
    'tile/2/000.p/1',
    'tile/entries/001',
  ]) {
    t.equal((await get(path)).status, 404, path)
  }
})

t.test('TT-8 the partial tiles of every published size are served', async (t) => {
  t.ok(published.length > 10)
  for (const { size } of published) {
    const tree = Tree.empty.append(entries.slice(0, size).map(leafHash)).tree
    for (const { level, full, partial } of tileCounts(size)) {
      if (partial === 0) continue
      const answer = await get(formatTilePath({ level, index: full, width: partial }))
      t.same(new Uint8Array(answer.body), tree.tileBytes(level, full, partial), `level ${level} of size ${size}`)
    }
  }
})

t.test('TT-10 tiles and bundles are cached for long, errors are not', async (t) => {
  for (const path of ['tile/0/000', 'tile/entries/000.p/7']) {
    t.match((await get(path)).headers['cache-control'], /max-age=\d{6,}, immutable/, path)
  }
  const error = await get('tile/0/777')
  t.equal(error.headers['cache-control'], 'no-store')
  t.equal(error.headers['content-encoding'], undefined)
})

t.test('TT-12 a bundle is compressed for whoever accepts gzip', async (t) => {
  const plain = await get('tile/entries/000')
  const packed = await get('tile/entries/000', { 'accept-encoding': 'br, gzip;q=0.5' })
  t.equal(plain.headers['content-encoding'], undefined)
  t.equal(packed.headers['content-encoding'], 'gzip')
  t.equal(packed.headers.vary, 'accept-encoding')
  t.ok(packed.body.length < plain.body.length)
  t.same(gunzipSync(packed.body), plain.body)
  t.equal(
    (await get('tile/entries/000', { 'accept-encoding': 'gzip;q=0, identity' })).headers['content-encoding'],
    undefined,
  )
})

t.test('an entry is found by its leaf hash, and proved in any size', async (t) => {
  const leaf = leafHash(entries[123]!)
  const proof = json(await get(`v1/proofs/inclusion?leaf=${Buffer.from(leaf).toString('hex')}&size=200`))
  const root = Tree.empty.append(entries.slice(0, 200).map(leafHash)).tree.root
  const hashes = proof.hashes.map((hash: string) => fromBase64(hash))
  t.ok(verifyInclusion(BigInt(proof.index), 200n, leaf, hashes, root))
})

t.test('what a raw log does not take', async (t) => {
  t.equal((await post(server.url, '/raw/add', new Uint8Array(MAX_ENTRY_SIZE + 1))).status, 413)
  t.equal((await post(server.url, '/other/add', 'x')).status, 404)
  for (const path of ['addenda.v1', 'v1/events', 'v1/policy', 'v1/evidence/0'])
    t.equal((await get(path)).status, 404, path)
  const biggest = await post(server.url, '/raw/add', new Uint8Array(MAX_ENTRY_SIZE))
  t.equal(biggest.body.toString(), String(SIZE))
})

t.test('the page lists the logs, and a server whose logs take entries is ready', async (t) => {
  const page = await ask(server.url, '/')
  t.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  t.match(page.headers['content-security-policy'], /^default-src 'none'/)
  t.ok(page.body.includes('log.example/raw') && page.body.includes(vkey))
  const readiness = await ask(server.url, '/readyz')
  t.match([readiness.status, json(readiness)], [200, { ready: true, logs: [{ name: 'raw', ready: true, code: null }] }])
})
