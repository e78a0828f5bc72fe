/** The growing side of the tree: tiles with their inner nodes, and the right edge that appending needs. */
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash, type Node, nodeHash, rootHash } from './merkle.ts'
import { TILE_HEIGHT, TILE_WIDTH } from './tile.ts'

/** The height inside a tile whose 16 nodes are stored beside it, so that a cold proof hashes few of its 256. */
const STORED_HEIGHT = 4
const NODES = 2 * TILE_WIDTH - 1
/** Where the nodes of a height begin: 256 of height 0, then 128, 64, … */
const offset = (height: number): number => 2 * TILE_WIDTH - ((2 * TILE_WIDTH) >> height)

/** The tile that holds a node, and where in it. A node of height 8 is the height 0 of the level above. */
export function tileOf({ height, index }: Node): { level: number; tile: number; height: number; index: number } {
  const level = Math.floor(height / TILE_HEIGHT)
  const inner = height % TILE_HEIGHT
  const width = TILE_WIDTH >> inner
  return { level, tile: Math.floor(index / width), height: inner, index: index % width }
}

/** Up to 256 hashes and the nodes above them, each computed when first asked for. */
export class TileNodes {
  readonly #hashes: Uint8Array
  readonly #known: Uint8Array
  #count: number

  private constructor(hashes: Uint8Array, known: Uint8Array, count: number) {
    this.#hashes = hashes
    this.#known = known
    this.#count = count
  }

  static empty(): TileNodes {
    return new TileNodes(new Uint8Array(NODES * HASH_SIZE), new Uint8Array(NODES), 0)
  }

  /** From the bytes of a tile of any width. */
  static of(hashes: Uint8Array): TileNodes {
    return TileNodes.stored([hashes], [])
  }

  /** From what is stored of a full tile, `bytes(256)` and `storedNodes()`, each in as many pieces as it is kept in. */
  static stored(hashes: readonly Uint8Array[], nodes: readonly Uint8Array[]): TileNodes {
    const tile = TileNodes.empty()
    tile.#count = tile.#fill(0, hashes)
    tile.#fill(offset(STORED_HEIGHT), nodes)
    return tile
  }

  /** How many there are now from `start` on. */
  #fill(start: number, pieces: readonly Uint8Array[]): number {
    let at = start
    for (const piece of pieces) {
      this.#hashes.set(piece, at * HASH_SIZE)
      at += piece.length / HASH_SIZE
    }
    this.#known.fill(1, start, at)
    return at - start
  }

  get count(): number {
    return this.#count
  }

  clone(): TileNodes {
    return new TileNodes(this.#hashes.slice(), this.#known.slice(), this.#count)
  }

  push(hash: Hash): void {
    this.#hashes.set(hash, this.#count * HASH_SIZE)
    this.#known[this.#count] = 1
    this.#count++
  }

  /** A complete node: (index + 1)·2^height ≤ count. */
  node(height: number, index: number): Hash {
    if ((index + 1) << height > this.#count) throw new RangeError(`node ${height}/${index} of a tile of ${this.#count}`)
    const at = offset(height) + index
    if (this.#known[at] === 0) {
      this.#hashes.set(nodeHash(this.node(height - 1, 2 * index), this.node(height - 1, 2 * index + 1)), at * HASH_SIZE)
      this.#known[at] = 1
    }
    return this.#hashes.subarray(at * HASH_SIZE, (at + 1) * HASH_SIZE)
  }

  /** Of a full tile: its hash in the tile above. */
  root(): Hash {
    return nodeHash(this.node(TILE_HEIGHT - 1, 0), this.node(TILE_HEIGHT - 1, 1))
  }

  /** The first `width` hashes: the bytes of the tile at that width. */
  bytes(width: number): Uint8Array {
    return this.#hashes.slice(0, width * HASH_SIZE)
  }

  /** What is stored beside the 256 hashes of a full tile: its nodes of height 4. */
  storedNodes(): Uint8Array {
    const count = TILE_WIDTH >> STORED_HEIGHT
    for (let i = 0; i < count; i++) this.node(STORED_HEIGHT, i)
    const start = offset(STORED_HEIGHT)
    return this.#hashes.slice(start * HASH_SIZE, (start + count) * HASH_SIZE)
  }
}

export interface FullTile {
  readonly level: number
  readonly index: number
  readonly nodes: TileNodes
}

/** A tree of one size, with the unfilled tile of each level. Never changes: `append` makes the next one. */
export class Tree {
  readonly size: number
  readonly root: Hash
  readonly #edge: readonly TileNodes[]

  private constructor(size: number, edge: readonly TileNodes[]) {
    this.size = size
    this.#edge = edge
    this.root = rootHash(size, (node) => {
      const hash = this.node(node)
      if (hash === undefined) throw new RangeError(`node ${node.height}/${node.index} is not on the edge`)
      return hash
    })
  }

  static readonly empty: Tree = new Tree(0, [])

  /** `edge` holds the hashes of the unfilled tile of each level, lowest first, as `tileCounts(size)` says. */
  static load(size: number, edge: readonly TileNodes[]): Tree {
    return new Tree(size, edge)
  }

  append(leaves: readonly Hash[]): { readonly tree: Tree; readonly full: readonly FullTile[] } {
    const size = this.size + leaves.length
    if (!Number.isSafeInteger(size)) throw new TreelineError('ENTRY_TOO_LARGE', 'the log has reached 2^53 entries')
    const edge = this.#edge.slice()
    const full: FullTile[] = []
    const own = new Set<number>()
    const push = (level: number, hash: Hash, count: number): void => {
      // Copied once for each append: the tree before stays readable, and stays the tree if the commit fails.
      if (!own.has(level)) edge[level] = edge[level]?.clone() ?? TileNodes.empty()
      own.add(level)
      const tile = edge[level]!
      tile.push(hash)
      if (tile.count < TILE_WIDTH) return
      const index = Math.floor((count - 1) / TILE_WIDTH ** (level + 1))
      full.push({ level, index, nodes: tile })
      edge[level] = TileNodes.empty()
      push(level + 1, tile.root(), count)
    }
    leaves.forEach((leaf, i) => {
      push(0, leaf, this.size + i + 1)
    })
    return { tree: new Tree(size, edge), full }
  }

  /** The hash of a complete node if it is in an unfilled tile, else undefined: then the full tile is in the store. */
  node(node: Node): Hash | undefined {
    const { level, tile, height, index } = tileOf(node)
    return this.#isEdge(level, tile) ? this.#edge[level]!.node(height, index) : undefined
  }

  /** The first `width` hashes of a tile if it is unfilled, else undefined. */
  tileBytes(level: number, tile: number, width: number): Uint8Array | undefined {
    return this.#isEdge(level, tile) ? this.#edge[level]!.bytes(width) : undefined
  }

  #isEdge(level: number, tile: number): boolean {
    return tile === Math.floor(this.size / TILE_WIDTH ** (level + 1)) && this.#edge[level] !== undefined
  }
}
