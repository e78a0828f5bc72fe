import { TreelineError } from '../core/errors.ts'
import type { Evidence, PolicyProof } from '../core/evidence.ts'
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
  return {
    index,
    hashes: await prover.inclusion(head.tree, index, size),
    checkpoint: note,
    entry: (await store.entry(index))!,
    policies,
    ...(addendum !== undefined && { addendum }),
    ...(earlier !== undefined && {
      earlier: { checkpoint: earlier.note, hashes: await prover.consistency(head.tree, earlier.size, size) },
    }),
  }
}
