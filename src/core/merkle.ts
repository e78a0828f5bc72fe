/**
 * RFC 6962 section 2.1 Merkle trees over SHA-256: which stored nodes a root or proof is made of, and how a
 * verifier checks one. A node (height h, index n) covers the leaves [n·2^h, (n+1)·2^h), and only
 * complete ones are ever stored, so that its hash never changes.
 */
import { sha256 } from '#platform'
import { concat, equal } from './bytes.ts'

/** 32 bytes. */
export type Hash = Uint8Array
export const HASH_SIZE = 32

export interface Node {
  readonly height: number
  readonly index: number
}

/** Hash of a complete node that the reader is known to hold. */
export type NodeReader = (node: Node) => Hash

/** SHA-256 of nothing. */
export const EMPTY_ROOT: Hash = sha256(new Uint8Array(0))

// One buffer each for all: hashing is synchronous, and an allocation would cost as much as a short hash.
const leafInput = new Uint8Array(1 + 65_535)
const nodeInput = new Uint8Array(1 + 2 * HASH_SIZE)
nodeInput[0] = 1

/** SHA-256(0x00 ‖ entry), RFC 6962 section 2.1. */
export function leafHash(entry: Uint8Array): Hash {
  if (entry.length >= leafInput.length) return sha256(concat(Uint8Array.of(0), entry))
  leafInput.set(entry, 1)
  return sha256(leafInput.subarray(0, 1 + entry.length))
}

/** SHA-256(0x01 ‖ left ‖ right), RFC 6962 section 2.1. Both have 32 bytes. */
export function nodeHash(left: Hash, right: Hash): Hash {
  if (left.length !== HASH_SIZE || right.length !== HASH_SIZE) throw new RangeError('a node is made of two hashes')
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + HASH_SIZE)
  return sha256(nodeInput)
}

/** Half-open range of leaves. */
type Range = readonly [from: number, to: number]

/** The largest power of two strictly below n, for n > 1. Not `<<`: sizes pass 2^31. */
function split(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

/**
 * The complete nodes that make up leaves [from, to), left to right. `from` must be a multiple of every power of two
 * up to the length, which all ranges of RFC 6962 are.
 */
export function rangeNodes([from, to]: Range): Node[] {
  const nodes: Node[] = []
  let at = from
  while (at < to) {
    let height = 0
    let width = 1
    while (at % (width * 2) === 0 && at + width * 2 <= to) {
      height++
      width *= 2
    }
    nodes.push({ height, index: at / width })
    at += width
  }
  return nodes
}

/** MTH of a range of leaves: its complete nodes folded from the right. */
function rangeHash(range: Range, read: NodeReader): Hash {
  const nodes = rangeNodes(range)
  let hash = read(nodes[nodes.length - 1]!)
  for (let i = nodes.length - 2; i >= 0; i--) hash = nodeHash(read(nodes[i]!), hash)
  return hash
}

/** Root of the first `size` leaves. */
export const rootHash = (size: number, read: NodeReader): Hash => (size === 0 ? EMPTY_ROOT : rangeHash([0, size], read))

/** PATH(index, D[size]), leaf's sibling first: one range for each hash. Requires 0 ≤ index < size. */
export function inclusionRanges(index: number, size: number): Range[] {
  const ranges: Range[] = []
  let from = 0
  let to = size
  while (to - from > 1) {
    const middle = from + split(to - from)
    if (index < middle) {
      ranges.push([middle, to])
      to = middle
    } else {
      ranges.push([from, middle])
      from = middle
    }
  }
  return ranges.reverse()
}

/** PROOF(from, D[to]), RFC 6962 section 2.1.2. Empty when from is 0 or equals to. Requires from ≤ to. */
export function consistencyRanges(from: number, to: number): Range[] {
  if (from === 0 || from === to) return []
  const ranges: Range[] = []
  let left = 0
  let right = to
  // The old root itself is left out of the proof while the range still starts at leaf 0.
  while (right !== from) {
    const middle = left + split(right - left)
    if (from <= middle) {
      ranges.push([middle, right])
      right = middle
    } else {
      ranges.push([left, middle])
      left = middle
    }
  }
  if (left !== 0) ranges.push([left, right])
  return ranges.reverse()
}

/** The hashes of a proof's ranges. */
export const proveRanges = (ranges: readonly Range[], read: NodeReader): Hash[] =>
  ranges.map((range) => rangeHash(range, read))

/**
 * Whether `proof` (leaf's sibling first) puts `leaf` at `index` under `root`, RFC 9162 section 2.1.3.2. False for a hash of a
 * wrong length, one too many or one too few.
 */
export function verifyInclusion(index: bigint, size: bigint, leaf: Hash, proof: readonly Hash[], root: Hash): boolean {
  if (index < 0n || index >= size) return false
  if (leaf.length !== HASH_SIZE) return false
  let fn = index
  let sn = size - 1n
  let hash = leaf
  for (const p of proof) {
    if (p.length !== HASH_SIZE || sn === 0n) return false
    if ((fn & 1n) === 1n || fn === sn) {
      hash = nodeHash(p, hash)
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n
        sn >>= 1n
      }
    } else {
      hash = nodeHash(hash, p)
    }
    fn >>= 1n
    sn >>= 1n
  }
  return sn === 0n && equal(hash, root)
}

/**
 * Whether `proof` shows the tree of size `from` and root `fromRoot` to be a prefix of the tree of size `to` and root
 * `toRoot`, RFC 9162 section 2.1.4.2. A tree of size 0 is a prefix of every tree, by the empty proof.
 */
export function verifyConsistency(
  from: bigint,
  to: bigint,
  fromRoot: Hash,
  toRoot: Hash,
  proof: readonly Hash[],
): boolean {
  if (from < 0n || from > to) return false
  if ([fromRoot, toRoot, ...proof].some((hash) => hash.length !== HASH_SIZE)) return false
  if (from === to) return proof.length === 0 && equal(fromRoot, toRoot) && (from !== 0n || equal(fromRoot, EMPTY_ROOT))
  if (from === 0n) return proof.length === 0 && equal(fromRoot, EMPTY_ROOT)
  let fn = from - 1n
  let sn = to - 1n
  while ((fn & 1n) === 1n) {
    fn >>= 1n
    sn >>= 1n
  }
  // A complete old tree is a node of the new one, and its root stands in for the first hash.
  const path = fn === 0n ? [fromRoot, ...proof] : proof
  const [seed, ...rest] = path
  if (seed === undefined) return false
  let fr = seed
  let sr = seed
  for (const c of rest) {
    if (sn === 0n) return false
    if ((fn & 1n) === 1n || fn === sn) {
      fr = nodeHash(c, fr)
      sr = nodeHash(c, sr)
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n
        sn >>= 1n
      }
    } else {
      sr = nodeHash(sr, c)
    }
    fn >>= 1n
    sn >>= 1n
  }
  return sn === 0n && equal(fr, fromRoot) && equal(sr, toRoot)
}
