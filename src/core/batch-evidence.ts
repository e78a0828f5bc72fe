/** The part of evidence that an item of a signed batch needs: the header that its signers signed, and the way from the item to it. */
import { verifyBatchPath } from './batch.ts'
import { judgeBatchHeader, notItsItem, type PlacedBatch, spans } from './batch-rules.ts'
import type { Checkpoint } from './checkpoint.ts'
import { BATCH, decodeEntry, type Entry, EVENT } from './entry.ts'
import { BrokenRule, type Item, type JudgingPolicy } from './entry-rules.ts'
import { TreelineError } from './errors.ts'
import { type Hash, leafHash, verifyInclusion } from './merkle.ts'
import type { VerifySignature } from './signature.ts'

/** The header, with its place under the checkpoint of the evidence, and the item's path in the tree of the batch, its sibling first. */
export interface BatchProof {
  readonly index: number
  readonly entry: Uint8Array
  /** Its envelope. */
  readonly document: Uint8Array
  readonly hashes: readonly Hash[]
  readonly path: readonly Hash[]
}

/** An item's batch: index and size of the header, and which of its items it is. */
export interface PlacedItem {
  readonly index: number
  readonly size: number
  readonly position: number
}

/** The header as an auditor judges it, in the words of a proof. */
export function verifyHeader(item: Item, entry: Entry, current: JudgingPolicy, verify: VerifySignature): PlacedBatch {
  if (entry.kind !== BATCH) throw new TreelineError('INVALID_PROOF', `entry ${item.index} is not the header of a batch`)
  try {
    return judgeBatchHeader(item, entry, current, verify)
  } catch (error) {
    const judged = error instanceof BrokenRule || (error instanceof TreelineError && error.code === 'UNVERIFIABLE')
    if (judged) throw new TreelineError('INVALID_PROOF', `the header of the batch: ${error.message}`)
    throw error
  }
}

/** That the batch which the entry names has it: who signed an item is a matter of its header alone, also when the item was redacted. */
export function verifyBatch(
  batch: BatchProof | undefined,
  index: number,
  entry: Entry,
  { size, root }: Checkpoint,
  current: JudgingPolicy,
  verify: VerifySignature,
): PlacedItem | undefined {
  const claims = entry.kind === EVENT ? entry.batch : undefined
  if (claims === undefined && batch === undefined) return undefined
  if (claims === undefined || batch === undefined || claims.header !== batch.index)
    throw new TreelineError(
      'INVALID_PROOF',
      'the evidence has not the header that the entry names, or one that it does not',
    )
  if (!verifyInclusion(BigInt(batch.index), size, leafHash(batch.entry), batch.hashes, root))
    throw new TreelineError('INVALID_PROOF', `the header at ${batch.index} is not in the tree`)
  const item = { index: batch.index, bytes: batch.entry, document: batch.document }
  const placed = verifyHeader(item, decodeEntry(batch.entry), current, verify)
  const why = spans(placed, index) ? notItsItem(placed, index, entry) : 'stands outside of it'
  if (why !== undefined) throw new TreelineError('INVALID_PROOF', `of the batch at ${batch.index} the entry ${why}`)
  if (!verifyBatchPath(placed.header, claims.position, entry.addendum, batch.path))
    throw new TreelineError('INVALID_PROOF', `the event is not item ${claims.position} of the batch that was signed`)
  return { index: batch.index, size: placed.header.size, position: claims.position }
}
