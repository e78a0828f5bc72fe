/** Parts of the log's JSON answers. What has the wrong shape is the log's fault, never a bug of ours: whoever answers may be lying. */
import { fromBase64, fromUtf8 } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { HASH_SIZE, type Hash } from '../core/merkle.ts'

/** A path in a tree of fewer than 2^53 leaves has fewer. */
const MAX_HASHES = 64

export const wrongAnswer = (why: string): TreelineError =>
  new TreelineError('INVALID_PROOF', `the answer of the log is wrong: ${why}`)

/** Throws UNREACHABLE for what is not a JSON object or array: whatever answered is not a log. */
export function parseAnswer<T extends object>(body: Uint8Array): T {
  try {
    const document: unknown = JSON.parse(fromUtf8(body) ?? '')
    if (typeof document === 'object' && document !== null) return document as T
  } catch {
    // Said below.
  }
  throw new TreelineError('UNREACHABLE', 'the answer is not that of a log: it is not JSON')
}

/** Throws INVALID_PROOF, as all below. */
export function bytesOf(value: unknown, name: string): Uint8Array {
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined
  if (bytes === undefined) throw wrongAnswer(`${name} is not base64`)
  return bytes
}

export function hashesOf(value: unknown): Hash[] {
  if (!Array.isArray(value) || value.length > MAX_HASHES) throw wrongAnswer('hashes are not a proof')
  return value.map((text) => {
    const hash = bytesOf(text, 'a hash')
    if (hash.length !== HASH_SIZE) throw wrongAnswer(`a hash has ${hash.length} bytes`)
    return hash
  })
}

export function textOf(value: unknown, name: string): string {
  if (typeof value !== 'string') throw wrongAnswer(`${name} is not a text`)
  return value
}

export function indexOf(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrongAnswer(`${name} is not an index`)
  return value as number
}
