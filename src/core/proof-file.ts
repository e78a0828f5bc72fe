/**
 * C2SP tlog-proof: everything that an offline verifier needs beside the entry and its own policy.
 *
 *     c2sp.org/tlog-proof@v1
 *     extra b3BhcXVl
 *     index 10
 *     fZ8YIcvie0C4y+5h9YiIDr9jDjmNu4udCX37u/3049w=
 *
 *     log.example/l
 *     11
 *     …
 *
 * The `extra` line may be missing, hashes go from the leaf's sibling upward, and the signed checkpoint ends the file.
 */
import { concat, fromBase64, parseU64, splitAtEmptyLine, toBase64, toUtf8 } from './bytes.ts'
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash, verifyInclusion } from './merkle.ts'
import { type VerifiedCheckpoint, verifyCheckpoint, type WitnessPolicy } from './witness-policy.ts'

export interface ProofFile {
  readonly index: bigint
  /** Inclusion proof, leaf's sibling first. */
  readonly hashes: readonly Hash[]
  /** The signed note, byte for byte. */
  readonly checkpoint: Uint8Array
  /** Whatever the writer adds. No signature covers it: use nothing of it that is not proved otherwise. */
  readonly extra?: Uint8Array
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'
/** A path in a tree of fewer than 2^64 leaves. */
const MAX_HASHES = 64

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_PROOF', `not a tlog-proof: ${why}`)

export function formatProof({ index, hashes, checkpoint, extra }: ProofFile): Uint8Array {
  const lines = [FIRST_LINE]
  if (extra !== undefined) lines.push(`extra ${toBase64(extra)}`)
  lines.push(`index ${index}`, ...hashes.map(toBase64))
  return concat(toUtf8(`${lines.join('\n')}\n\n`), checkpoint)
}

/** Throws MALFORMED_PROOF. The checkpoint is cut off as it is, for `verifyProof` to judge. */
export function parseProof(bytes: Uint8Array): ProofFile {
  const split = splitAtEmptyLine(bytes)
  if (split === undefined) throw malformed('no empty line after the proof')
  const { lines, rest: checkpoint } = split
  if (lines.shift() !== FIRST_LINE) throw malformed(`the first line is not ${FIRST_LINE}`)
  const extraText = lines[0]?.startsWith('extra ') ? lines.shift()!.slice('extra '.length) : undefined
  const extra = extraText === undefined ? undefined : fromBase64(extraText)
  if (extraText !== undefined && extra === undefined) throw malformed('the extra line is not base64')
  const indexLine = lines.shift() ?? ''
  const index = indexLine.startsWith('index ') ? parseU64(indexLine.slice('index '.length)) : undefined
  if (index === undefined) throw malformed('no index line')
  if (lines.length > MAX_HASHES) throw malformed(`more than ${MAX_HASHES} hashes`)
  const hashes = lines.map((line) => {
    const hash = fromBase64(line)
    if (hash?.length !== HASH_SIZE) throw malformed('a hash is not base64 of 32 bytes')
    return hash
  })
  return { index, hashes, checkpoint, ...(extra && { extra }) }
}

/**
 * What the proof shows of the entry with this leaf hash: that it stands at `proof.index` under a checkpoint of a log
 * that the policy lists under its origin, signed by that log, and cosigned by the policy's quorum. Throws
 * MALFORMED_NOTE, MALFORMED_CHECKPOINT, UNVERIFIED_NOTE, or INVALID_PROOF when the hashes do not lead from leaf to root.
 */
export function verifyProof(proof: ProofFile, leaf: Hash, policy: WitnessPolicy): VerifiedCheckpoint {
  const verified = verifyCheckpoint(proof.checkpoint, policy)
  const { size, root } = verified.checkpoint
  if (!verifyInclusion(proof.index, size, leaf, proof.hashes, root)) {
    throw new TreelineError('INVALID_PROOF', `the entry is not proved to be at index ${proof.index} of ${size}`)
  }
  return verified
}
