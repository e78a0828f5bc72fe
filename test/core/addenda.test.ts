import fc from 'fast-check'
import t from 'tap'
import { sha256 } from '#platform'
import {
  type Addenda,
  addendaDigests,
  addendumPath,
  formatAddenda,
  parseAddenda,
  parseAddendumPath,
} from '../../src/core/addenda.ts'
import { concat, equal, fromHex, fromUtf8, toHex, toUtf8, u32 } from '../../src/core/bytes.ts'
import vectors from '../vectors/c2sp-tlog-addenda.json' with { type: 'json' }
import { assertStrict } from './strict.ts'

const malformed = { code: 'MALFORMED_ENTRY' }
const digest = sha256(toUtf8('dataset manifest bytes'))

t.test('entries of the vectors are accepted and refused as they say', (t) => {
  for (const { entry_hex, digests, valid, why = '', addenda_utf8, paths } of vectors.entries) {
    const entry = fromHex(entry_hex)!
    if (!valid) {
      t.throws(() => parseAddenda(entry), malformed, why)
      continue
    }
    const addenda = parseAddenda(entry)
    t.same(addendaDigests(addenda).map(toHex), digests, entry_hex)
    t.equal(toHex(formatAddenda(addenda)), entry_hex)
    if (addenda_utf8 !== undefined)
      t.same(
        addenda_utf8.map((text) => toHex(sha256(toUtf8(text)))),
        digests,
      )
    if (paths !== undefined) t.same(addendaDigests(addenda).map(addendumPath), paths)
  }
  t.end()
})

t.test('parsing a trailer and formatting it are inverse', (t) => {
  const addenda: fc.Arbitrary<Addenda> = fc
    .uint8Array({ minLength: 32, maxLength: 400 })
    .chain((content) =>
      fc.record({ content: fc.constant(content), offsets: fc.array(fc.nat(content.length - 32), { maxLength: 255 }) }),
    )
  fc.assert(
    fc.property(addenda, (one) => {
      const { content, offsets } = parseAddenda(formatAddenda(one))
      return equal(content, one.content) && offsets.join() === one.offsets.join()
    }),
  )
  const seeds = vectors.entries.map(({ entry_hex }) => fromHex(entry_hex)!)
  assertStrict(seeds, parseAddenda, formatAddenda, 'MALFORMED_ENTRY')
  t.end()
})

t.test('an entry is a view into a larger buffer as well', (t) => {
  const entry = formatAddenda({ content: concat(toUtf8('app:'), digest), offsets: [4] })
  const inside = concat(new Uint8Array(13), entry, new Uint8Array(5)).subarray(13, 13 + entry.length)
  t.same(addendaDigests(parseAddenda(inside)).map(toHex), [toHex(digest)])
  t.end()
})

t.test('TA-4 offsets are read in any order, and only inside the content', (t) => {
  const content = concat(toUtf8('app:'), digest, sha256(digest))
  for (const offsets of [[], [4], [4, 36], [36, 4], [4, 4], [0, 36, 5], Array<number>(255).fill(36)]) {
    t.same(parseAddenda(formatAddenda({ content, offsets })).offsets, offsets)
  }
  for (const offset of [37, 68, 69, 2 ** 31, 2 ** 32 - 1]) {
    t.throws(() => formatAddenda({ content, offsets: [offset] }), malformed, `format ${offset}`)
    t.throws(() => parseAddenda(concat(content, u32(offset), Uint8Array.of(1))), malformed, `parse ${offset}`)
  }
  t.throws(() => formatAddenda({ content, offsets: Array<number>(256).fill(0) }), malformed, '256 offsets')
  t.throws(() => parseAddenda(concat(content, Uint8Array.of(255))), malformed, 'no room for 255 offsets')
  // The first digest would be the offsets themselves.
  t.throws(
    () => parseAddenda(concat(new Uint8Array(28), u32(0), Uint8Array.of(1))),
    malformed,
    'a digest of its offset',
  )
  t.end()
})

t.test('the path of an addendum has one spelling', (t) => {
  const { prefix, digest, url } = vectors.path_example
  const hash = fromHex(digest)!
  t.equal(`${prefix}/${addendumPath(hash)}`, url)
  t.equal(toHex(parseAddendumPath(addendumPath(hash))), digest)
  for (const path of [
    '',
    'addenda',
    'addenda/',
    digest,
    `addenda/${digest}`,
    `addenda/9f/${digest}`,
    `addenda/86/9f/${digest}`,
    `addenda/9f/86/${digest.slice(2)}`,
    `addenda/9f/86/${digest}00`,
    `addenda/9F/86/${digest}`,
    `addenda/9f/86/${digest.toUpperCase()}`,
    `addenda/9f/86/${digest}/`,
    `/addenda/9f/86/${digest}`,
    `addenda/9f/86/../86/${digest}`,
    `addenda/9f/86/%39${digest.slice(1)}`,
  ]) {
    t.throws(() => parseAddendumPath(path), { code: 'MALFORMED_TILE_PATH' }, JSON.stringify(path))
  }
  const parse = (bytes: Uint8Array) => parseAddendumPath(fromUtf8(bytes) ?? '')
  assertStrict([toUtf8(addendumPath(hash))], parse, (hash) => toUtf8(addendumPath(hash)), 'MALFORMED_TILE_PATH')
  t.end()
})
