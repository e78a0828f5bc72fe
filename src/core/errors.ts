/** Every answer that is not a success has one of these codes. `src/http/problems.ts` gives each its status. */
export type Code =
  // Who may write, and what.
  | 'UNKNOWN_KEY'
  | 'KEY_SUSPENDED'
  | 'KEY_EXPIRED'
  | 'TYPE_NOT_ALLOWED'
  | 'SUBJECT_NOT_ALLOWED'
  | 'WRONG_ORIGIN'
  | 'BAD_SIGNATURE'
  // What was sent.
  | 'MALFORMED_ENVELOPE'
  | 'MALFORMED_BASE64'
  | 'MALFORMED_PAYLOAD'
  | 'DUPLICATE_JSON_KEY'
  | 'TOO_DEEP'
  | 'UNKNOWN_PARAMETER'
  | 'BODY_TOO_LARGE'
  | 'ENTRY_TOO_LARGE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  // What was asked for.
  | 'UNKNOWN_LOG'
  | 'UNKNOWN_SIZE'
  | 'UNKNOWN_INDEX'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_YET_PUBLISHED'
  | 'REDACTED'
  | 'POLICY_CONFLICT'
  | 'MORE_INDEXES'
  // Whether it can be done now.
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'QUEUE_FULL'
  | 'STORAGE_FAILED'
  | 'CLOCK'
  | 'RATE_LIMITED'
  | 'FROZEN'
  | 'NOT_YET_AUDITED'
  // What a witness has stored is not what it was asked to go on from.
  | 'SIZE_CONFLICT'
  // What a verifier finds.
  | 'MALFORMED_NOTE'
  | 'MALFORMED_VKEY'
  | 'MALFORMED_CHECKPOINT'
  | 'MALFORMED_COSIGNATURE'
  | 'MALFORMED_ADD_CHECKPOINT'
  | 'MALFORMED_WITNESS_POLICY'
  | 'MALFORMED_PROOF'
  | 'MALFORMED_TILE_PATH'
  | 'MALFORMED_BUNDLE'
  | 'MALFORMED_ENTRY'
  | 'MALFORMED_CBOR'
  | 'MALFORMED_KEY'
  | 'UNVERIFIED_NOTE'
  | 'INVALID_PROOF'
  | 'INVALID_LOG'
  | 'UNVERIFIABLE'
  | 'MALFORMED_FAULT'
  | 'MALFORMED_SNAPSHOT'
  // What a write-once store does with what it was given.
  | 'WORM_BROKEN'
  // What an operator or a caller got wrong.
  | 'USAGE'
  | 'LOCKED'
  | 'UNREACHABLE'

/**
 * An answer, as opposed to a bug: the caller can act on it. `facts` are the machine-readable parts
 * (an index, a size) and stand beside `code` and `detail` in a problem document.
 */
export class TreelineError extends Error {
  override readonly name = 'TreelineError'
  readonly code: Code
  readonly facts: Readonly<Record<string, unknown>>

  constructor(code: Code, message: string, facts: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.facts = facts
  }
}
