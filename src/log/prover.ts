import { LRUCache } from 'lru-cache'
import { concat, equal } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import type { Hash, Node } from '../core/merkle.ts'
import {
  consistencyRanges,
  HASH_SIZE,
  inclusionRanges,
  leafHash,
  proveRanges,
  rangeNodes,
  rootHash,
} from '../core/merkle.ts'
import { TILE_WIDTH, tileCounts } from '../core/tile.ts'
import { type FullTile, TileNodes, Tree, tileOf } from '../core/tree.ts'
import type { Head, ReadStore, StoredTile } from '../store/store.ts'

/** Full tiles kept expanded, 16 KiB each. */
const CACHED_TILES = 1024

type Ranges = ReturnType<typeof inclusionRanges>
const key = (level: number, tile: number): number => level * 2 ** 48 + tile

/** Proofs for any size up to the tree's, from the tree's own edge and the full tiles of the store. */
export class Prover {
  readonly #store: ReadStore
  readonly #tiles = new LRUCache<number, TileNodes>({ max: CACHED_TILES })

  constructor(store: ReadStore) {
    this.#store = store
  }

  /** Keeps tiles that a commit has just made durable: the next proofs want them. */
  add(tiles: readonly FullTile[]): void {
    for (const { level, index, nodes } of tiles) this.#tiles.set(key(level, index), nodes)
  }

  /** Hashes, leaf's sibling first. Throws UNKNOWN_INDEX or UNKNOWN_SIZE. */
  async inclusion(tree: Tree, index: number, size: number): Promise<Hash[]> {
    checkSize(tree, size)
    if (index >= size) throw new TreelineError('UNKNOWN_INDEX', `entry ${index} is not in a tree of ${size}`)
    return this.#prove(tree, inclusionRanges(index, size))
  }

  /** Throws UNKNOWN_SIZE, also when `from` is the larger. */
  async consistency(tree: Tree, from: number, to: number): Promise<Hash[]> {
    checkSize(tree, to)
    if (from > to) throw new TreelineError('UNKNOWN_SIZE', `a tree of ${from} is no prefix of one of ${to}: swap them`)
    return this.#prove(tree, consistencyRanges(from, to))
  }

  async root(tree: Tree, size: number): Promise<Hash> {
    checkSize(tree, size)
    if (size === tree.size) return tree.root
    const read = await this.#reader(tree, rangeNodes([0, size]))
    return rootHash(size, read)
  }

  async leaf(tree: Tree, index: number): Promise<Hash> {
    if (index >= tree.size) throw new TreelineError('UNKNOWN_INDEX', `entry ${index} is not in a tree of ${tree.size}`)
    const node = { height: 0, index }
    return (await this.#reader(tree, [node]))(node)
  }

  /** The bytes of a tile at a width that the tree has. */
  async tileBytes(tree: Tree, level: number, index: number, width: number): Promise<Uint8Array> {
    const held = tree.tileBytes(level, index, width) ?? this.#tiles.get(key(level, index))?.bytes(width)
    // Whoever reads tiles reads each of them once: it is not expanded, nor kept from those that proofs need.
    return held ?? concat(...(await this.#stored(level, index)).hashes).subarray(0, width * HASH_SIZE)
  }

  async #prove(tree: Tree, ranges: Ranges): Promise<Hash[]> {
    return proveRanges(ranges, await this.#reader(tree, ranges.flatMap(rangeNodes)))
  }

  /** Loads the tiles of `nodes` that are not in memory; what it returns reads without waiting. */
  async #reader(tree: Tree, nodes: readonly Node[]): Promise<(node: Node) => Hash> {
    const tiles = new Map<number, TileNodes>()
    for (const node of nodes) {
      if (tree.node(node) !== undefined) continue
      const { level, tile } = tileOf(node)
      if (!tiles.has(key(level, tile))) tiles.set(key(level, tile), await this.#tile(level, tile))
    }
    return (node) => {
      const { level, tile, height, index } = tileOf(node)
      return tree.node(node) ?? tiles.get(key(level, tile))!.node(height, index)
    }
  }

  async #tile(level: number, tile: number): Promise<TileNodes> {
    const cached = this.#tiles.get(key(level, tile))
    if (cached !== undefined) return cached
    const stored = await this.#stored(level, tile)
    const nodes = TileNodes.stored(stored.hashes, stored.nodes)
    this.#tiles.set(key(level, tile), nodes)
    return nodes
  }

  async #stored(level: number, tile: number): Promise<StoredTile> {
    const stored = await this.#store.tile(level, tile)
    if (stored === undefined)
      throw new Error(`tile ${level}/${tile} is missing from the store: run treeline-server check`)
    return stored
  }
}

function checkSize(tree: Tree, size: number): void {
  if (size > tree.size) throw new TreelineError('UNKNOWN_SIZE', `the log has ${tree.size} entries, not ${size}`)
}

/**
 * The tree of the store's head, or of a smaller one. Unfilled tiles are made again from the full ones below them and from the last entries, and the
 * root must come out as the head says. Throws INVALID_LOG when it does not.
 */
export async function loadTree(store: ReadStore, head?: Pick<Head, 'size' | 'root'>): Promise<Tree> {
  const { size, root } = head ?? (await store.head())
  const edge: TileNodes[] = []
  for (const { level, full, partial } of tileCounts(size)) {
    const tile = TileNodes.empty()
    const first = full * TILE_WIDTH
    if (level === 0) {
      for (const entry of await store.entries(first, first + partial)) tile.push(leafHash(entry))
    } else {
      for (let i = first; i < first + partial; i++) {
        const below = await store.tile(level - 1, i)
        if (below === undefined) throw new TreelineError('INVALID_LOG', `tile ${level - 1}/${i} is missing`)
        tile.push(TileNodes.stored(below.hashes, below.nodes).root())
      }
    }
    if (tile.count !== partial) throw new TreelineError('INVALID_LOG', `entries after ${first} are missing`)
    edge[level] = tile
  }
  const tree = Tree.load(size, edge)
  if (!equal(tree.root, root))
    throw new TreelineError('INVALID_LOG', `the entries do not give the root of the head at ${size}`)
  return tree
}
