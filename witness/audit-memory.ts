/** What an audit has to remember from one step to the next, as the state keeps it. */
import { fromUtf8, toUtf8 } from '../src/core/bytes.ts'
import { CompactRange } from '../src/core/compact-range.ts'
import type { Audited } from './state.ts'

/** Beside the tree. */
export interface Memory {
  /** Of the rules; null for a log whose entries have no meaning here. */
  readonly rules: string | null
  /** Events whose payload was not there when it was asked for, and that no redaction names. */
  readonly missing: readonly number[]
  /** When the audited head was cosigned, seconds. */
  readonly seen: number
  /** What was redacted and whose keys may still be there. */
  readonly redacted: readonly number[]
}

/** The tree as far as it was audited. */
export function auditedRange({ size, subtrees }: Pick<Audited, 'size' | 'subtrees'>): CompactRange {
  const hashes = Array.from(
    { length: subtrees.length / 32 },
    (_, i) => new Uint8Array(subtrees.subarray(32 * i, 32 * i + 32)),
  )
  return CompactRange.of(size, hashes)
}

export const formatMemory = (memory: Memory): Uint8Array => toUtf8(JSON.stringify(memory))

/** Undefined before the first audit. */
export const parseMemory = ({ memory }: Pick<Audited, 'memory'>): Memory | undefined =>
  memory.length === 0 ? undefined : (JSON.parse(fromUtf8(new Uint8Array(memory))!) as Memory)
