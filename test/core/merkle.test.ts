import { createHash } from 'node:crypto'
import t from 'tap'
import { sha256 } from '#platform'
import { concat, equal, fromHex, toHex } from '../../src/core/bytes.ts'
import {
  consistencyRanges,
  EMPTY_ROOT,
  type Hash,
  inclusionRanges,
  leafHash,
  nodeHash,
  proveRanges,
  rangeNodes,
  rootHash,
  verifyConsistency,
  verifyInclusion,
} from '../../src/core/merkle.ts'
import vectors from '../vectors/c2sp-merkle.json' with { type: 'json' }
import golang from '../vectors/golang-mod/tlog-note-values.json' with { type: 'json' }
import { entryTree, readerOf } from './full-tree.ts'

const hashes = (hex: readonly string[]): Hash[] => hex.map((h) => fromHex(h)!)
const hex = (all: readonly Hash[]): string[] => all.map(toHex)
const SMALL = 130
const { leaves, read } = entryTree(SMALL)
const roots = Array.from({ length: SMALL + 1 }, (_, size) => rootHash(size, read))
const inclusion = (index: number, size: number): Hash[] => proveRanges(inclusionRanges(index, size), read)
const consistency = (from: number, to: number): Hash[] => proveRanges(consistencyRanges(from, to), read)

t.test('TT-23 the hashes are those of RFC 6962 with SHA-256', (t) => {
  const standard = vectors.rfc6962_standard_leaves
  t.equal(toHex(EMPTY_ROOT), vectors.empty_root_hex)
  t.equal(toHex(EMPTY_ROOT), golang.empty_tree_root_hex)
  const standardLeaves = hashes(standard.leaves_hex).map(leafHash)
  t.same(hex(standardLeaves), standard.leaf_hashes_hex)
  const readStandard = readerOf(standardLeaves)
  for (const [size, root] of Object.entries(standard.roots_hex)) {
    t.equal(toHex(rootHash(Number(size), readStandard)), root, `root of ${size} standard leaves`)
  }
  for (const { index, size, proof_hex } of standard.inclusion) {
    const proof = proveRanges(inclusionRanges(index, size), readStandard)
    t.same(hex(proof), proof_hex, `path of ${index} in ${size} standard leaves`)
  }
  for (const { old, new: to, proof_hex } of standard.consistency) {
    const proof = proveRanges(consistencyRanges(old, to), readStandard)
    t.same(hex(proof), proof_hex, `proof from ${old} to ${to} standard leaves`)
  }
  t.end()
})

t.test('roots and proofs of a tree of 70,000 entries are those of the vectors', (t) => {
  const big = entryTree(70_000)
  const root = (size: number) => rootHash(size, big.read)
  for (const [size, expected] of Object.entries(vectors.entry_tree.roots_hex)) {
    t.equal(toHex(root(Number(size))), expected, `root of ${size}`)
  }
  for (const { index, size, leaf_hash_hex, proof_hex } of vectors.entry_tree.inclusion) {
    t.equal(toHex(big.leaves[index]!), leaf_hash_hex, `leaf hash of ${index}`)
    const proof = proveRanges(inclusionRanges(index, size), big.read)
    t.same(hex(proof), proof_hex, `path of ${index} in ${size}`)
    t.ok(verifyInclusion(BigInt(index), BigInt(size), big.leaves[index]!, proof, root(size)))
  }
  for (const { old, new: to, proof_hex } of vectors.entry_tree.consistency) {
    const proof = proveRanges(consistencyRanges(old, to), big.read)
    t.same(hex(proof), proof_hex, `proof from ${old} to ${to}`)
    t.ok(verifyConsistency(BigInt(old), BigInt(to), root(old), root(to), proof))
  }
  t.end()
})

t.test('all roots to size 300 and all proofs to size 100 are those of the vectors', (t) => {
  const { read } = entryTree(300)
  const all = { roots: createHash('sha256'), inclusion: createHash('sha256'), consistency: createHash('sha256') }
  const line = (from: number, to: number, proof: readonly Hash[]) => `${[from, to, ...hex(proof)].join(' ')}\n`
  for (let n = 0; n <= 300; n++) all.roots.update(`${n} ${toHex(rootHash(n, read))}\n`)
  for (let n = 1; n <= 100; n++) {
    for (let i = 0; i < n; i++) all.inclusion.update(line(i, n, proveRanges(inclusionRanges(i, n), read)))
    for (let m = 1; m <= n; m++) all.consistency.update(line(m, n, proveRanges(consistencyRanges(m, n), read)))
  }
  t.equal(all.roots.digest('hex'), vectors.accumulated.roots)
  t.equal(all.inclusion.digest('hex'), vectors.accumulated.inclusion)
  t.equal(all.consistency.digest('hex'), vectors.accumulated.consistency)
  t.end()
})

t.test('proofs of a real log of 961,984,011 entries verify', (t) => {
  const { size, root_hex, inclusion, consistency } = vectors.real_ct_log_argon2020
  const root = fromHex(root_hex)!
  const leaf = fromHex(inclusion.leaf_hash_hex)!
  t.ok(verifyInclusion(BigInt(inclusion.index), BigInt(size), leaf, hashes(inclusion.proof_hex), root))
  t.notOk(verifyInclusion(BigInt(inclusion.index) + 1n, BigInt(size), leaf, hashes(inclusion.proof_hex), root))
  const oldRoot = fromHex(consistency.old_root_hex)!
  const proof = hashes(consistency.proof_hex)
  t.ok(verifyConsistency(BigInt(consistency.old), BigInt(size), oldRoot, root, proof))
  t.notOk(verifyConsistency(BigInt(consistency.old) + 1n, BigInt(size), oldRoot, root, proof))
  t.end()
})

