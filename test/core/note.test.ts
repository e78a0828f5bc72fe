import * as ed from '@noble/ed25519'
import fc from 'fast-check'
import t from 'tap'
import { fromHex, toBase64, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import {
  COSIGNATURE_ED25519,
  ED25519,
  formatNote,
  formatSignatureLine,
  keyId,
  MAX_NOTE_SIZE,
  MAX_SIGNATURES,
  type Note,
  type NoteVerifier,
  parseNote,
  parseSignatureLine,
  type Signature,
  verifierKey,
  verifyNote,
} from '../../src/core/note.ts'
import { formatVkey, parseVkey } from '../../src/core/vkey.ts'
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }
import vectors from '../vectors/c2sp-signed-note.json' with { type: 'json' }
import { assertStrict } from './strict.ts'

const verifiers = (vkeys: readonly string[]): NoteVerifier[] => vkeys.map(parseVkey).map(ed25519NoteVerifier)
const bytesOf = (vector: (typeof vectors.notes)[number]): Uint8Array =>
  vector.note === null ? fromHex(vector.note_hex!)! : toUtf8(vector.note)
const vector = (id: string) => vectors.notes.find((note) => note.id === id)!
/** Whose lines verified, as `name+keyid`. */
const verify = (bytes: Uint8Array, vkeys: readonly string[]): string[] =>
  verifyNote(parseNote(bytes), verifiers(vkeys)).map(({ key }) => `${key.name}+${toHex(key.keyId)}`)

const LINE =
  '— log.example/mltrail jEJVg23pmqB78H+nrpFGGmTNDzE8XSDo/GiZk90ETADtbTZlxROOLznsWTWfijsD2fkdAYJNhUyKP8sl75Q6gjkYpAQ=\n'
const LOG = keys.keys.log.vkey

t.test('notes of the vectors are accepted and refused as they say', (t) => {
  for (const note of vectors.notes) {
    const { id, expect, why, vkeys } = note
    const bytes = bytesOf(note)
    if (expect === 'accept') {
      t.same(verify(bytes, vkeys), note.verified, `${id}: ${why}`)
      t.equal(parseNote(bytes).text, note.text, `${id}: ${why}`)
    } else if (expect === 'reject-unverified' || expect === 'reject-bad-signature') {
      t.throws(() => verify(bytes, vkeys), { code: 'UNVERIFIED_NOTE' }, `${id}: ${why}`)
    } else {
      // Where implementations may differ we are the strict ones.
      t.throws(() => parseNote(bytes), { code: 'MALFORMED_NOTE' }, `${id}: ${why}`)
    }
  }
  const { signed, text, vkey } = vectors.golang_private_key_encoding
  t.equal(parseNote(toUtf8(signed)).text, text)
  t.same(verify(toUtf8(signed), [vkey]), ['PeterNeumann+c74f20a3'])
  t.end()
})

t.test('parsing a note and formatting it are inverse', (t) => {
  const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\0-\x1f]/g, ''))
  const signature: fc.Arbitrary<Signature> = fc.record({
    name: fc.stringMatching(/^[!-*,-~é—]{1,40}$/u),
    keyId: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    signature: fc.uint8Array({ minLength: 1, maxLength: 100 }),
  })
  const notes: fc.Arbitrary<Note> = fc.record({
    text: fc.array(line).map((lines) => `${lines.join('\n')}\n`),
    signatures: fc.uniqueArray(signature, { minLength: 1, maxLength: 16, selector: (s) => s.name + toHex(s.keyId) }),
  })
  fc.assert(
    fc.property(notes, (note) => {
      const parsed = parseNote(toUtf8(formatNote(note)))
      return (
        parsed.text === note.text &&
        parsed.signatures.map(formatSignatureLine).join() === note.signatures.map(formatSignatureLine).join()
      )
    }),
  )
  const seeds = vectors.notes.map(bytesOf)
  assertStrict(seeds, parseNote, (note) => toUtf8(formatNote(note)), 'MALFORMED_NOTE')
  t.end()
})

t.test('SN-1 invalid UTF-8 is rejected', (t) => {
  for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x80]]) {
    const bytes = Uint8Array.from([...bad, ...toUtf8(`\n\n${LINE}`)])
    t.throws(() => parseNote(bytes), { code: 'MALFORMED_NOTE' }, toHex(Uint8Array.from(bad)))
  }
  t.equal(parseNote(toUtf8(`\ufeffhello\n\n${LINE}`)).text, '\ufeffhello\n', 'a byte order mark is text')
  t.end()
})

t.test('SN-2 control characters other than newline are rejected', (t) => {
  for (let code = 0; code < 0x20; code++) {
    if (code === 0x0a) continue
    const control = String.fromCharCode(code)
    t.throws(() => parseNote(toUtf8(`a${control}\n\n${LINE}`)), { code: 'MALFORMED_NOTE' }, `${code} in the text`)
    t.throws(
      () => parseNote(toUtf8(`a\n\n— n${control}${LINE.slice(3)}`)),
      { code: 'MALFORMED_NOTE' },
      `${code} in a name`,
    )
  }
  t.equal(parseNote(toUtf8(`\x7f\u0080\n\n${LINE}`)).text, '\x7f\u0080\n', 'DEL and C1 are not below U+0020')
  t.end()
})

