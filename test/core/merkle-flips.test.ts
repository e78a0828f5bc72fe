/** Nothing that a bit was changed in verifies: every bit of every proof, root and leaf of the trees to size 20. */
import t from 'tap'
import {
  consistencyRanges,
  type Hash,
  inclusionRanges,
  proveRanges,
  rootHash,
  verifyConsistency,
  verifyInclusion,
} from '../../src/core/merkle.ts'
import { entryTree } from './full-tree.ts'

const LARGEST = 20
const { leaves, read } = entryTree(LARGEST)
const roots = Array.from({ length: LARGEST + 1 }, (_, size) => rootHash(size, read))
const inclusion = (index: number, size: number): Hash[] => proveRanges(inclusionRanges(index, size), read)
const consistency = (from: number, to: number): Hash[] => proveRanges(consistencyRanges(from, to), read)
/** Not `slice`, which for a Buffer is a view. */
const copy = (hash: Hash): Hash => Uint8Array.from(hash)

/** Flips each bit of each hash in turn, in place, and back; how many flips `verify` let through. */
function flipsThatVerify(hashes: readonly Hash[], verify: () => boolean): number {
  let passed = 0
  for (const hash of hashes) {
    for (let bit = 0; bit < hash.length * 8; bit++) {
      hash[bit >> 3]! ^= 1 << (bit & 7)
      if (verify()) passed++
      hash[bit >> 3]! ^= 1 << (bit & 7)
    }
  }
  return passed
}

t.test('no inclusion proof to size 20 verifies with one bit flipped, one hash too many or too few', (t) => {
  const failures: string[] = []
  for (let size = 1; size <= LARGEST; size++) {
    for (let index = 0; index < size; index++) {
      const verify = ([leaf, root, ...proof]: readonly Hash[]) =>
        verifyInclusion(BigInt(index), BigInt(size), leaf!, proof, root!)
      const all = [leaves[index]!, roots[size]!, ...inclusion(index, size)].map(copy)
      if (!verify(all)) failures.push(`${index} of ${size} does not verify`)
      if (flipsThatVerify(all, () => verify(all)) > 0) failures.push(`${index} of ${size} with a flipped bit`)
      for (let at = 2; at <= all.length; at++) {
        if (at < all.length && verify(all.toSpliced(at, 1))) failures.push(`${index} of ${size} without hash ${at}`)
        if (verify(all.toSpliced(at, 0, leaves[0]!))) failures.push(`${index} of ${size} with a hash more at ${at}`)
      }
    }
  }
  t.same(failures, [])
  t.end()
})

t.test('no consistency proof to size 20 verifies with one bit flipped, one hash too many or too few', (t) => {
  const failures: string[] = []
  for (let to = 0; to <= LARGEST; to++) {
    for (let from = 0; from <= to; from++) {
      const verify = ([oldRoot, newRoot, ...proof]: readonly Hash[]) =>
        verifyConsistency(BigInt(from), BigInt(to), oldRoot!, newRoot!, proof)
      const all = [roots[from]!, roots[to]!, ...consistency(from, to)].map(copy)
      if (!verify(all)) failures.push(`${from} to ${to} does not verify`)
      // From nothing, any root is consistent: only the empty old root is bound.
      const bound = from === 0 && to !== 0 ? [all[0]!] : all
      if (flipsThatVerify(bound, () => verify(all)) > 0) failures.push(`${from} to ${to} with a flipped bit`)
      for (let at = 2; at <= all.length; at++) {
        if (at < all.length && verify(all.toSpliced(at, 1))) failures.push(`${from} to ${to} without hash ${at}`)
        if (verify(all.toSpliced(at, 0, leaves[0]!))) failures.push(`${from} to ${to} with a hash more at ${at}`)
      }
    }
  }
  t.same(failures, [])
  t.end()
})