t.test('each index of each tree to size 130 is proved, at its own index alone', (t) => {
  const failures: string[] = []
  for (let size = 1; size <= SMALL; size++) {
    for (let index = 0; index < size; index++) {
      const proof = inclusion(index, size)
      const verify = (i: number) => verifyInclusion(BigInt(i), BigInt(size), leaves[index]!, proof, roots[size]!)
      if (!verify(index)) failures.push(`${index} of ${size} does not verify`)
      for (const other of [index - 1, index + 1, index ^ 2, size - 1 - index, size]) {
        if (other !== index && verify(other)) failures.push(`${index} of ${size} verifies as ${other}`)
      }
    }
  }
  t.same(failures, [])
  t.end()
})

t.test('each pair of trees to size 130 is proved consistent, between its own sizes alone', (t) => {
  const failures: string[] = []
  for (let to = 0; to <= SMALL; to++) {
    for (let from = 0; from <= to; from++) {
      const proof = consistency(from, to)
      const verify = (a: number, b: number) => verifyConsistency(BigInt(a), BigInt(b), roots[from]!, roots[to]!, proof)
      if (!verify(from, to)) failures.push(`${from} to ${to} does not verify`)
      if (from !== to && verify(to, from)) failures.push(`${from} to ${to} verifies backwards`)
      if (from !== to && verify(to, to)) failures.push(`${from} to ${to} verifies as one size`)
      // The old size is bound: another one would need another old root.
      if (from > 0 && from + 1 < to && verify(from + 1, to)) failures.push(`${from} to ${to} verifies from ${from + 1}`)
    }
  }
  t.same(failures, [])
  t.end()
})

t.test('a hash that is not 32 bytes never verifies', (t) => {
  const short = (hash: Hash) => hash.subarray(0, 31)
  // What a verifier that did not look at lengths would compute.
  const looseNode = (left: Hash, right: Hash) => sha256(concat(Uint8Array.of(1), left, right))
  t.throws(() => nodeHash(short(leaves[0]!), leaves[1]!), RangeError)
  const none = new Uint8Array(0)
  for (const bad of [short(leaves[0]!), none, new Uint8Array(33)]) {
    t.notOk(verifyInclusion(0n, 1n, bad, [], bad), 'a leaf that is its own root')
    t.notOk(verifyInclusion(0n, 2n, leaves[0]!, [bad], looseNode(leaves[0]!, bad)), 'in a path')
    t.notOk(verifyConsistency(1n, 1n, bad, bad, []), 'two equal roots')
    t.notOk(verifyConsistency(0n, 1n, EMPTY_ROOT, bad, []), 'a new root')
    t.notOk(verifyConsistency(1n, 2n, bad, looseNode(bad, leaves[1]!), [leaves[1]!]), 'an old root that is a node')
    t.notOk(verifyConsistency(1n, 2n, leaves[0]!, looseNode(leaves[0]!, bad), [bad]), 'in a proof')
  }
  t.end()
})

t.test('TC-5 the tree of size 0 has the empty root, and only that is consistent with what follows', (t) => {
  t.equal(toHex(rootHash(0, read)), vectors.empty_root_hex)
  t.ok(verifyConsistency(0n, 0n, EMPTY_ROOT, EMPTY_ROOT, []))
  t.ok(verifyConsistency(0n, 5n, EMPTY_ROOT, roots[5]!, []))
  t.notOk(verifyConsistency(0n, 0n, roots[1]!, roots[1]!, []))
  t.notOk(verifyConsistency(0n, 5n, roots[1]!, roots[5]!, []))
  t.notOk(verifyConsistency(0n, 5n, EMPTY_ROOT, roots[5]!, [roots[5]!]))
  t.notOk(verifyInclusion(0n, 0n, leaves[0]!, [], EMPTY_ROOT))
  t.notOk(verifyInclusion(-1n, 1n, leaves[0]!, [], leaves[0]!))
  t.notOk(verifyConsistency(-1n, 1n, EMPTY_ROOT, leaves[0]!, []))
  t.end()
})

t.test('sizes beyond 2^53 verify', (t) => {
  // The right edge of a tree of 2^63 + 1 leaves: the last leaf's only sibling is the complete tree to its left.
  const size = 2n ** 63n + 1n
  const [left, last] = [roots[8]!, leaves[9]!]
  const root = nodeHash(left, last)
  t.ok(verifyInclusion(size - 1n, size, last, [left], root))
  t.notOk(verifyInclusion(size - 2n, size, last, [left], root))
  t.ok(verifyConsistency(size - 1n, size, left, root, [last]))
  t.notOk(verifyConsistency(size - 2n, size, left, root, [last]))
  t.end()
})

t.test('the nodes of a range are complete, aligned and cover it', (t) => {
  const failures: string[] = []
  for (let size = 0; size <= SMALL; size++) {
    let at = 0
    for (const { height, index } of rangeNodes([0, size])) {
      if (index * 2 ** height !== at) failures.push(`a gap at ${at} of ${size}`)
      at += 2 ** height
    }
    if (at !== size) failures.push(`${size} ends at ${at}`)
  }
  t.same(failures, [])
  const far = 2 ** 40 + 1
  t.same(rangeNodes([0, far]), [
    { height: 40, index: 0 },
    { height: 0, index: 2 ** 40 },
  ])
  t.equal(inclusionRanges(2 ** 40, far).length, 1)
  t.ok(equal(leafHash(new Uint8Array(0)), fromHex(vectors.rfc6962_standard_leaves.leaf_hashes_hex[0]!)!))
  t.end()
})