t.test('SN-3 text, empty line, signature lines and final newline are all required', (t) => {
  for (const [why, text] of [
    ['nothing', ''],
    ['a text alone', 'a\n'],
    ['no signature', 'a\n\n'],
    ['no empty line', `a\n${LINE}`],
    ['no text', `\n${LINE}`],
    ['no final newline', `a\n\n${LINE.slice(0, -1)}`],
    ['something after the signatures', `a\n\n${LINE}b\n`],
    ['an empty line after the signatures', `a\n\n${LINE}\n`],
    ['no space after the dash', `a\n\n${LINE.replace('— ', '—')}`],
    ['a space at the end', `a\n\n${LINE.slice(0, -1)} \n`],
    ['no signature in the line', 'a\n\n— log.example\n'],
  ] as const) {
    t.throws(() => parseNote(toUtf8(text)), { code: 'MALFORMED_NOTE' }, why)
  }
  t.end()
})

t.test('SN-4 the text ends at the last empty line', (t) => {
  for (const text of ['a\n', 'a\n\nb\n', '\n', '\n\n', `a\n\n${LINE}`, `a\n\n${LINE}\n`]) {
    t.equal(parseNote(toUtf8(`${text}\n${LINE}`)).text, text, JSON.stringify(text))
  }
  t.end()
})

t.test('SN-5 a key name is not empty and has neither Unicode space nor plus', (t) => {
  const spaces = [0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]
  for (const bad of ['', '+', 'a+b', ...spaces.map((code) => `a${String.fromCharCode(code)}b`)]) {
    const name = `"${encodeURIComponent(bad)}"`
    t.throws(() => parseSignatureLine(`— ${bad} AAAAAAA=`), { code: 'MALFORMED_NOTE' }, `${name} in a line`)
    t.throws(
      () => parseVkey(formatVkey(verifierKey(bad, ED25519, new Uint8Array(32)))),
      { code: 'MALFORMED_VKEY' },
      `${name} in a vkey`,
    )
  }
  // JavaScript's \s would refuse the first of these.
  for (const good of ['\ufeff', 'é', '—', 'oid/1.3.6', 'a=b/c'])
    t.equal(parseSignatureLine(`— ${good} AAAAAAA=`).name, good)
  t.end()
})

t.test('SN-6 a blob is four bytes of key id and a signature', (t) => {
  const { name, keyId, signature } = parseSignatureLine(LINE.slice(0, -1))
  t.equal(name, 'log.example/mltrail')
  t.equal(toHex(keyId), '8c425583')
  t.equal(signature.length, 64)
  t.equal(formatSignatureLine({ name, keyId, signature }), LINE)
  for (let size = 0; size <= 4; size++) {
    t.throws(
      () => parseSignatureLine(`— a ${toBase64(new Uint8Array(size))}`),
      { code: 'MALFORMED_NOTE' },
      `${size} bytes`,
    )
  }
  t.end()
})

t.test('SN-7 a signature whose name and key id are not both known is ignored', (t) => {
  for (const id of ['vSN-V2', 'vSN-C4', 'vSN-C5']) {
    const note = vector(id)
    t.same(verify(bytesOf(note), note.vkeys), note.verified, note.why)
  }
  t.end()
})

t.test('SN-8 a failing signature of a known key sinks the note', (t) => {
  const { note, vkeys, why } = vector('vSN-C6')
  t.throws(() => verify(toUtf8(note!), vkeys), { code: 'UNVERIFIED_NOTE' }, why)
  t.same(
    verify(toUtf8(note!), [vkeys[1]!]),
    ['stranger.example/k+fcb5938e'],
    'while its key is unknown it does not matter',
  )
  const short = formatSignatureLine({ ...parseSignatureLine(LINE.slice(0, -1)), signature: new Uint8Array(63) })
  t.throws(() => verify(toUtf8(`hello\n\n${short}`), [LOG]), { code: 'UNVERIFIED_NOTE' }, 'too short to be one')
  t.end()
})

t.test('SN-9 a note without a signature of a known key is rejected', (t) => {
  t.throws(() => verify(toUtf8(`hello\n\n${LINE}`), []), { code: 'UNVERIFIED_NOTE' })
  t.throws(() => verify(toUtf8(`hello\n\n${LINE}`), [keys.keys.stranger.vkey]), { code: 'UNVERIFIED_NOTE' })
  t.throws(() => verify(toUtf8(`hullo\n\n${LINE}`), [LOG]), { code: 'UNVERIFIED_NOTE' })
  t.end()
})

