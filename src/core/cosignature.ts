/**
 * C2SP tlog-cosignature: a cosigner's statement, at a time, that a checkpoint is consistent with all it has seen of
 * that log. Type 0x04 signs the checkpoint's text with Ed25519; type 0x06 signs its tree head with ML-DSA-44.
 *
 * A signature line holds, after the key id, `timestamp (u64) ‖ signature`. For type 0x06 the signed message is,
 * for witness.example/w at second 1767225600 over log.example/l of size 5:
 *
 *     737562747265652f76310a00                            subtree/v1, newline, NUL
 *     11 7769746e6573732e6578616d706c652f77               cosigner's name after its length
 *     000000006955b900                                    timestamp
 *     0d 6c6f672e6578616d706c652f6c                       origin after its length
 *     0000000000000000 0000000000000005 ‹32 bytes›        first leaf, end, hash of the leaves between
 */
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { concat, toUtf8, u64 } from './bytes.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { verifyEd25519 } from './ed25519.ts'
import { TreelineError } from './errors.ts'
import type { Hash } from './merkle.ts'
import {
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  type NoteSigner,
  type NoteVerifier,
  type VerifierKey,
} from './note.ts'

const MAX_TIMESTAMP = 2n ** 63n - 1n
const TIMESTAMP_SIZE = 8
const SIGNATURE_SIZES: Readonly<Record<number, number>> = { [COSIGNATURE_ED25519]: 64, [COSIGNATURE_ML_DSA_44]: 2420 }

export interface Cosignature {
  /** Seconds since the Unix epoch. Zero in an ML-DSA cosignature: no statement about time, nor that it was the latest. */
  readonly timestamp: bigint
  readonly signature: Uint8Array
}

/** Leaves [start, end) of a log. A checkpoint is the subtree from 0 to its size. */
export interface Subtree {
  readonly origin: string
  readonly start: bigint
  readonly end: bigint
  readonly hash: Hash
}

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_COSIGNATURE', `not a cosignature: ${why}`)

/** The bytes of a signature line after its key id. */
export function formatCosignature({ timestamp, signature }: Cosignature): Uint8Array {
  if (timestamp < 0n || timestamp > MAX_TIMESTAMP) throw malformed(`the time ${timestamp} is out of range`)
  return concat(u64(timestamp), signature)
}

/** Takes the signature type of the key that a line names. Throws MALFORMED_COSIGNATURE. */
export function parseCosignature(type: number, blob: Uint8Array): Cosignature {
  const size = SIGNATURE_SIZES[type]
  if (size === undefined) throw malformed(`keys of type ${type} make none`)
  if (blob.length !== TIMESTAMP_SIZE + size) throw malformed(`${blob.length} bytes, not ${TIMESTAMP_SIZE + size}`)
  const timestamp = new DataView(blob.buffer, blob.byteOffset, TIMESTAMP_SIZE).getBigUint64(0)
  if (timestamp > MAX_TIMESTAMP) throw malformed(`the time ${timestamp} is out of range`)
  return { timestamp, signature: blob.subarray(TIMESTAMP_SIZE) }
}

const SUBTREE_LABEL = toUtf8('subtree/v1\n\0')

/** `opaque <1..2^8-1>` of RFC 8446 section 3.4. */
function shortString(text: string): Uint8Array {
  const bytes = toUtf8(text)
  if (bytes.length < 1 || bytes.length > 255) throw malformed(`a name of ${bytes.length} bytes, not 1 to 255`)
  return concat(Uint8Array.of(bytes.length), bytes)
}

/** What type 0x06 signs: the `cosigned_message` above. */
export const subtreeMessage = (
  cosigner: string,
  timestamp: bigint,
  { origin, start, end, hash }: Subtree,
): Uint8Array =>
  concat(SUBTREE_LABEL, shortString(cosigner), u64(timestamp), shortString(origin), u64(start), u64(end), hash)

/** What `key` signs to cosign the checkpoint in a note's text. Throws MALFORMED_CHECKPOINT. */
export function cosignedMessage(key: VerifierKey, timestamp: bigint, text: string): Uint8Array {
  const { origin, size, root } = parseCheckpoint(text)
  // The whole text, so that extension lines are signed, though nobody may read a statement into them.
  if (key.type === COSIGNATURE_ED25519) return toUtf8(`cosignature/v1\ntime ${timestamp}\n${text}`)
  return subtreeMessage(key.name, timestamp, { origin, start: 0n, end: size, hash: root })
}

/** The signature itself, whatever it is over. Its length and the key's are right, having been parsed. */
const verifyRaw = ({ type, publicKey }: VerifierKey, message: Uint8Array, signature: Uint8Array): boolean =>
  type === COSIGNATURE_ED25519
    ? verifyEd25519(publicKey, message, signature)
    : ml_dsa44.verify(signature, message, publicKey)

/** A malformed cosignature, or one of something that cannot be cosigned, is one that does not verify. */
function verifies(check: () => boolean): boolean {
  try {
    return check()
  } catch (error) {
    if (error instanceof TreelineError) return false
    throw error
  }
}

/** Checks the lines of a key of type 0x04 or 0x06; others never verify. */
export const cosignatureVerifier = (key: VerifierKey): NoteVerifier => ({
  key,
  verify: (text, blob) =>
    verifies(() => {
      const { timestamp, signature } = parseCosignature(key.type, blob)
      return verifyRaw(key, cosignedMessage(key, timestamp, text), signature)
    }),
})

/**
 * Cosigns checkpoints as `key`. `sign` is the raw operation of its type (ML-DSA with an empty context), so that the
 * private key can stay where it is kept; `now` gives the seconds, or 0 where a log signs its own checkpoint with ML-DSA.
 * The caller answers for the statement: what is signed is the largest consistent tree head it has seen.
 */
export const cosignatureSigner = (
  key: VerifierKey,
  sign: (message: Uint8Array) => Uint8Array,
  now: () => bigint,
): NoteSigner => ({
  key,
  sign: (text) => {
    // ML-DSA would leave the lines out of what it signs, and a reader could believe the opposite.
    if (key.type === COSIGNATURE_ML_DSA_44 && parseCheckpoint(text).extensions.length > 0) {
      throw malformed('ML-DSA does not sign extension lines')
    }
    const timestamp = now()
    return formatCosignature({ timestamp, signature: sign(cosignedMessage(key, timestamp, text)) })
  },
})

/**
 * The signature in the blob of a subtree. It states no time, so its eight bytes of timestamp are zero; a draft
 * (C2SP pull request 346) leaves them out of the blob, which would change this function and nothing else.
 */
function parseSubtreeSignature(blob: Uint8Array): Uint8Array {
  const { timestamp, signature } = parseCosignature(COSIGNATURE_ML_DSA_44, blob)
  if (timestamp !== 0n) throw malformed('a subtree is signed at time 0')
  return signature
}

/** Whether `blob` is the cosignature of a subtree by `key`, which must be of type 0x06. */
export const verifySubtree = (key: VerifierKey, subtree: Subtree, blob: Uint8Array): boolean =>
  key.type === COSIGNATURE_ML_DSA_44 &&
  verifies(() => verifyRaw(key, subtreeMessage(key.name, 0n, subtree), parseSubtreeSignature(blob)))
