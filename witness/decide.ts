/**
 * What a witness cosigns: C2SP tlog-witness, in the order of steps that satisfies each of its rules. Pure: the two functions
 * are one decision, cut where the stored state enters, because what follows the cut must be one transaction with the store.
 */
import { parseAddCheckpoint } from '../src/core/add-checkpoint.ts'
import { equal, fromUtf8 } from '../src/core/bytes.ts'
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../src/core/checkpoint.ts'
import { type Code, TreelineError } from '../src/core/errors.ts'
import { EMPTY_ROOT, type Hash, verifyConsistency } from '../src/core/merkle.ts'
import {
  COSIGNATURE_ML_DSA_44,
  formatNote,
  type NoteVerifier,
  parseNote,
  type Signature,
  verifyNote,
} from '../src/core/note.ts'

/** Bounds all work that is done for a stranger: a note of it has room for 38 lines of ML-DSA. */
export const MAX_BODY_SIZE = 128 * 1024

/** Every status of a refusal, by its code. Codes that no request can cause are absent: they end as 500. */
const STATUS = {
  MALFORMED_ADD_CHECKPOINT: 400,
  MALFORMED_NOTE: 400,
  MALFORMED_CHECKPOINT: 400,
  UNVERIFIED_NOTE: 403,
  UNKNOWN_LOG: 404,
  NOT_FOUND: 404,
  SIZE_CONFLICT: 409,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  INVALID_PROOF: 422,
  FROZEN: 503,
  CLOCK: 503,
  STORAGE_FAILED: 503,
} as const satisfies Partial<Record<Code, number>>

export const statusOf = (code: Code): number => (STATUS as Partial<Record<Code, number>>)[code] ?? 500

/** A checkpoint that a configured log signed, and where its proof begins. */
export interface Submission {
  readonly old: bigint
  readonly proof: readonly Hash[]
  readonly checkpoint: Checkpoint
  /** Written again from what was parsed: the only bytes that are signed and stored. */
  readonly text: string
  /** Those of the log's configured keys, each verified. All others are gone, also forged ones under our own name. */
  readonly signatures: readonly Signature[]
}

/** The latest cosigned head of an origin. */
export interface Head {
  readonly size: bigint
  readonly root: Hash
  readonly note: string
}

/** The keys of an origin, or undefined when it is not configured. */
type KeysOf = (origin: string) => readonly NoteVerifier[] | undefined

/**
 * Everything that can be said without the state: steps 1 to 7. Throws BODY_TOO_LARGE, MALFORMED_ADD_CHECKPOINT,
 * UNKNOWN_LOG, MALFORMED_NOTE, UNVERIFIED_NOTE, MALFORMED_CHECKPOINT or INVALID_PROOF.
 */
export function readSubmission(body: Uint8Array, keysOf: KeysOf): Submission {
  if (body.length > MAX_BODY_SIZE) throw new TreelineError('BODY_TOO_LARGE', `more than ${MAX_BODY_SIZE} bytes`)
  const { old, proof, note: bytes } = parseAddCheckpoint(body) // 1
  const verifiers = keysOf(firstLine(bytes)) // 2
  if (verifiers === undefined) throw new TreelineError('UNKNOWN_LOG', 'this witness does not follow that log')
  const note = parseNote(bytes) // 3
  const verified = verifyNote(note, verifiers) // 4
  const checkpoint = parseCheckpoint(note.text) // 5
  if (old > checkpoint.size) {
    throw new TreelineError('MALFORMED_ADD_CHECKPOINT', `old ${old} is more than the size ${checkpoint.size}`) // 6
  }
  if (checkpoint.size === 0n && !equal(checkpoint.root, EMPTY_ROOT)) {
    throw new TreelineError('INVALID_PROOF', 'size 0 with another root than that of the empty tree') // 7
  }
  // ML-DSA leaves extension lines out of what it signs. Ours of type 0x04 would cover lines that a stranger wrote.
  if (checkpoint.extensions.length > 0 && verified.every(({ key }) => key.type === COSIGNATURE_ML_DSA_44)) {
    throw new TreelineError('UNVERIFIED_NOTE', 'no signature of the log covers the extension lines')
  }
  const signatures = note.signatures.filter(({ name, keyId }) =>
    verified.some(({ key }) => key.name === name && equal(key.keyId, keyId)),
  )
  return { old, proof, checkpoint, text: formatCheckpoint(checkpoint), signatures }
}

/**
 * Whether the submission follows what is stored (undefined: nothing yet, which counts as the empty tree): steps 8 to 11.
 * Throws SIZE_CONFLICT, whose fact `size` is the stored one, or INVALID_PROOF. Where the log signed another root at the stored
 * size, either has the fact `fork`, both notes: they prove it, whatever was wrong with the request besides.
 */
export function follow({ old, proof, checkpoint, text, signatures }: Submission, stored: Head | undefined): void {
  const { size, root } = stored ?? { size: 0n, root: EMPTY_ROOT }
  const forked = stored !== undefined && checkpoint.size === size && !equal(checkpoint.root, root)
  const fork = forked && { fork: [stored.note, formatNote({ text, signatures })] }
  if (old !== size) throw new TreelineError('SIZE_CONFLICT', `the latest cosigned size is ${size}`, { size, ...fork }) // 8
  if (old === 0n && proof.length > 0) {
    throw new TreelineError('INVALID_PROOF', 'a proof from the empty tree has no hashes') // 9
  }
  if (fork) throw new TreelineError('INVALID_PROOF', `another root was cosigned at size ${size}`, fork) // 10
  if (!verifyConsistency(old, checkpoint.size, root, checkpoint.root, proof)) {
    throw new TreelineError('INVALID_PROOF', `the proof does not lead from ${old} to ${checkpoint.size}`) // 11
  }
}

/** The origin, before anything else is known of the note. */
function firstLine(note: Uint8Array): string {
  const end = note.indexOf(0x0a)
  return fromUtf8(note.subarray(0, Math.max(0, end))) ?? ''
}
