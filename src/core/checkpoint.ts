/** C2SP tlog-checkpoint: the text of a tree head. */
import { sha256 } from '#platform'
import { fromBase64, parseU64, toBase64, toHex, toUtf8 } from './bytes.ts'
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash } from './merkle.ts'

export interface Checkpoint {
  readonly origin: string
  /** u64 on the wire; `sizeOf` narrows it for a tree of ours. */
  readonly size: bigint
  readonly root: Hash
  /** Lines after the third. Our logs write none, and nothing may be concluded from another's. */
  readonly extensions: readonly string[]
}

/** ML-DSA cosignatures carry the origin after one length byte. */
export const MAX_ORIGIN_SIZE = 255

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_CHECKPOINT', `not a checkpoint: ${why}`)

export const formatCheckpoint = ({ origin, size, root, extensions }: Checkpoint): string =>
  `${origin}\n${size}\n${toBase64(root)}\n${extensions.map((line) => `${line}\n`).join('')}`

/** The name of an origin in the monitoring paths of C2SP tlog-witness: lowercase hex of its SHA-256. */
export const originHash = (origin: string): string => toHex(sha256(toUtf8(origin)))

/** Takes a note's text. Throws MALFORMED_CHECKPOINT. */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith('\n')) throw malformed('no newline at the end')
  const [origin = '', sizeText = '', rootText = '', ...extensions] = text.slice(0, -1).split('\n')
  if (origin === '' || toUtf8(origin).length > MAX_ORIGIN_SIZE) throw malformed('the origin is not 1 to 255 bytes')
  const size = parseU64(sizeText)
  if (size === undefined) throw malformed('the size is not a decimal number')
  const root = fromBase64(rootText)
  if (root?.length !== HASH_SIZE) throw malformed('the root is not base64 of 32 bytes')
  if (extensions.includes('')) throw malformed('an empty line')
  return { origin, size, root, extensions }
}

/** The size of a tree of ours. Throws MALFORMED_CHECKPOINT past 2^53, which no log reaches. */
export function sizeOf({ size }: Checkpoint): number {
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`size ${size} is beyond any log`)
  return Number(size)
}
