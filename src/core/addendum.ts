/**
 * The signed document behind an entry, whose SHA-256 is the entry's key 7. Those of events can be erased, so 16 bytes
 * of blinding go before them: nobody can guess a short payload from its digest. Those of other kinds are bare.
 */
import { hmacSha256, sha256 } from '#platform'
import { concat } from './bytes.ts'
import { TreelineError } from './errors.ts'
import type { Hash } from './merkle.ts'

export const BLINDING_SIZE = 16
export const MAX_ADDENDUM_SIZE = 4 * 1024 * 1024

/**
 * First 16 bytes of HMAC-SHA-256(secret, canonical envelope). Not random: the digest of the addendum is to be a
 * function of the signed event alone, because it is also what finds duplicates.
 */
export const blinding = (secret: Uint8Array, canonical: Uint8Array): Uint8Array =>
  hmacSha256(secret, canonical).subarray(0, BLINDING_SIZE)

/** The addendum of an event. Throws BODY_TOO_LARGE. */
export function joinAddendum(salt: Uint8Array, document: Uint8Array): Uint8Array {
  if (salt.length !== BLINDING_SIZE) throw new TypeError(`the blinding has ${salt.length} bytes, not ${BLINDING_SIZE}`)
  if (BLINDING_SIZE + document.length > MAX_ADDENDUM_SIZE) {
    throw new TreelineError('BODY_TOO_LARGE', `the addendum would have more than ${MAX_ADDENDUM_SIZE} bytes`)
  }
  return concat(salt, document)
}

/** Views of an event's addendum. Throws INVALID_LOG: a log that committed to less is broken. */
export function splitAddendum(addendum: Uint8Array): { salt: Uint8Array; document: Uint8Array } {
  if (addendum.length < BLINDING_SIZE || addendum.length > MAX_ADDENDUM_SIZE) {
    throw new TreelineError('INVALID_LOG', `an addendum of ${addendum.length} bytes`)
  }
  return { salt: addendum.subarray(0, BLINDING_SIZE), document: addendum.subarray(BLINDING_SIZE) }
}

/** Key 7 of the entry, and the addendum's address. */
export const addendumHash = (addendum: Uint8Array): Hash => sha256(addendum)
