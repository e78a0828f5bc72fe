/**
 * The body of C2SP tlog-witness `add-checkpoint`: the size that the log believes the witness to be at, a consistency proof from
 * there, an empty line, and the signed checkpoint.
 *
 *     old 5
 *     IfRhRzMVEUqTF1kP8ppJeyrkHm5jxcoMNUDnqQYMO7c=
 *     …
 *
 *     log.example/l
 *     8
 *     …
 */
import { concat, fromBase64, parseU64, splitAtEmptyLine, toBase64, toUtf8 } from './bytes.ts'
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash } from './merkle.ts'

export interface AddCheckpoint {
  readonly old: bigint
  /** From `old` to the checkpoint's size. */
  readonly proof: readonly Hash[]
  /** The signed note, byte for byte. */
  readonly note: Uint8Array
}

/** TW-3. A proof between trees below 2^64 leaves has no more. */
export const MAX_PROOF_HASHES = 63

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_ADD_CHECKPOINT', `not an add-checkpoint request: ${why}`)

export function formatAddCheckpoint({ old, proof, note }: AddCheckpoint): Uint8Array {
  if (proof.length > MAX_PROOF_HASHES) throw malformed(`more than ${MAX_PROOF_HASHES} hashes`)
  const lines = [`old ${old}`, ...proof.map(toBase64)]
  return concat(toUtf8(`${lines.join('\n')}\n\n`), note)
}

/** Throws MALFORMED_ADD_CHECKPOINT. The note is cut off as it is, and not looked into. */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  const split = splitAtEmptyLine(body)
  if (split === undefined) throw malformed('no empty line before the checkpoint')
  const [first = '', ...lines] = split.lines
  const old = first.startsWith('old ') ? parseU64(first.slice('old '.length)) : undefined
  if (old === undefined) throw malformed('the first line is not "old" and a decimal size')
  if (lines.length > MAX_PROOF_HASHES) throw malformed(`more than ${MAX_PROOF_HASHES} hashes`)
  const proof = lines.map((line) => {
    const hash = fromBase64(line)
    if (hash?.length !== HASH_SIZE) throw malformed('a line of the proof is not base64 of 32 bytes')
    return hash
  })
  return { old, proof, note: split.rest }
}
