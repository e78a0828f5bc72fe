import { BatchTree, parseBatchHeader } from '../core/batch.ts'
import type { BatchProof } from '../core/batch-evidence.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { addendumDigest, decodeEntry, EVENT } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import type { Evidence, PolicyProof } from '../core/evidence.ts'
import type { ReadStore } from '../store/store.ts'
import type { ReadableLog } from './log.ts'

/**
 * The evidence for an entry: against the first witnessed checkpoint that covers it, with the last one before it, which together say
 * when it was logged; in a log without witnesses against the published head. Throws UNKNOWN_INDEX, NOT_YET_PUBLISHED, FROZEN.
 */
export async function evidenceOf(log: ReadableLog, index: number): Promise<Evidence> {
  const { head, published, frozen, restored, store, prover } = log
  if (index >= head.tree.size) throw new TreelineError('UNKNOWN_INDEX', `the log has no entry ${index}`)
  if (frozen !== undefined && !restored) throw frozen
  if (published === undefined || index >= published.size) {
    throw new TreelineError('NOT_YET_PUBLISHED', `no published checkpoint covers entry ${index} yet: ask again`)
  }
  // At a start the published head can be smaller than the tree: proofs are for its own size.
  const { size, note } = (await store.checkpointCovering(index)) ?? published
  const earlier = await store.checkpointBefore(index)
  const policies: PolicyProof[] = []
  // An entry that carries a policy is judged with itself as the last of the chain.
  for (const at of (await store.policies()).filter((one) => one <= index)) {
    policies.push({
      index: at,
      entry: (await store.entry(at))!,
      document: (await store.addendum(at))!,
      hashes: await prover.inclusion(head.tree, at, size),
    })
  }
  const addendum = await store.addendum(index)
  const entry = (await store.entry(index))!
  const batch = await batchProofOf(log, entry, size)
  return {
    index,
    hashes: await prover.inclusion(head.tree, index, size),
    checkpoint: note,
    entry,
    policies,
    ...(batch && { batch }),
    ...(addendum !== undefined && { addendum }),
    ...(earlier !== undefined && {
      earlier: { checkpoint: earlier.note, hashes: await prover.consistency(head.tree, earlier.size, size) },
    }),
  }
}

/** The tree that was asked of last, of each store: evidence of many items is asked for in their order. */
const trees = new WeakMap<ReadStore, { readonly header: number; readonly tree: BatchTree }>()

/** Of an item of a signed batch: its header, and its path, computed from key 7 of the entries beside it. */
async function batchProofOf(
  { head, store, prover }: ReadableLog,
  bytes: Uint8Array,
  size: number,
): Promise<BatchProof | undefined> {
  const entry = decodeEntry(bytes)
  if (entry.kind !== EVENT || entry.batch === undefined) return undefined
  const { header, position } = entry.batch
  const document = await store.addendum(header)
  if (document === undefined)
    throw new TreelineError(
      'NOT_FOUND',
      `the header at ${header} is missing: the copy that this log was restored from did not have it`,
    )
  let last = trees.get(store)
  if (last?.header !== header) {
    const { size: items } = parseBatchHeader(parseEnvelope(document))
    const entries = await store.entries(header + 1, header + 1 + items)
    last = { header, tree: new BatchTree(entries.map(addendumDigest)) }
    trees.set(store, last)
  }
  return {
    index: header,
    entry: (await store.entry(header))!,
    document,
    hashes: await prover.inclusion(head.tree, header, size),
    path: last.tree.path(position),
  }
}
