/** Public keys of signers and administrators, as DER SubjectPublicKeyInfo (RFC 5280), PEM and base64. */
import { sha256 } from '#platform'
import { concat, equal, fromBase64, fromHex, toBase64, toHex } from './bytes.ts'
import { isEd25519Key } from './ed25519.ts'
import { TreelineError } from './errors.ts'
import { isP256Point } from './p256.ts'

export interface PublicKey {
  /** Lowercase hex of SHA-256 over `spki`: the key's name everywhere. */
  readonly id: string
  readonly algorithm: 'ed25519' | 'p256'
  readonly spki: Uint8Array
  /** 32 bytes of RFC 8032, or 0x04 ‖ x ‖ y. */
  readonly raw: Uint8Array
}

// A SubjectPublicKeyInfo in DER has one spelling, and of fixed length, so the bytes before the key are a constant.
const ED25519_PREFIX = fromHex('302a300506032b6570032100')!
const P256_PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')!

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_KEY', `not a public key: ${why}`)

/** Throws MALFORMED_KEY, also for points that verifiers could treat differently. */
export function parsePublicKey(spki: Uint8Array): PublicKey {
  // Copies, and not by slice(), which of a Buffer is a view.
  const raw = (prefix: Uint8Array) =>
    equal(spki.subarray(0, prefix.length), prefix) ? new Uint8Array(spki.subarray(prefix.length)) : undefined
  const id = toHex(sha256(spki))
  const ed25519 = raw(ED25519_PREFIX)
  if (ed25519 !== undefined) {
    if (!isEd25519Key(ed25519)) throw malformed('not a safe Ed25519 point')
    return { id, algorithm: 'ed25519', spki: new Uint8Array(spki), raw: ed25519 }
  }
  const p256 = raw(P256_PREFIX)
  if (p256 !== undefined) {
    if (!isP256Point(p256)) throw malformed('not an uncompressed point of P-256')
    return { id, algorithm: 'p256', spki: new Uint8Array(spki), raw: p256 }
  }
  throw malformed('expected the DER SubjectPublicKeyInfo of an Ed25519 or P-256 key')
}

/** The key of 32 raw bytes. Throws MALFORMED_KEY. */
export const ed25519PublicKey = (raw: Uint8Array): PublicKey => parsePublicKey(concat(ED25519_PREFIX, raw))

/** `publicKey` of a JSON document: standard base64 of the SubjectPublicKeyInfo. Throws MALFORMED_KEY. */
export function parsePublicKeyBase64(text: string): PublicKey {
  const spki = fromBase64(text)
  if (spki === undefined) throw malformed('not standard base64')
  return parsePublicKey(spki)
}

export const formatPublicKeyBase64 = ({ spki }: PublicKey): string => toBase64(spki)

/** RFC 7468, strict form: lines of 64, one newline each. Throws MALFORMED_KEY. */
export function parsePublicKeyPem(pem: string): PublicKey {
  // Files are edited on every system: line ends and space around the block are forgiven, nothing inside it.
  const lines = pem.trim().split(/\r?\n/)
  if (lines[0] !== '-----BEGIN PUBLIC KEY-----' || lines.at(-1) !== '-----END PUBLIC KEY-----') {
    throw malformed('expected one PEM block named PUBLIC KEY')
  }
  return parsePublicKeyBase64(lines.slice(1, -1).join(''))
}

export const formatPublicKeyPem = ({ spki }: PublicKey): string =>
  `-----BEGIN PUBLIC KEY-----\n${toBase64(spki).replace(/.{1,64}/g, '$&\n')}-----END PUBLIC KEY-----\n`
