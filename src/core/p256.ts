/** ECDSA over P-256 with SHA-256 (FIPS 186-5), signatures in DER, stored in the one form with low S. */
import { p256 } from '@noble/curves/nist.js'
import { equal } from './bytes.ts'

/** 0x04 ‖ x ‖ y of a point on the curve, x and y below the field's prime. */
export function isP256Point(point: Uint8Array): boolean {
  if (point.length !== 65 || point[0] !== 0x04) return false
  try {
    p256.Point.fromBytes(point).assertValidity()
    return true
  } catch {
    return false
  }
}

/**
 * The signature with low S, or undefined for what is not strict DER of two integers 1…n-1. For each (r, s) that
 * verifies, anybody can make (r, n-s) that verifies too: keeping one of them is what stops re-spelling an envelope.
 */
export function canonicalP256Signature(der: Uint8Array): Uint8Array | undefined {
  try {
    const { r, s } = p256.Signature.fromBytes(der, 'der')
    if (!equal(new p256.Signature(r, s).toBytes('der'), der)) return undefined
    const n = p256.Point.Fn.ORDER
    return s > n >> 1n ? new p256.Signature(r, n - s).toBytes('der') : der
  } catch {
    return undefined
  }
}

/** Whether a DER signature, with S low or high, of `message` verifies under an uncompressed point. Never throws. */
export function verifyP256(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const canonical = canonicalP256Signature(signature)
  if (canonical === undefined || !isP256Point(point)) return false
  return p256.verify(canonical, message, point, { format: 'der', prehash: true })
}
