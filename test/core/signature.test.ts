import { createPrivateKey, sign } from 'node:crypto'
import { p256 } from '@noble/curves/nist.js'
import * as ed from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import t from 'tap'
import { concat, equal, fromHex, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { acceptableEd25519Signature, isEd25519Key, verifyEd25519 } from '../../src/core/ed25519.ts'
import type { PublicKey } from '../../src/core/keys.ts'
import { canonicalP256Signature } from '../../src/core/p256.ts'
import { canonicalSignature, verifySignature } from '../../src/core/signature.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { ED25519_PREFIX, ed25519Signer, p256Signer } from './signers.ts'

const { BASE, ZERO } = ed.Point
const { n: L } = ed.Point.CURVE()
const TORSION = ed.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
const torsion = (i: number) => TORSION.multiply(BigInt(i % 8), false)

const scalar = (value: bigint): Uint8Array =>
  fromHex(value.toString(16).padStart(64, '0'))!.reverse() as Uint8Array<ArrayBuffer>
const number = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(new Uint8Array(bytes).reverse())}`)
const challenge = (R: Uint8Array, A: Uint8Array, message: Uint8Array) => number(sha512(concat(R, A, message))) % L

/** A key object also for points that parsePublicKey refuses. */
const forced = (raw: Uint8Array): PublicKey => ({
  id: `forced ${toHex(raw)}`,
  algorithm: 'ed25519',
  spki: concat(ED25519_PREFIX, raw),
  raw,
})

/** Every 32-byte string that some decoder reads as a point of small order. */
const SMALL_ORDER = [
  ...['0100', '0000'].flatMap((start) => [`${start}${'0'.repeat(60)}`, `${start}${'0'.repeat(58)}80`]),
  ...['ec', 'ed', 'ee'].flatMap((start) => [`${start}${'f'.repeat(60)}7f`, `${start}${'f'.repeat(62)}`]),
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
].map((hex) => fromHex(hex)!)

const MESSAGES = Array.from({ length: 8 }, (_, i) => toUtf8(`message ${i}`))

interface Case {
  readonly name: string
  readonly A: Uint8Array
  readonly message: Uint8Array
  readonly signature: Uint8Array
}

/** Keys and commitments with every torsion component, S made to satisfy the equation with cofactor. */
function* torsionCases(): Generator<Case> {
  const a = 0x1234567890abcdefn
  const r = 0xfedcba0987654321n
  for (let i = 0; i < 8; i++) {
    for (let j = 0; j < 8; j++) {
      for (const [m, message] of MESSAGES.entries()) {
        const A = BASE.multiply(a).add(torsion(i)).toBytes()
        const R = BASE.multiply(r).add(torsion(j)).toBytes()
        const S = (r + challenge(R, A, message) * a) % L
        yield { name: `A torsion ${i}, R torsion ${j}, message ${m}`, A, message, signature: concat(R, scalar(S)) }
      }
    }
  }
}

/** An honest key, and R or S at and over every edge. */
function* edgeCases(): Generator<Case> {
  const a = 77n
  const A = BASE.multiply(a).toBytes()
  for (const [m, message] of MESSAGES.entries()) {
    for (const [i, R] of SMALL_ORDER.entries()) {
      const S = (challenge(R, A, message) * a) % L
      yield { name: `small R ${i}, message ${m}`, A, message, signature: concat(R, scalar(S)) }
      yield { name: `small R ${i}, S + L, message ${m}`, A, message, signature: concat(R, scalar(S + L)) }
    }
    const R = BASE.multiply(99n).toBytes()
    const S = (99n + challenge(R, A, message) * a) % L
    const minusR = BASE.multiply(99n).negate().toBytes()
    for (const [name, bytes] of [
      ['honest', concat(R, scalar(S))],
      ['S + L', concat(R, scalar(S + L))],
      ['S + 2L', concat(R, scalar(S + 2n * L))],
      ['S with bit 253', concat(R, scalar(S | (1n << 253n)))],
      ['S with bit 255', concat(R, scalar(S | (1n << 255n)))],
      ['S = 0', concat(R, scalar(0n))],
      ['S = L - 1', concat(R, scalar(L - 1n))],
      ['S = L', concat(R, scalar(L))],
      ['S = L - S', concat(R, scalar(L - S))],
      ['-R', concat(minusR, scalar(S))],
      ['R of all ones', concat(new Uint8Array(32).fill(0xff), scalar(S))],
      ['R not on the curve', concat(fromHex(`02${'0'.repeat(62)}`)!, scalar(S))],
      ['63 bytes', concat(R, scalar(S)).subarray(0, 63)],
      ['65 bytes', concat(R, scalar(S), Uint8Array.of(0))],
      ['empty', new Uint8Array(0)],
    ] as const) {
      yield { name: `${name}, message ${m}`, A, message, signature: bytes }
    }
  }
}

t.test('Ed25519: noble and OpenSSL accept the same signatures', (t) => {
  const cases = [...torsionCases(), ...edgeCases()]
  const disagreements: string[] = []
  const accepted: string[] = []
  for (const { name, A, message, signature } of cases) {
    const noble = verifyEd25519(A, message, signature)
    if (noble !== nativeVerify(forced(A), message, signature)) disagreements.push(name)
    if (noble) accepted.push(name)
  }
  t.same(disagreements, [])
  t.ok(cases.length > 800, `${cases.length} cases`)
  const honest = accepted.filter((name) => /^(A torsion 0, R torsion 0|honest),/.test(name))
  t.equal(honest.length, 2 * MESSAGES.length, 'every honest signature is accepted')
  const odd = accepted.filter((name) => !honest.includes(name))
  t.ok(
    odd.length > 0 && odd.every((name) => /^A torsion [1-7]/.test(name)),
    'the equation without cofactor lets nothing else pass but with keys that are never loaded',
  )
  t.end()
})

t.test('Ed25519: ed.verify alone would disagree with OpenSSL', (t) => {
  const mixed = [...torsionCases()].filter(({ name }) => /^A torsion 0, R torsion [1-7], message 0/.test(name))
  for (const { name, A, message, signature } of mixed) {
    t.ok(ed.verify(signature, message, A, { zip215: false }) && !verifyEd25519(A, message, signature), name)
  }
  t.end()
})

t.test('Ed25519: which keys load', (t) => {
  t.ok(isEd25519Key(BASE.toBytes()))
  for (const raw of SMALL_ORDER) t.notOk(isEd25519Key(raw), `small order ${toHex(raw)}`)
  for (let i = 1; i < 8; i++) t.notOk(isEd25519Key(BASE.add(torsion(i)).toBytes()), `torsion ${i}`)
  t.notOk(isEd25519Key(fromHex(`02${'0'.repeat(62)}`)!), 'not on the curve')
  t.notOk(isEd25519Key(fromHex(`f0${'f'.repeat(60)}7f`)!), 'y = p + 3, not canonical')
  t.notOk(isEd25519Key(BASE.toBytes().subarray(0, 31)), '31 bytes')
  t.ok(equal(ZERO.toBytes(), SMALL_ORDER[0]!))
  t.end()
})

t.test('the shape check does not touch a Buffer that it is given', (t) => {
  const { key, sign } = ed25519Signer(1)
  const message = toUtf8('m')
  const signature = Buffer.from(sign(message))
  const before = toHex(signature)
  t.ok(acceptableEd25519Signature(signature))
  t.ok(verifySignature(key, message, signature) && verifySignature(key, message, signature))
  t.equal(toHex(signature), before)
  t.end()
})

t.test('Ed25519: each flipped bit is refused', (t) => {
  const { key, sign } = ed25519Signer(2)
  const message = toUtf8('flip me')
  const signature = sign(message)
  const passed: number[] = []
  for (let bit = 0; bit < 512; bit++) {
    const flipped = new Uint8Array(signature)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    if (nativeVerify(key, message, flipped)) passed.push(bit)
    // The slow one on a sample: the two were held against each other above.
    if (bit % 8 === 0 && verifySignature(key, message, flipped)) passed.push(bit)
  }
  t.same(passed, [])
  t.end()
})

const der = (...integers: Uint8Array[]): Uint8Array => {
  const body = concat(...integers.map((integer) => concat(Uint8Array.of(0x02, integer.length), integer)))
  return concat(Uint8Array.of(0x30, body.length), body)
}
const positive = (value: bigint): Uint8Array => {
  const hex = value.toString(16)
  const bytes = fromHex(hex.padStart(hex.length + (hex.length % 2), '0'))!
  return bytes[0]! & 0x80 ? concat(Uint8Array.of(0), bytes) : bytes
}

t.test('P-256: noble and OpenSSL accept the same signatures', (t) => {
  const { key, sign: signLow } = p256Signer(3)
  const n = p256.Point.Fn.ORDER
  const message = toUtf8('a message')
  const low = signLow(message)
  const { r, s } = p256.Signature.fromBytes(low, 'der')
  const R = positive(r)
  const S = positive(s)
  const ZEROS = new Uint8Array(1)
  const table: readonly (readonly [string, Uint8Array, boolean])[] = [
    ['low S', low, true],
    ['high S', der(R, positive(n - s)), true],
    ['S + n', der(R, positive(s + n)), false],
    ['R + n', der(positive(r + n), S), false],
    ['R = 0', der(ZEROS, S), false],
    ['S = 0', der(R, ZEROS), false],
    ['R = n', der(positive(n), S), false],
    ['S = n', der(R, positive(n)), false],
    ['S = n - 1, wrong', der(R, positive(n - 1n)), false],
    ['swapped', der(S, R), false],
    ['leading zero', der(concat(ZEROS, R), S), false],
    ['negative R', der(concat(Uint8Array.of(0x80), R), S), false],
    ['missing sign byte', der(R, positive(n - s).subarray(positive(n - s)[0] === 0 ? 1 : 0)), false],
    ['one integer', der(R), false],
    ['three integers', der(R, S, S), false],
    ['trailing byte', concat(low, ZEROS), false],
    ['trailing byte inside', concat(Uint8Array.of(0x30, low.length - 1), low.subarray(2), ZEROS), false],
    ['cut off', low.subarray(0, -1), false],
    ['long form of the length', concat(Uint8Array.of(0x30, 0x81, low.length - 2), low.subarray(2)), false],
    ['indefinite length', concat(Uint8Array.of(0x30, 0x80), low.subarray(2), new Uint8Array(2)), false],
    ['a set', concat(Uint8Array.of(0x31), low.subarray(1)), false],
    ['r ‖ s without DER', p256.Signature.fromBytes(low, 'der').toBytes('compact'), false],
    ['empty', new Uint8Array(0), false],
    ['an Ed25519 signature', ed25519Signer(1).sign(message), false],
  ]
  for (const [name, signature, accepted] of table) {
    t.equal(verifySignature(key, message, signature), accepted, name)
    t.equal(nativeVerify(key, message, signature), accepted, `${name}, native`)
  }
  t.same(canonicalP256Signature(der(R, positive(n - s))), low, 'one stored form of the two')
  t.equal(canonicalP256Signature(low), low)
  const passed: number[] = []
  for (let bit = 0; bit < low.length * 8; bit++) {
    const flipped = new Uint8Array(low)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    if (nativeVerify(key, message, flipped)) passed.push(bit)
    if (bit % 16 === 0 && verifySignature(key, message, flipped)) passed.push(bit)
  }
  t.same(passed, [], 'each flipped bit is refused')
  t.end()
})

t.test('P-256: signatures of OpenSSL verify, and become low', (t) => {
  const { key } = p256Signer(3)
  const d = Buffer.alloc(32, 3).toString('base64url')
  const [x, y] = [key.raw.subarray(1, 33), key.raw.subarray(33)].map((c) => Buffer.from(c).toString('base64url'))
  const secret = createPrivateKey({ key: { kty: 'EC', crv: 'P-256', d, x: x!, y: y! }, format: 'jwk' })
  for (let i = 0; i < 16; i++) {
    const message = toUtf8(`message ${i}`)
    const signature = new Uint8Array(sign('sha256', message, secret))
    const canonical = canonicalSignature(key, signature)!
    t.ok(verifySignature(key, message, signature) && nativeVerify(key, message, canonical))
    t.notOk(p256.Signature.fromBytes(canonical, 'der').hasHighS())
  }
  t.end()
})