t.test('SN-10 sixteen signatures are accepted, too many are not', (t) => {
  const lines = (count: number, size: number) =>
    Array.from({ length: count }, (_, i) =>
      formatSignatureLine({ name: `k${i}`, keyId: new Uint8Array(4), signature: new Uint8Array(size) }),
    ).join('')
  t.equal(parseNote(toUtf8(`a\n\n${lines(16, 5000)}`)).signatures.length, 16)
  t.equal(parseNote(toUtf8(`a\n\n${lines(MAX_SIGNATURES, 2428)}`)).signatures.length, MAX_SIGNATURES)
  t.throws(() => parseNote(toUtf8(`a\n\n${lines(MAX_SIGNATURES + 1, 72)}`)), { code: 'MALFORMED_NOTE' })
  const text = 'a'.repeat(MAX_NOTE_SIZE)
  t.throws(() => parseNote(toUtf8(`${text}\n\n${LINE}`)), { code: 'MALFORMED_NOTE' })
  t.end()
})

t.test('SN-11 key ids are computed from name, type and key', (t) => {
  for (const { name, signature_type, public_key_hex, key_id_hex } of Object.values(keys.keys)) {
    t.equal(toHex(keyId(name, signature_type, fromHex(public_key_hex)!)), key_id_hex, name)
  }
  t.end()
})

t.test('SN-12 a verifier key is parsed and its key id recomputed', (t) => {
  for (const { vkey, valid, why, name, key_id_hex, signature_type, public_key_hex } of vectors.vkeys) {
    if (!valid || signature_type === 2 || signature_type === 5) {
      t.throws(() => parseVkey(vkey), { code: 'MALFORMED_VKEY' }, why)
      continue
    }
    const key = parseVkey(vkey)
    t.equal(key.name, name)
    t.equal(key.type, signature_type)
    t.equal(toHex(key.keyId), key_id_hex)
    t.equal(toHex(key.publicKey), public_key_hex)
    t.equal(formatVkey(key), vkey)
  }
  const parse = (bytes: Uint8Array) => parseVkey(new TextDecoder().decode(bytes))
  const seeds = [LOG, keys.keys.w1.vkey, keys.keys['log-next'].vkey].map(toUtf8)
  assertStrict(seeds, parse, (key) => toUtf8(formatVkey(key)), 'MALFORMED_VKEY')
  t.end()
})

t.test('a verifier key whose point verifiers could treat differently is refused', (t) => {
  // Order 4; order 8; not on the curve; a key with torsion, made of that of the log.
  const mixed = ed.Point.fromBytes(parseVkey(LOG).publicKey)
    .add(ed.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'))
    .toHex()
  for (const hex of [
    '00'.repeat(32),
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    `02${'00'.repeat(31)}`,
    mixed,
  ]) {
    for (const type of [ED25519, COSIGNATURE_ED25519])
      t.throws(
        () => parseVkey(formatVkey(verifierKey('a.example', type, fromHex(hex)!))),
        { code: 'MALFORMED_VKEY' },
        hex,
      )
  }
  t.end()
})

t.test('SN-13 one key in two types has two key ids', (t) => {
  const { name, publicKey } = parseVkey(LOG)
  const ids = [1, 4, 6, 0xff].map((type) => toHex(keyId(name, type, publicKey)))
  t.equal(new Set(ids).size, ids.length)
  t.end()
})

t.test('SN-14 a verifier key of a type that no design here needs is refused', (t) => {
  for (const type of [0, 2, 3, 5, 7, 0xfa, 0xff]) {
    const vkey = formatVkey(verifierKey('a.example', type, new Uint8Array(32)))
    t.throws(() => parseVkey(vkey), { code: 'MALFORMED_VKEY' }, `type ${type}`)
  }
  t.end()
})

t.test('SN-15 base64 that is not canonical is rejected', (t) => {
  const blob = LINE.slice(LINE.lastIndexOf(' ') + 1, -1)
  for (const [why, text] of [
    ['stray bits', blob.replace('pAQ=', 'pAR=')],
    ['no padding', blob.slice(0, -1)],
    ['more padding', `${blob}=`],
    ['URL-safe alphabet', blob.replaceAll('+', '-').replaceAll('/', '_')],
    ['junk', `${blob.slice(0, 20)}!${blob.slice(20)}`],
  ] as const) {
    t.throws(() => parseNote(toUtf8(`hello\n\n— log.example/mltrail ${text}\n`)), { code: 'MALFORMED_NOTE' }, why)
  }
  const [name, id, key] = LOG.split('+')
  t.throws(() => parseVkey(`${name}+${id}+${key!.slice(0, -1)}`), { code: 'MALFORMED_VKEY' })
  t.end()
})

t.test('TC-11 two lines of one name and key id are refused', (t) => {
  t.throws(() => parseNote(toUtf8(`hello\n\n${LINE}${LINE}`)), { code: 'MALFORMED_NOTE' })
  const other = formatSignatureLine({ ...parseSignatureLine(LINE.slice(0, -1)), signature: new Uint8Array(64) })
  t.throws(() => parseNote(toUtf8(`hello\n\n${LINE}${other}`)), { code: 'MALFORMED_NOTE' })
  const renamed = formatSignatureLine({ ...parseSignatureLine(LINE.slice(0, -1)), keyId: new Uint8Array(4) })
  t.equal(parseNote(toUtf8(`hello\n\n${LINE}${renamed}`)).signatures.length, 2, 'another key id is another key')
  t.end()
})
