/**
 * Signatures of logs, checked by OpenSSL where the key is of Ed25519: 15 times as fast as the core's verifier, of which the
 * witness needs one for each request. The set of accepted signatures is the core's, whose shape test comes first.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { toUtf8 } from '../src/core/bytes.ts'
import { cosignatureVerifier } from '../src/core/cosignature.ts'
import { acceptableEd25519Signature } from '../src/core/ed25519.ts'
import { ed25519PublicKey } from '../src/core/keys.ts'
import { ED25519, type NoteVerifier, type VerifierKey } from '../src/core/note.ts'
import { canonicalSignature, type VerifySignature } from '../src/core/signature.ts'

/** For a key of type 0x01 or 0x06, as a log list has them. */
export function logVerifier(key: VerifierKey): NoteVerifier {
  if (key.type !== ED25519) return cosignatureVerifier(key)
  const { spki } = ed25519PublicKey(key.publicKey)
  const handle = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  return {
    key,
    verify: (text, signature) => acceptableEd25519Signature(signature) && verify(null, toUtf8(text), handle, signature),
  }
}

const signers = new LRUCache<string, KeyObject>({ max: 4096 })

/** Signatures of events and documents. */
export const nativeVerify: VerifySignature = (key, message, signature) => {
  const canonical = canonicalSignature(key, signature)
  if (canonical === undefined) return false
  const handle = signers.get(key.id) ?? createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' })
  signers.set(key.id, handle)
  return verify(key.algorithm === 'p256' ? 'sha256' : null, message, handle, canonical)
}
