/**
 * What a witness makes of an add-checkpoint request (C2SP tlog-witness), in the order that satisfies every rule of it. Pure: first what the
 * request shows by itself, then what it means beside the checkpoint that was cosigned last. Bytes are the requester's choice until
 * a signature of a configured key has verified.
 */
import { type AddCheckpoint, parseAddCheckpoint } from '../src/core/add-checkpoint.ts'
import { equal, fromUtf8 } from '../src/core/bytes.ts'
import { type Checkpoint, parseCheckpoint } from '../src/core/checkpoint.ts'
import { TreelineError } from '../src/core/errors.ts'
import { EMPTY_ROOT, type Hash, verifyConsistency } from '../src/core/merkle.ts'
import { type NoteVerifier, parseNote, type Signature, verifyNote } from '../src/core/note.ts'

/** A log that is witnessed: its origin and the verifiers of its keys. */
export interface WitnessedLog {
  readonly origin: string
  readonly verifiers: readonly NoteVerifier[]
}

/** A checkpoint that a configured log has signed. */
export interface Submission {
  readonly checkpoint: Checkpoint
  /** The lines of the log that verified, and no others: anybody can add a line in our own name. */
  readonly signatures: readonly Signature[]
  readonly old: bigint
  readonly proof: readonly Hash[]
}

export interface Refusal {
  readonly status: 400 | 403 | 404 | 409 | 422 | 503
  readonly why: string
  /** With 409: the size of the latest cosigned checkpoint. */
  readonly size?: bigint
}

/** The tree head that was cosigned last. */
export interface Cosigned {
  readonly size: bigint
  readonly root: Hash
}

const refuse = (status: Refusal['status'], why: string): Refusal => ({ status, why })

/** Steps 1 to 7: framing, origin, note, signatures, checkpoint, sizes. Nothing is looked up but the log's keys. */
export function readSubmission(
  body: Uint8Array,
  find: (origin: string) => WitnessedLog | undefined,
): Submission | Refusal {
  const request = attempt(() => parseAddCheckpoint(body))
  if ('status' in request) return request
  const origin = firstLine(request.note)
  if (origin === undefined) return refuse(400, 'the checkpoint has no origin')
  const log = find(origin)
  if (log === undefined) return refuse(404, 'this witness does not know the log')
  const note = attempt(() => parseNote(request.note))
  if ('status' in note) return note
  let verified: NoteVerifier[]
  try {
    verified = verifyNote(note, log.verifiers)
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    return refuse(403, error.message)
  }
  const checkpoint = attempt(() => parseCheckpoint(note.text))
  if ('status' in checkpoint) return checkpoint
  const signatures = note.signatures.filter(({ name, keyId }) =>
    verified.some(({ key }) => key.name === name && equal(key.keyId, keyId)),
  )
  return judgeSizes(request, checkpoint) ?? { checkpoint, signatures, old: request.old, proof: request.proof }
}

function judgeSizes({ old }: AddCheckpoint, { size, root }: Checkpoint): Refusal | undefined {
  if (old > size) return refuse(400, `the old size ${old} is larger than the checkpoint's ${size}`)
  if (size === 0n && !equal(root, EMPTY_ROOT)) return refuse(422, 'a tree of size 0 has another root')
  return undefined
}

/** Steps 8 to 11, to be asked and acted upon in one atomic step. Undefined when the checkpoint may be cosigned. */
export function judgeSubmission(
  { old, proof, checkpoint }: Submission,
  stored: Cosigned | undefined,
): Refusal | undefined {
  const { size, root } = checkpoint
  const latest = stored?.size ?? 0n
  if (old !== latest) return { status: 409, why: `the latest cosigned size is ${latest}`, size: latest }
  if (old === 0n) return proof.length === 0 ? undefined : refuse(422, 'there is nothing to prove from size 0')
  if (stored === undefined || !verifyConsistency(old, size, stored.root, root, proof))
    return refuse(422, 'the checkpoint is not proved to be an extension of the latest one that was cosigned')
  return undefined
}

/** What cannot be read is a bad request. */
function attempt<T extends object>(parse: () => T): T | Refusal {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    return refuse(400, error.message)
  }
}

const NEWLINE = 0x0a

function firstLine(note: Uint8Array): string | undefined {
  const end = note.indexOf(NEWLINE)
  return end <= 0 ? undefined : fromUtf8(note.subarray(0, end))
}
