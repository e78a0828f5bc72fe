/**
 * Signature checks by OpenSSL, ten times faster than those of the core. The shape of a signature is judged by the
 * core first, so that both accept the same set; test/core/signature.test.ts holds one against the other.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { canonicalSignature, type VerifySignature } from '../core/signature.ts'

/** Parsing a key costs half of a verification. A policy has tens of keys; the limit is for a log with thousands. */
const keys = new LRUCache<string, KeyObject>({ max: 4096 })

export const nativeVerify: VerifySignature = (key, message, signature) => {
  const canonical = canonicalSignature(key, signature)
  if (canonical === undefined) return false
  let object = keys.get(key.id)
  if (object === undefined) {
    object = createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' })
    keys.set(key.id, object)
  }
  return verify(key.algorithm === 'p256' ? 'sha256' : null, message, object, canonical)
}
