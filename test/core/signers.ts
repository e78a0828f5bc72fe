/** Signers with fixed keys, so that the bytes in golden tests are the same in every run. */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { p256 } from '@noble/curves/nist.js'
import { concat, fromHex } from '../../src/core/bytes.ts'
import { canonicalEnvelope, type Envelope, pae, type VerifiedSignature } from '../../src/core/dsse.ts'
import { type PublicKey, parsePublicKey } from '../../src/core/keys.ts'

export interface Signer {
  readonly key: PublicKey
  sign(message: Uint8Array): Uint8Array
}

export const P256_PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')!
export const ED25519_PREFIX = fromHex('302a300506032b6570032100')!

export function ed25519Signer(seed: number): Signer {
  const der = concat(fromHex('302e020100300506032b657004220420')!, new Uint8Array(32).fill(seed))
  const secret = createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
  const key = parsePublicKey(createPublicKey(secret).export({ format: 'der', type: 'spki' }))
  return { key, sign: (message) => new Uint8Array(sign(null, message, secret)) }
}

export function p256Signer(seed: number): Signer {
  const secret = new Uint8Array(32).fill(seed)
  const key = parsePublicKey(concat(P256_PREFIX, p256.getPublicKey(secret, false)))
  // RFC 6979, so that it too is the same each time.
  return { key, sign: (message) => p256.sign(message, secret, { format: 'der', prehash: true, lowS: true }) }
}

/** What each signer says of the payload. */
const signAll = (payloadType: string, payload: Uint8Array, signers: readonly Signer[]): VerifiedSignature[] =>
  signers
    .map(({ key, sign }) => ({ key, signature: sign(pae(payloadType, payload)) }))
    .sort((a, b) => (a.key.id < b.key.id ? -1 : 1))

export const envelopeOf = (payloadType: string, payload: Uint8Array, signers: readonly Signer[]): Envelope => ({
  payloadType,
  payload,
  signatures: signAll(payloadType, payload, signers).map(({ key, signature }) => ({ keyid: key.id, signature })),
})

export const canonicalOf = (payloadType: string, payload: Uint8Array, signers: readonly Signer[]): Uint8Array =>
  canonicalEnvelope({ payloadType, payload, signatures: [] }, signAll(payloadType, payload, signers))
