/** Proofs that the page computes itself from the tiles of a log, so that no answer about a proof has to be believed. */
import {
  consistencyRanges,
  HASH_SIZE,
  type Hash,
  inclusionRanges,
  type Node,
  proveRanges,
  rangeNodes,
  rootHash,
} from '../core/merkle.ts'
import { formatTilePath, tileWidth } from '../core/tile.ts'
import { TileNodes, tileOf } from '../core/tree.ts'
import { type Api, ApiError } from './api.ts'

/** Tiles of one log in the tree of one size; each is fetched once. */
export class TileReader {
  readonly size: number
  readonly #api: Api
  readonly #log: string
  readonly #tiles = new Map<string, Promise<TileNodes>>()
  readonly #loaded = new Map<string, TileNodes>()

  constructor(api: Api, log: string, size: number) {
    this.#api = api
    this.#log = log
    this.size = size
  }

  /** Of each index, leaf's sibling first. Requires all below the size. Throws ApiError. */
  async inclusion(indexes: readonly number[], size = this.size): Promise<Hash[][]> {
    const ranges = indexes.map((index) => inclusionRanges(index, size))
    await this.#load(ranges.flat().flatMap(rangeNodes))
    return ranges.map((one) => proveRanges(one, this.#read))
  }

  async consistency(from: number, to = this.size): Promise<Hash[]> {
    const ranges = consistencyRanges(from, to)
    await this.#load(ranges.flatMap(rangeNodes))
    return proveRanges(ranges, this.#read)
  }

  /** Of the first `size` entries. */
  async root(size: number): Promise<Hash> {
    await this.#load(rangeNodes([0, size]))
    return rootHash(size, this.#read)
  }

  readonly #read = (node: Node): Hash => {
    const { level, tile, height, index } = tileOf(node)
    return this.#loaded.get(`${level}/${tile}`)!.node(height, index)
  }

  async #load(nodes: readonly Node[]): Promise<void> {
    const wanted = new Map(nodes.map(tileOf).map(({ level, tile }) => [`${level}/${tile}`, { level, tile }]))
    await Promise.all(
      [...wanted].map(async ([name, { level, tile }]) => {
        if (this.#loaded.has(name)) return
        const pending = this.#tiles.get(name) ?? this.#fetch(level, tile)
        this.#tiles.set(name, pending)
        try {
          this.#loaded.set(name, await pending)
        } catch (error) {
          this.#tiles.delete(name)
          throw error
        }
      }),
    )
  }

  async #fetch(level: number, index: number): Promise<TileNodes> {
    const width = tileWidth(this.size, level, index)
    const path = formatTilePath({ level, index, width })
    const bytes = await this.#api.bytes(`/${this.#log}/${path}`)
    if (bytes.length !== width * HASH_SIZE)
      throw new ApiError(0, 'WRONG_ANSWER', `${path} has ${bytes.length} bytes, and ${width * HASH_SIZE} are due.`)
    return TileNodes.of(bytes)
  }
}
