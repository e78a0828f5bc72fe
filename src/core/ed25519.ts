/**
 * Ed25519 (RFC 8032) in the one accepted set that all our verifiers share. Libraries differ on odd keys and
 * signatures, and a log whose server accepts what an auditor's page refuses is worth nothing. So:
 *
 *   key A: canonical encoding, on the curve, not of small order, and where it is loaded also free of torsion
 *   S < L; R is none of the small-order points
 *   R is, byte for byte, the encoding of [S]B - [k]A: the check without cofactor, which OpenSSL makes too
 */
import * as ed from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { concat, equal, toHex, toUtf8 } from './bytes.ts'
import type { NoteSigner, NoteVerifier, VerifierKey } from './note.ts'
import { ED25519, verifierKey } from './note.ts'

ed.hashes.sha512 = sha512

const { n: L } = ed.Point.CURVE()

/**
 * All encodings of the eight points of small order with the sign bit cleared, also those with y ≥ p, which some
 * decoders reduce. https://eprint.iacr.org/2020/1244 table 1.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000', // y = 1, order 1
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // y = -1, order 2
  '0000000000000000000000000000000000000000000000000000000000000000', // y = 0, order 4
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', // order 8
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', // order 8
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // y = p, again 0
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // y = p + 1, again 1
])

function hasSmallOrder(encoding: Uint8Array): boolean {
  // Not slice(): of a Buffer that is no copy, and the caller's signature would change.
  const y = new Uint8Array(encoding)
  y[31]! &= 0x7f
  return SMALL_ORDER.has(toHex(y))
}

const littleEndian = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(new Uint8Array(bytes).reverse())}`)

/**
 * Whether a signature has a shape that any key can have made: 64 bytes, S < L, R not of small order. Cheap, and
 * asked before every verifier, so that all of them are left with the same cases.
 */
export function acceptableEd25519Signature(signature: Uint8Array): boolean {
  if (signature.length !== 64) return false
  // The top byte alone decides nearly always: L is 0x10 followed by 15 zero bytes and then the rest.
  if (signature[63]! > 0x10) return false
  if (signature[63] === 0x10 && littleEndian(signature.subarray(32)) >= L) return false
  return !hasSmallOrder(signature.subarray(0, 32))
}

/**
 * Whether 32 bytes are a key that may be loaded. A key with torsion would make signatures on which verifiers with
 * and without cofactor disagree.
 */
export function isEd25519Key(publicKey: Uint8Array): boolean {
  try {
    const point = ed.Point.fromBytes(publicKey, false)
    return !point.isSmallOrder() && point.isTorsionFree()
  } catch {
    return false
  }
}

/**
 * Whether `signature` of `message` verifies under `publicKey` (32 bytes). Never throws.
 *
 * Not `ed.verify`: that one clears the cofactor, and so accepts an R with torsion that OpenSSL refuses.
 */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!acceptableEd25519Signature(signature)) return false
  try {
    const A = ed.Point.fromBytes(publicKey, false)
    if (A.isSmallOrder()) return false
    const R = signature.subarray(0, 32)
    const S = littleEndian(signature.subarray(32))
    const k = littleEndian(sha512(concat(R, publicKey, message))) % L
    return equal(ed.Point.BASE.multiply(S, false).subtract(A.multiply(k, false)).toBytes(), R)
  } catch {
    return false
  }
}

/** Checks the lines of a log's own key (type 0x01). */
export const ed25519NoteVerifier = (key: VerifierKey): NoteVerifier => ({
  key,
  verify: (text, signature) => verifyEd25519(key.publicKey, toUtf8(text), signature),
})

/** Signs as `name` with type 0x01. `sign` is the raw Ed25519 operation, so that the key can stay where it is kept. */
export const ed25519NoteSigner = (
  name: string,
  publicKey: Uint8Array,
  sign: (message: Uint8Array) => Uint8Array,
): NoteSigner => ({ key: verifierKey(name, ED25519, publicKey), sign: (text) => sign(toUtf8(text)) })
