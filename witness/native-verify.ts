/** Ed25519 by OpenSSL, in the accepted set of the core: the shape of a signature is judged there first. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { toUtf8 } from '../src/core/bytes.ts'
import { cosignatureVerifier } from '../src/core/cosignature.ts'
import { acceptableEd25519Signature } from '../src/core/ed25519.ts'
import { ED25519, type NoteVerifier, type VerifierKey } from '../src/core/note.ts'

const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** Checks a log's own lines: type 0x01 natively, 0x06 by the core. */
export function logVerifier(key: VerifierKey): NoteVerifier {
  if (key.type !== ED25519) return cosignatureVerifier(key)
  const object = publicKeyOf(key.publicKey)
  return {
    key,
    verify: (text, signature) => acceptableEd25519Signature(signature) && verify(null, toUtf8(text), object, signature),
  }
}

const publicKeyOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' })
