/** The way from a leaf to the root, step by step, for drawing. The verdict is that of `verifyInclusion`, never of this. */
import { type Hash, nodeHash } from '../core/merkle.ts'

export interface PathStep {
  readonly sibling: Hash
  /** On which side of the node that was computed so far the sibling stands. */
  readonly side: 'left' | 'right'
  /** Hash of both together. */
  readonly result: Hash
}

/** RFC 9162 section 2.1.3.2, keeping what it computes. Requires hashes of 32 bytes and index < size. */
export function pathSteps(index: number, size: number, leaf: Hash, proof: readonly Hash[]): PathStep[] {
  let fn = BigInt(index)
  let sn = BigInt(size) - 1n
  let hash = leaf
  return proof.map((sibling) => {
    const left = (fn & 1n) === 1n || fn === sn
    hash = left ? nodeHash(sibling, hash) : nodeHash(hash, sibling)
    while (left && (fn & 1n) === 0n && fn !== 0n) {
      fn >>= 1n
      sn >>= 1n
    }
    fn >>= 1n
    sn >>= 1n
    return { sibling, side: left ? 'left' : 'right', result: hash }
  })
}
