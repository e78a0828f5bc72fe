import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { p256 } from '@noble/curves/nist.js'
import t from 'tap'
import { concat, toBase64, toHex, toUtf8 } from '../../src/core/bytes.ts'
import {
  ed25519PublicKey,
  formatPublicKeyBase64,
  formatPublicKeyPem,
  parsePublicKey,
  parsePublicKeyBase64,
  parsePublicKeyPem,
} from '../../src/core/keys.ts'
import { sha256 } from '../../src/core/platform.web.ts'
import { ED25519_PREFIX, ed25519Signer, P256_PREFIX, p256Signer } from './signers.ts'

const { key: ed } = ed25519Signer(1)
const { key: ec } = p256Signer(1)

t.test('a key round-trips through DER, base64 and PEM, and OpenSSL reads the same', (t) => {
  for (const key of [ed, ec]) {
    t.same(parsePublicKey(key.spki), key)
    t.same(parsePublicKeyBase64(formatPublicKeyBase64(key)), key)
    const pem = formatPublicKeyPem(key)
    t.same(parsePublicKeyPem(pem), key)
    t.same(parsePublicKeyPem(`\n${pem.replaceAll('\n', '\r\n')}`), key, 'an edited file')
    t.equal(createPublicKey(pem).export({ format: 'pem', type: 'spki' }), pem)
    t.equal(key.id, toHex(sha256(key.spki)))
  }
  t.same(ed25519PublicKey(ed.raw), ed)
  t.equal(ed.id, 'fd110d301d2f077de1414b8f99f441b1403fab207b2052fbd2c065e4ee8e7dc2', 'the id is a contract')
  t.end()
})

t.test('the key of a Buffer does not share its memory', (t) => {
  const buffer = Buffer.from(ed.spki)
  const key = parsePublicKey(buffer)
  buffer.fill(0)
  t.same(key, ed)
  t.end()
})

t.test('what is not a key', (t) => {
  const offCurve = new Uint8Array(ec.raw)
  offCurve[64]! ^= 1
  const overP = new Uint8Array(ec.raw).fill(0xff, 1, 33)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'der', type: 'spki' })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'der', type: 'spki' })
  for (const [name, spki] of [
    ['empty', new Uint8Array(0)],
    ['a raw Ed25519 key', ed.raw],
    ['31 bytes', ed.spki.subarray(0, -1)],
    ['33 bytes', concat(ed.spki, Uint8Array.of(0))],
    ['small order', concat(ED25519_PREFIX, new Uint8Array(32))],
    [
      'X25519',
      concat(
        ED25519_PREFIX.map((byte, i) => (i === 8 ? 0x6e : byte)),
        ed.raw,
      ),
    ],
    ['compressed point', concat(P256_PREFIX, p256.Point.fromBytes(ec.raw).toBytes(true))],
    ['hybrid point', concat(P256_PREFIX, Uint8Array.of(6), ec.raw.subarray(1))],
    ['point off the curve', concat(P256_PREFIX, offCurve)],
    ['x over the prime', concat(P256_PREFIX, overP)],
    ['point at infinity', concat(P256_PREFIX, new Uint8Array(65))],
    ['P-256 and a byte', concat(ec.spki, Uint8Array.of(0))],
    ['P-384', p384],
    ['RSA', rsa],
  ] as const) {
    t.throws(() => parsePublicKey(spki), { code: 'MALFORMED_KEY' }, name)
  }
  t.end()
})

t.test('what is not base64 or PEM of a key', (t) => {
  const base64 = toBase64(ed.spki)
  for (const [name, text] of [
    ['hex', toHex(ed.spki)],
    ['URL-safe', toBase64(ec.spki).replaceAll('+', '-').replaceAll('/', '_')],
    ['a space', `${base64.slice(0, 4)} ${base64.slice(4)}`],
    ['no padding', toBase64(ec.spki).replace(/=*$/, '')],
    ['a new line', `${base64}\n`],
  ] as const) {
    t.throws(() => parsePublicKeyBase64(text), { code: 'MALFORMED_KEY' }, name)
  }
  const pem = formatPublicKeyPem(ed)
  for (const [name, text] of [
    ['another label', pem.replaceAll('PUBLIC', 'PRIVATE')],
    ['two blocks', pem + pem],
    ['text before', `key:\n${pem}`],
    ['a header', pem.replace('-----\n', '-----\nProc-Type: 4\n\n')],
    ['no end', pem.replace(/-----END.*/, '')],
    ['nothing', ''],
  ] as const) {
    t.throws(() => parsePublicKeyPem(text), { code: 'MALFORMED_KEY' }, name)
  }
  t.throws(() => parsePublicKey(toUtf8(pem)), { code: 'MALFORMED_KEY' }, 'PEM where DER is meant')
  t.end()
})
