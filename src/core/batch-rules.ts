/**
 * The rule of signed batches: a header is followed by exactly its items, which say of themselves what it says, and give the root that it signs. Four shapes
 * of evidence: an entry in the span of a header that is not its item; an item whose header is not where it says; a header whose items give another root;
 * a header under a signed head that ends before its last item.
 */
import { type BatchHeader, type BatchRoot, isWhole, parseBatchHeader } from './batch.ts'
import { equal, toHex } from './bytes.ts'
import { parseEnvelope } from './dsse.ts'
import { BATCH, type BatchEntry, type Entry, EVENT, type EventEntry } from './entry.ts'
import { BrokenRule, broken, type Item, type JudgingPolicy, requireCanonical, requireDocument } from './entry-rules.ts'
import { TreelineError } from './errors.ts'
import { judgeKeys } from './policy-fold.ts'
import { signedPayload } from './receipt.ts'
import type { VerifySignature } from './signature.ts'

/** A header and where it stands: its items are the `header.size` entries after it. */
export interface PlacedBatch {
  readonly index: number
  readonly entry: BatchEntry
  readonly header: BatchHeader
}

/** The header in an entry that is taken for right, or undefined: also without its document, and with another one. */
export function batchIn(item: Item, entry: Entry): PlacedBatch | undefined {
  if (entry.kind !== BATCH) return undefined
  try {
    return { index: item.index, entry, header: parseBatchHeader(parseEnvelope(requireDocument(item, entry))) }
  } catch (error) {
    if (error instanceof TreelineError) return undefined
    throw error
  }
}

/** What the header of a batch shows by itself. Throws BrokenRule, UNVERIFIABLE. */
export function judgeBatchHeader(
  item: Item,
  entry: BatchEntry,
  current: JudgingPolicy,
  verify: VerifySignature,
): PlacedBatch {
  const document = requireDocument(item, entry)
  const needs = [current.index]
  const envelope = broken('signature', needs, () => requireCanonical(document, current.ring, verify))
  const header = broken('batch', needs, () => {
    const parsed = parseBatchHeader(envelope)
    if (parsed.origin !== current.policy.origin)
      throw new TreelineError('WRONG_ORIGIN', `the batch is made for ${parsed.origin}`)
    return parsed
  })
  const { keys, payloadType } = signedPayload(envelope)
  if (payloadType !== entry.payloadType || !sameKeys(keys, entry.keys))
    throw new BrokenRule('description', 'the entry does not say what the header says', needs)
  broken('not-allowed', needs, () => judgeKeys(current.ring, entry.keys, entry.time))
  return { index: item.index, entry, header }
}

const sameKeys = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((key, i) => equal(key, b[i]!))

/** Whether an index is that of an item, as far as the header says. */
export const spans = ({ index, header }: PlacedBatch, at: number): boolean => at > index && at <= index + header.size

/** Why an entry at an index within the span of a batch is not the item that belongs there, or undefined. */
export function notItsItem(batch: PlacedBatch, index: number, entry: Entry): string | undefined {
  const { header } = batch
  if (entry.kind !== EVENT || entry.batch === undefined) return 'is no item of it'
  if (entry.batch.header !== batch.index || entry.batch.position !== index - batch.index - 1) return 'is another item'
  if (entry.payloadType !== header.payloadType) return 'has another payload type'
  if (!sameKeys(entry.keys, batch.entry.keys)) return 'has other keys'
  if (entry.time !== batch.entry.time) return 'has another time'
  if (entry.policy !== batch.entry.policy) return 'names another policy'
  return undefined
}

/** An entry in the span of a header. Throws BrokenRule. */
export function judgeMember(batch: PlacedBatch, index: number, entry: Entry): void {
  const why = notItsItem(batch, index, entry)
  if (why !== undefined)
    throw new BrokenRule('batch', `it stands among the items of the batch at ${batch.index}, and ${why}`, [batch.index])
}

/** An item outside of the span of the header that it names, whose place is `stands` where it is a header. Throws BrokenRule. */
export function judgeClaim(index: number, entry: EventEntry, stands: PlacedBatch | undefined): void {
  if (entry.batch === undefined) return
  const { header, position } = entry.batch
  // The entry alone shows it.
  if (index !== header + 1 + position)
    throw new BrokenRule('batch', `it says to be item ${position} of a batch at ${header}, and stands elsewhere`)
  if (stands === undefined || !spans(stands, index))
    throw new BrokenRule('batch', `at ${header} there is no header of a batch that has an item ${position}`, [header])
  judgeMember(stands, index, entry)
}

/** What a signed head of that size breaks, or undefined: header and items are one commit, and only what is committed is signed. */
export function cutBy(batch: PlacedBatch, size: number): BrokenRule | undefined {
  if (!spans(batch, size)) return undefined
  return new BrokenRule('batch', `the head of size ${size} ends among the ${batch.header.size} items of the batch`)
}

/** When the last item is in. Throws BrokenRule, which names header and items. */
export function judgeRoot({ index, header }: PlacedBatch, items: BatchRoot): void {
  if (isWhole(header, items)) return
  const needs = Array.from({ length: header.size }, (_, i) => index + i)
  throw new BrokenRule('batch', `the items of the batch at ${index} do not give the root ${toHex(header.root)}`, needs)
}
