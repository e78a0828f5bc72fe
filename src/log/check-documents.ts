/** The documents behind the entries: the root says nothing of their bytes, key 7 of each entry does. */
import { addendumHash } from '../core/addendum.ts'
import { equal } from '../core/bytes.ts'
import { decodeEntry, type Entry, GENESIS, POLICY, REDACTION } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import type { SqliteStore } from '../store/sqlite.ts'

export interface DocumentsReport {
  /** Documents that are what their entries commit to. */
  readonly sound: number
  readonly redacted: number
  /** Not there, though no redaction names them: only a log that was restored from a copy may have such. */
  readonly missing: number
}

/** Entries that are read at once, and bytes of documents. */
const ENTRIES = 1_024
const BYTES = 16 * 2 ** 20
/** Faults that are named; the others are counted. */
const NAMED = 10

/**
 * Compares each document of an events log with its entry, what is redacted with the redactions in the log, and the list of policies and the time of the
 * head with the entries. Call it after `checkTree`, which says that the entries are right. Throws INVALID_LOG with what it found.
 */
export async function checkDocuments(
  store: SqliteStore,
  size: number,
  progress: (done: number, size: number) => void,
): Promise<DocumentsReport> {
  const faults: string[] = []
  const policies: number[] = []
  let [sound, redacted, missing] = [0, 0, 0]
  for (let from = 0; from < size; ) {
    const to = Math.min(size, from + ENTRIES)
    const entries = (await store.entries(from, to)).map((bytes, i) => decode(bytes, from + i))
    let next = from
    const absent = async (until: number): Promise<void> => {
      for (; next < until; next++) {
        const by = await store.redactedBy(next)
        if (by !== undefined && (await names(store, by, next))) redacted++
        else if (by !== undefined) faults.push(`${next} is marked as redacted by ${by}, which does not say so`)
        else if (store.restored) missing++
        else faults.push(`that of ${next} is missing`)
      }
    }
    while (next < to) {
      const documents = store.addenda(next, to, BYTES)
      for (const { index, bytes } of documents) {
        await absent(index)
        if (index !== next) throw new TreelineError('INVALID_LOG', `the documents are not in order at ${index}`)
        if (equal(addendumHash(bytes), entries[index - from]!.addendum)) sound++
        else faults.push(`that of ${index} is not the one that the entry commits to`)
        next++
      }
      if (documents.length === 0) await absent(to)
    }
    for (const [i, entry] of entries.entries()) {
      if (entry.kind === GENESIS || entry.kind === POLICY) policies.push(from + i)
      if (entry.kind !== REDACTION) continue
      for (const index of entry.indexes)
        if (index < from + i && (await store.redactedBy(index)) === undefined)
          faults.push(`that of ${index} is not redacted, as ${from + i} says`)
    }
    from = to
    progress(from, size)
  }
  const last = await store.head()
  const newest = await store.entry(last.size - 1)
  if (newest !== undefined && decode(newest, last.size - 1).time !== last.time)
    faults.push('the time of the head is not the one of the last entry')
  const listed = (await store.policies()).filter((index) => index < size)
  if (String(listed) !== String(policies))
    faults.push(`the write policies are listed at ${listed}, and are at ${policies}`)
  if (faults.length > 0) {
    const more = faults.length > NAMED ? `, and ${faults.length - NAMED} more` : ''
    throw new TreelineError(
      'INVALID_LOG',
      `the documents are not those of the entries: ${faults.slice(0, NAMED).join(', ')}${more}`,
    )
  }
  return { sound, redacted, missing }
}

/** Whether the entry at `by` is a redaction of an index. It may be one that came after the check began. */
async function names(store: SqliteStore, by: number, index: number): Promise<boolean> {
  const bytes = await store.entry(by)
  const entry = bytes && decode(bytes, by)
  return entry?.kind === REDACTION && index < by && entry.indexes.includes(index)
}

function decode(bytes: Uint8Array, index: number): Entry {
  try {
    return decodeEntry(bytes)
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError('INVALID_LOG', `entry ${index} is not one of an events log`, {}, { cause: error })
  }
}
