import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { fromHex, fromUtf8, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { type Checkpoint, formatCheckpoint, parseCheckpoint, sizeOf } from '../../src/core/checkpoint.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import { leafHash, rootHash } from '../../src/core/merkle.ts'
import { parseNote, verifyNote } from '../../src/core/note.ts'
import { parseBundle } from '../../src/core/tile.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import vectors from '../vectors/c2sp-tlog-checkpoint.json' with { type: 'json' }
import golang from '../vectors/golang-mod/tlog-note-values.json' with { type: 'json' }
import { readerOf } from './full-tree.ts'
import { assertStrict } from './strict.ts'

const ROOT = 'fKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI='
const malformed = { code: 'MALFORMED_CHECKPOINT' }

t.test('checkpoints of the vectors are accepted and refused as they say', (t) => {
  for (const { id, note_text, valid, why, origin, size, root_hex, extensions } of vectors.note_texts) {
    if (valid !== true) {
      t.throws(() => parseCheckpoint(note_text), malformed, `${id}: ${why}`)
      continue
    }
    const checkpoint = parseCheckpoint(note_text)
    t.equal(formatCheckpoint(checkpoint), note_text, `${id}: ${why}`)
    t.equal(String(checkpoint.size), String(size))
    if (origin !== undefined) t.equal(checkpoint.origin, origin)
    if (root_hex !== undefined) t.equal(toHex(checkpoint.root), root_hex)
    if (extensions !== undefined) t.same(checkpoint.extensions, extensions)
  }
  const { text, size, leaf_data_utf8 } = golang.format_tree
  const checkpoint = parseCheckpoint(text)
  t.equal(String(checkpoint.size), size)
  t.equal(toHex(checkpoint.root), toHex(leafHash(toUtf8(leaf_data_utf8))))
  const [otherOrigin = '', ...bad] = golang.bad_trees
  t.equal(parseCheckpoint(otherOrigin).origin, 'not-go.sum database tree', 'an origin like any other, to us')
  for (const text of bad) t.throws(() => parseCheckpoint(text), malformed, JSON.stringify(text))
  t.end()
})

t.test('signed checkpoints of the vectors verify', (t) => {
  for (const { id, note, vkeys, size, root_hex } of vectors.signed) {
    const parsed = parseNote(toUtf8(note))
    t.equal(verifyNote(parsed, vkeys.map(parseVkey).map(ed25519NoteVerifier)).length, vkeys.length, id)
    const checkpoint = parseCheckpoint(parsed.text)
    t.equal(sizeOf(checkpoint), size, id)
    if (root_hex !== undefined) t.equal(toHex(checkpoint.root), root_hex, id)
  }
  t.end()
})

t.test("all checkpoints of a third party's log verify and have the roots of its entries", (t) => {
  const log = new URL('../vectors/transparency-dev-tessera/testdata/log/', import.meta.url)
  const key = parseVkey('example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx')
  const read = readerOf(parseBundle(readFileSync(new URL('tile/entries/000.p/15', log))).map(leafHash))
  for (let size = 0; size <= 15; size++) {
    const note = parseNote(readFileSync(new URL(`checkpoint.${size}`, log)))
    t.equal(verifyNote(note, [ed25519NoteVerifier(key)]).length, 1)
    const { origin, root, ...checkpoint } = parseCheckpoint(note.text)
    t.equal(origin, key.name)
    t.equal(sizeOf({ origin, root, ...checkpoint }), size)
    t.equal(toHex(root), toHex(rootHash(size, read)), `root of ${size}`)
  }
  t.end()
})

t.test('parsing a checkpoint and formatting it are inverse', (t) => {
  const line = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map((text) => text.replaceAll('\n', ' '))
  const checkpoints: fc.Arbitrary<Checkpoint> = fc.record({
    origin: line.filter((text) => toUtf8(text).length <= 255),
    size: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    root: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    extensions: fc.array(line),
  })
  fc.assert(
    fc.property(checkpoints, (checkpoint) => {
      const { origin, size, root, extensions } = parseCheckpoint(formatCheckpoint(checkpoint))
      t.strictSame({ origin, size, root: toHex(root), extensions }, { ...checkpoint, root: toHex(checkpoint.root) })
    }),
    { numRuns: 50 },
  )
  const parse = (bytes: Uint8Array) => parseCheckpoint(fromUtf8(bytes) ?? '')
  const seeds = vectors.note_texts.map(({ note_text }) => toUtf8(note_text))
  assertStrict(seeds, parse, (checkpoint) => toUtf8(formatCheckpoint(checkpoint)), 'MALFORMED_CHECKPOINT')
  t.end()
})

t.test('TC-1 fewer than three lines, an empty one or no final newline are refused', (t) => {
  for (const text of ['', '\n', 'a\n', 'a\n5\n', `a\n5\n${ROOT}`, `a\n\n5\n${ROOT}\n`, `\na\n5\n${ROOT}\n`]) {
    t.throws(() => parseCheckpoint(text), malformed, JSON.stringify(text))
  }
  t.end()
})

t.test('TC-2 an origin is any line that is not empty', (t) => {
  for (const origin of ['go.sum database tree', 'a', '5', 'é + ü', 'https://log.example/']) {
    t.equal(parseCheckpoint(`${origin}\n5\n${ROOT}\n`).origin, origin)
  }
  t.throws(() => parseCheckpoint(`\n5\n${ROOT}\n`), malformed)
  t.end()
})

t.test('TC-4 a size is decimal, without sign or leading zero, below 2^64', (t) => {
  for (const size of ['', '05', '00', '+5', '-5', ' 5', '5 ', '0x5', '5.0', '5e3', '٥', String(2n ** 64n)]) {
    t.throws(() => parseCheckpoint(`a\n${size}\n${ROOT}\n`), malformed, JSON.stringify(size))
  }
  for (const size of [0n, 5n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    t.equal(parseCheckpoint(`a\n${size}\n${ROOT}\n`).size, size)
  }
  const checkpoint = { origin: 'a', root: fromHex('00'.repeat(32))!, extensions: [] }
  t.equal(sizeOf({ ...checkpoint, size: 2n ** 53n - 1n }), Number.MAX_SAFE_INTEGER)
  t.throws(() => sizeOf({ ...checkpoint, size: 2n ** 53n }), malformed, 'no tree of ours')
  t.end()
})

t.test('TC-5 a root is 32 bytes', (t) => {
  for (const root of ['', 'AAAA', `${ROOT}${ROOT}`, ROOT.slice(4), `AAAA${ROOT}`, toHex(new Uint8Array(32))]) {
    t.throws(() => parseCheckpoint(`a\n5\n${root}\n`), malformed, JSON.stringify(root))
  }
  t.end()
})

t.test('TC-6 extension lines are not empty', (t) => {
  t.same(parseCheckpoint(`a\n5\n${ROOT}\none\n two\n`).extensions, ['one', ' two'])
  for (const lines of ['\n', 'one\n\n', '\none\n', 'one\n\ntwo\n']) {
    t.throws(() => parseCheckpoint(`a\n5\n${ROOT}\n${lines}`), malformed, JSON.stringify(lines))
  }
  t.end()
})

t.test('TC-12 an origin of more than 255 bytes is refused', (t) => {
  t.equal(parseCheckpoint(`${'a'.repeat(255)}\n5\n${ROOT}\n`).origin.length, 255)
  t.throws(() => parseCheckpoint(`${'a'.repeat(256)}\n5\n${ROOT}\n`), malformed)
  t.throws(() => parseCheckpoint(`${'é'.repeat(128)}\n5\n${ROOT}\n`), malformed, 'bytes, not characters')
  t.end()
})

t.test('TC-13 a root that is not canonical base64 is refused', (t) => {
  for (const root of [
    ROOT.replace('nI=', 'nJ='),
    ROOT.slice(0, -1),
    `${ROOT} `,
    ROOT.replace('+', '-').replace('/', '_'),
  ]) {
    t.throws(() => parseCheckpoint(`a\n5\n${root}\n`), malformed, root)
  }
  t.end()
})
