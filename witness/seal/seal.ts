/**
 * Payloads go to write-once storage sealed, so that destroying a key erases what cannot be deleted. A sealed addendum
 * is AES-256-GCM ciphertext, then its 16-byte tag. The nonce is zero because a key seals one payload only: it depends on
 * the origin, the index and the digest of the addendum (key 7 of the entry), and sealing twice gives the same bytes.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { concat, toUtf8, u64 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'

/** What a sealed addendum is bound to. `leaf` is the GGM leaf of the index; `digest` key 7 of the entry; both hashes 32 bytes. */
export interface SealContext {
  readonly leaf: Uint8Array
  readonly origin: string
  readonly index: number
  readonly digest: Uint8Array
  readonly leafHash: Uint8Array
}

const NONCE = new Uint8Array(12)
const TAG = 16
const SALT = new Uint8Array(0)

/** HKDF-SHA-256 (RFC 5869); the tail of `info` has one length, so origin, index and digest cannot be shifted into each other. */
function sealingKey({ leaf, origin, index, digest }: SealContext): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', leaf, SALT, concat(toUtf8(origin), u64(BigInt(index)), digest), 32))
}

export function seal(addendum: Uint8Array, context: SealContext): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', sealingKey(context), NONCE)
  cipher.setAAD(context.leafHash)
  return concat(cipher.update(addendum), cipher.final(), cipher.getAuthTag())
}

/** The addendum. Throws BAD_SIGNATURE when any bit of the bytes or of what they are bound to is another. */
export function open(sealed: Uint8Array, context: SealContext): Uint8Array {
  const refused = (cause?: unknown) =>
    new TreelineError('BAD_SIGNATURE', `the sealed addendum of entry ${context.index} is not authentic`, {}, { cause })
  if (sealed.length < TAG) throw refused()
  const decipher = createDecipheriv('aes-256-gcm', sealingKey(context), NONCE, { authTagLength: TAG })
  decipher.setAAD(context.leafHash)
  decipher.setAuthTag(sealed.subarray(-TAG))
  try {
    return concat(decipher.update(sealed.subarray(0, -TAG)), decipher.final())
  } catch (error) {
    throw refused(error)
  }
}
