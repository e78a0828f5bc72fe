import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { concat, fromHex, fromUtf8, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { leafHash, rootHash } from '../../src/core/merkle.ts'
import {
  formatBundle,
  formatTilePath,
  MAX_ENTRY_SIZE,
  parseBundle,
  parseTilePath,
  TILE_HEIGHT,
  TILE_WIDTH,
  type TilePath,
  tileCounts,
  tileWidth,
} from '../../src/core/tile.ts'
import vectors from '../vectors/c2sp-tlog-tiles.json' with { type: 'json' }
import golang from '../vectors/golang-mod/tlog-note-values.json' with { type: 'json' }
import { readerOf } from './full-tree.ts'
import { assertStrict } from './strict.ts'

/** All resources of a log of these entries but its checkpoint, by path. */
function resources(entries: readonly Uint8Array[]): Map<string, Uint8Array> {
  const read = readerOf(entries.map(leafHash))
  const files = new Map<string, Uint8Array>()
  for (const { level, full, partial } of tileCounts(entries.length)) {
    for (let index = 0; index < full + Math.min(partial, 1); index++) {
      const width = tileWidth(entries.length, level, index)
      const from = index * TILE_WIDTH
      const hashes = Array.from({ length: width }, (_, i) => read({ height: level * TILE_HEIGHT, index: from + i }))
      files.set(formatTilePath({ level, index, width }), concat(...hashes))
      if (level === 0) {
        files.set(formatTilePath({ level: 'entries', index, width }), formatBundle(entries.slice(from, from + width)))
      }
    }
  }
  return files
}

const entryLog = (size: number): Uint8Array[] => Array.from({ length: size }, (_, i) => toUtf8(`entry ${i}`))
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

t.test('TT-4 tile paths are formatted and parsed', (t) => {
  for (const { path, entries_path, ...tile } of vectors.paths) {
    t.equal(formatTilePath(tile), path)
    t.same(parseTilePath(path), tile, path)
    if (entries_path === undefined) continue
    const { index, width } = tile
    t.equal(formatTilePath({ level: 'entries', index, width }), entries_path)
    t.same(parseTilePath(entries_path), { level: 'entries', index, width }, entries_path)
  }
  const tiles: fc.Arbitrary<TilePath> = fc.record({
    level: fc.oneof(fc.nat(63), fc.constant('entries' as const)),
    index: fc.oneof(fc.nat(2000), fc.maxSafeNat()),
    width: fc.integer({ min: 1, max: TILE_WIDTH }),
  })
  fc.assert(fc.property(tiles, (tile) => JSON.stringify(parseTilePath(formatTilePath(tile))) === JSON.stringify(tile)))
  t.end()
})

t.test('TT-4 any other spelling of a tile path is refused', (t) => {
  for (const { path, why } of vectors.invalid_paths) {
    t.throws(() => parseTilePath(path), { code: 'MALFORMED_TILE_PATH' }, `${path}: ${why}`)
  }
  // Go's checksum database has the height of its tiles before the level.
  for (const [path] of golang.sumdb_tile_paths.paths) {
    t.throws(() => parseTilePath(path as string), { code: 'MALFORMED_TILE_PATH' }, `${path}`)
  }
  for (const path of ['', 'tile', 'tile/0/000\n', '/tile/0/000', 'tile/entries/x999/x999/x999/x999/x999/x999/999']) {
    t.throws(() => parseTilePath(path), { code: 'MALFORMED_TILE_PATH' }, JSON.stringify(path))
  }
  t.throws(() => parseTilePath('tile/0/x009/x007/x199/x254/x740/992'), { code: 'MALFORMED_TILE_PATH' }, 'index 2^53')
  t.same(parseTilePath('tile/0/x009/x007/x199/x254/x740/991').index, Number.MAX_SAFE_INTEGER)
  const parse = (bytes: Uint8Array) => parseTilePath(fromUtf8(bytes) ?? '')
  const seeds = vectors.paths.map(({ path }) => toUtf8(path))
  assertStrict(seeds, parse, (tile) => toUtf8(formatTilePath(tile)), 'MALFORMED_TILE_PATH')
  t.end()
})

t.test('TT-7 a tree has the tiles that its size implies, none of them empty', (t) => {
  for (const [size, expected] of Object.entries(vectors.tiles_for_size)) {
    const counts = tileCounts(Number(size))
    const renamed = counts.map(({ level, full, partial }) => ({ level, full, partial_width: partial }))
    t.same(renamed, expected, `size ${size}`)
    for (const { level, full, partial } of counts) {
      if (full > 0) t.equal(tileWidth(Number(size), level, full - 1), TILE_WIDTH)
      t.equal(tileWidth(Number(size), level, full), partial)
      t.equal(tileWidth(Number(size), level, full + 1), 0)
    }
  }
  t.equal(tileWidth(300, 'entries', 1), 44)
  t.same(tileCounts(Number.MAX_SAFE_INTEGER).at(-1), { level: 6, full: 0, partial: 31 })
  t.end()
})

t.test('TT-6 tiles and bundles hold the bytes of the vectors', (t) => {
  for (const [size, { root_hex, ...files }] of Object.entries(vectors.small_trees)) {
    const entries = entryLog(Number(size))
    const made = Object.fromEntries([...resources(entries)].map(([path, bytes]) => [path, toHex(bytes)]))
    t.same(made, files, `size ${size}`)
    t.equal(toHex(rootHash(Number(size), readerOf(entries.map(leafHash)))), root_hex)
  }
  const digests = (size: number) =>
    [...resources(entryLog(size))].map(([path, bytes]) => [path, bytes.length, sha256(bytes)])
  const byPath = (list: readonly (readonly (string | number)[])[]) => [...list].sort((a, b) => (a[0]! < b[0]! ? -1 : 1))
  t.same(byPath(digests(257)), byPath(vectors.size_257.resources), 'size 257')
  const all = byPath(digests(70_000))
  t.equal(all.length, 551)
  t.same(all, byPath(vectors.size_70000.resources_path_len_sha256), 'size 70000')
  t.end()
})

t.test("TT-6 a third party's log of 15 entries is made of the same bytes", (t) => {
  const log = new URL('../vectors/transparency-dev-tessera/testdata/log/', import.meta.url)
  const entries = parseBundle(readFileSync(new URL('tile/entries/000.p/15', log)))
  for (let size = 1; size <= 15; size++) {
    for (const [path, bytes] of resources(entries.slice(0, size))) {
      t.equal(toHex(bytes), readFileSync(new URL(path, log)).toString('hex'), path)
    }
  }
  t.end()
})

t.test('TT-11 bundles frame each entry with two bytes of length', (t) => {
  for (const { hex, entries_hex, valid, why, leaf_hashes_hex } of vectors.entry_bundles) {
    if (hex === null) continue
    const bundle = fromHex(hex)!
    if (!valid) {
      t.throws(() => parseBundle(bundle), { code: 'MALFORMED_BUNDLE' }, why)
      continue
    }
    const entries = parseBundle(bundle)
    t.same(entries.map(toHex), entries_hex, why)
    t.same(
      entries.map((entry) => toHex(leafHash(entry))),
      leaf_hashes_hex,
      why,
    )
    t.equal(toHex(formatBundle(entries)), hex, why)
  }
  const largest = vectors.entry_bundles.find(({ hex }) => hex === null)!
  const entry = new Uint8Array(MAX_ENTRY_SIZE).fill(0x61)
  t.equal(sha256(formatBundle([entry])), largest.sha256, largest.why)
  t.equal(toHex(leafHash(parseBundle(formatBundle([entry]))[0]!)), largest.leaf_hash_hex, largest.why)
  t.throws(() => formatBundle([new Uint8Array(MAX_ENTRY_SIZE + 1)]), { code: 'ENTRY_TOO_LARGE' })
  t.equal(parseBundle(new Uint8Array(2 * TILE_WIDTH)).length, TILE_WIDTH)
  t.throws(() => parseBundle(new Uint8Array(2 * TILE_WIDTH + 2)), { code: 'MALFORMED_BUNDLE' }, '257 entries')

  const lists = fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 20 })
  fc.assert(fc.property(lists, (list) => parseBundle(formatBundle(list)).map(toHex).join() === list.map(toHex).join()))
  const seeds = [formatBundle(entryLog(3)), formatBundle([new Uint8Array(300), new Uint8Array(0)])]
  assertStrict(seeds, parseBundle, formatBundle, 'MALFORMED_BUNDLE')
  t.end()
})
