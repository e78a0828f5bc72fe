/**
 * Signatures of logs, checked by OpenSSL where the key is of Ed25519: 15 times as fast as the core's verifier, of which the
 * witness needs one for each request. The set of accepted signatures is the core's, whose shape test comes first.
 */
import { createPublicKey, verify } from 'node:crypto'
import { toUtf8 } from '../src/core/bytes.ts'
import { cosignatureVerifier } from '../src/core/cosignature.ts'
import { acceptableEd25519Signature } from '../src/core/ed25519.ts'
import { ed25519PublicKey } from '../src/core/keys.ts'
import { ED25519, type NoteVerifier, type VerifierKey } from '../src/core/note.ts'

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
