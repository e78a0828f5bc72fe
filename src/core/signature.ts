/** Signatures of events and documents, whichever the algorithm of the key. */
import { acceptableEd25519Signature, verifyEd25519 } from './ed25519.ts'
import type { PublicKey } from './keys.ts'
import { canonicalP256Signature, verifyP256 } from './p256.ts'

/** Never throws. Two implementations, here and with the server's native code, accept the same set. */
export type VerifySignature = (key: PublicKey, message: Uint8Array, signature: Uint8Array) => boolean

export const verifySignature: VerifySignature = (key, message, signature) =>
  key.algorithm === 'ed25519' ? verifyEd25519(key.raw, message, signature) : verifyP256(key.raw, message, signature)

/** The one form in which a signature is stored, or undefined when no key of this algorithm can have made it. */
export function canonicalSignature({ algorithm }: PublicKey, signature: Uint8Array): Uint8Array | undefined {
  if (algorithm === 'p256') return canonicalP256Signature(signature)
  return acceptableEd25519Signature(signature) ? signature : undefined
}
