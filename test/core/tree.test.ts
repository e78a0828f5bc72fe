import t from 'tap'
import { concat, equal, toUtf8 } from '../../src/core/bytes.ts'
import { EMPTY_ROOT, type Hash, leafHash, nodeHash } from '../../src/core/merkle.ts'
import { TILE_WIDTH, tileCounts } from '../../src/core/tile.ts'
import { type FullTile, TileNodes, Tree, tileOf } from '../../src/core/tree.ts'
import { readerOf } from './full-tree.ts'

const SIZE = 600
const leaves: Hash[] = Array.from({ length: SIZE }, (_, i) => leafHash(toUtf8(`entry ${i}`)))
const read = readerOf(leaves)

/** MTH as RFC 6962 section 2.1 has it, with nothing remembered but what was asked before. */
const roots = new Map<string, Hash>()
function naive(from: number, to: number): Hash {
  if (to - from === 0) return EMPTY_ROOT
  if (to - from === 1) return leaves[from]!
  const name = `${from}-${to}`
  let root = roots.get(name)
  if (root === undefined) {
    let k = 1
    while (k * 2 < to - from) k *= 2
    root = nodeHash(naive(from, from + k), naive(from + k, to))
    roots.set(name, root)
  }
  return root
}

t.test('a tree that grows by one has the root of the definition at every size', (t) => {
  const wrong: number[] = []
  let tree = Tree.empty
  for (let size = 0; ; size++) {
    if (tree.size !== size || !equal(tree.root, naive(0, size))) wrong.push(size)
    if (size === SIZE) break
    tree = tree.append([leaves[size]!]).tree
  }
  t.same(wrong, [])
  t.end()
})

t.test('it does not matter how leaves were batched, and the tree before stays what it was', (t) => {
  const wrong: string[] = []
  for (let first = 0; first <= SIZE; first++) {
    const before = Tree.empty.append(leaves.slice(0, first)).tree
    // Abandoned, as a batch whose commit failed is: it must leave no trace in `before`.
    before.append(leaves.slice(0, 300).reverse())
    const { tree } = before.append(leaves.slice(first))
    if (!equal(tree.root, naive(0, SIZE))) wrong.push(`${first}: after`)
    if (!equal(before.root, naive(0, first))) wrong.push(`${first}: before`)
    if (!equal(Tree.empty.append(leaves.slice(0, first)).tree.root, before.root)) wrong.push(`${first}: again`)
  }
  t.same(wrong, [])
  t.end()
})

t.test('full tiles are given once each, with the hashes and nodes of the definition', (t) => {
  for (const step of [1, 7, 256, 257, SIZE]) {
    const full: FullTile[] = []
    let tree = Tree.empty
    while (tree.size < SIZE) {
      const next = tree.append(leaves.slice(tree.size, tree.size + step))
      full.push(...next.full)
      tree = next.tree
    }
    t.same(
      full.map(({ level, index }) => [level, index]),
      [
        [0, 0],
        [0, 1],
      ],
      `by ${step}`,
    )
    const wrong: string[] = []
    for (const { index, nodes } of full) {
      const own = leaves.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH)
      const stored = nodes.storedNodes()
      if (!equal(nodes.bytes(TILE_WIDTH), concat(...own))) wrong.push(`hashes of ${index}`)
      if (!equal(stored, concat(...Array.from({ length: 16 }, (_, i) => read({ height: 4, index: index * 16 + i })))))
        wrong.push(`stored nodes of ${index}`)
      for (const tile of [
        TileNodes.of(concat(...own)),
        TileNodes.stored(
          [own.slice(0, 64), own.slice(64)].map((part) => concat(...part)),
          [stored.subarray(0, 128), stored.subarray(128)],
        ),
      ]) {
        if (!equal(tile.root(), read({ height: 8, index }))) wrong.push(`root of ${index}`)
        for (let height = 0; height < 8; height++) {
          for (let i = 0; i < TILE_WIDTH >> height; i++) {
            const expected = read({ height, index: index * (TILE_WIDTH >> height) + i })
            if (!equal(tile.node(height, i), expected)) wrong.push(`node ${height}/${i} of ${index}`)
          }
        }
      }
    }
    t.same(wrong, [], `by ${step}`)
  }
  t.end()
})

t.test('at every size the edge has every complete node that is in no full tile, and no other', (t) => {
  const wrong: string[] = []
  for (let size = 0; size <= SIZE; size++) {
    const { tree } = Tree.empty.append(leaves.slice(0, size))
    const edge: TileNodes[] = []
    for (const { level, full, partial } of tileCounts(size)) {
      const width = TILE_WIDTH ** level
      const hashes = Array.from({ length: partial }, (_, i) => {
        const at = (full * TILE_WIDTH + i) * width
        return naive(at, at + width)
      })
      edge[level] = TileNodes.of(concat(...hashes))
      if (!equal(tree.tileBytes(level, full, partial) ?? new Uint8Array(1), concat(...hashes)))
        wrong.push(`partial tile ${level} of ${size}`)
      if (full > 0 && tree.tileBytes(level, full - 1, TILE_WIDTH) !== undefined) wrong.push(`full tile of ${size}`)
    }
    const loaded = Tree.load(size, edge)
    if (!equal(loaded.root, naive(0, size))) wrong.push(`loaded ${size}`)
    for (let height = 0; 2 ** height <= size; height++) {
      for (const index of new Set([0, Math.floor(size / 2 ** height) - 1])) {
        const { level, tile } = tileOf({ height, index })
        const full = (tile + 1) * TILE_WIDTH ** (level + 1) <= size
        for (const one of [tree, loaded]) {
          const found = one.node({ height, index })
          if (full ? found !== undefined : !equal(found ?? new Uint8Array(1), read({ height, index })))
            wrong.push(`node ${height}/${index} of ${size}`)
        }
      }
    }
  }
  t.same(wrong.slice(0, 5), [])
  t.end()
})

t.test('a node that is not complete is refused', (t) => {
  const tile = TileNodes.of(concat(...leaves.slice(0, 5)))
  t.throws(() => tile.node(0, 5), RangeError)
  t.throws(() => tile.node(1, 2), RangeError)
  t.throws(() => tile.node(3, 0), RangeError)
  t.same(tile.node(2, 0), read({ height: 2, index: 0 }))
  t.end()
})
