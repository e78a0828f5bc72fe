/** A reader of a served log that believes nothing but its key: checkpoints, entries, and proofs made from its tiles. */
import { toUtf8 } from '../../src/core/bytes.ts'
import { type Checkpoint, parseCheckpoint } from '../../src/core/checkpoint.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import type { Hash } from '../../src/core/merkle.ts'
import { consistencyRanges, inclusionRanges, proveRanges, rangeNodes } from '../../src/core/merkle.ts'
import { parseNote, verifyNote } from '../../src/core/note.ts'
import { formatTilePath, parseBundle, TILE_WIDTH, tileWidth } from '../../src/core/tile.ts'
import { TileNodes, tileOf } from '../../src/core/tree.ts'
import { parseVkey } from '../../src/core/vkey.ts'

export interface SeenCheckpoint {
  readonly note: Uint8Array
  readonly size: number
  readonly root: Hash
}

export class TileClient {
  readonly #base: string
  readonly vkey: string

  /** `base` is the URL of the log, without a slash at the end. */
  constructor(base: string, vkey: string) {
    this.#base = base
    this.vkey = vkey
  }

  async get(path: string): Promise<Uint8Array> {
    const answer = await fetch(`${this.#base}/${path}`, { signal: AbortSignal.timeout(20_000) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return new Uint8Array(await answer.arrayBuffer())
  }

  /** The published checkpoint; throws when it is not signed by the key, or is of another log. */
  async checkpoint(): Promise<SeenCheckpoint> {
    return readCheckpoint(await this.get('checkpoint'), this.vkey)
  }

  /** All entries of bundle `index` in a log of `size`. */
  async bundle(index: number, size: number): Promise<Uint8Array[]> {
    const path = formatTilePath({ level: 'entries', index, width: tileWidth(size, 'entries', index) })
    return parseBundle(await this.get(path))
  }

  async entries(size: number): Promise<Uint8Array[]> {
    const all: Uint8Array[] = []
    for (let index = 0; index * TILE_WIDTH < size; index++) all.push(...(await this.bundle(index, size)))
    return all
  }

  inclusion(index: number, size: number): Promise<Hash[]> {
    return this.#prove(inclusionRanges(index, size), size)
  }

  consistency(from: number, to: number): Promise<Hash[]> {
    return this.#prove(consistencyRanges(from, to), to)
  }

  async #prove(ranges: ReturnType<typeof inclusionRanges>, size: number): Promise<Hash[]> {
    const tiles = new Map<string, TileNodes>()
    const pathOf = (level: number, tile: number): string =>
      formatTilePath({ level, index: tile, width: tileWidth(size, level, tile) })
    for (const node of ranges.flatMap(rangeNodes)) {
      const { level, tile } = tileOf(node)
      const path = pathOf(level, tile)
      if (!tiles.has(path)) tiles.set(path, TileNodes.of(await this.get(path)))
    }
    return proveRanges(ranges, (node) => {
      const { level, tile, height, index } = tileOf(node)
      return tiles.get(pathOf(level, tile))!.node(height, index)
    })
  }
}

/** Throws when the note is not a checkpoint signed by `vkey` under its own name. */
export function readCheckpoint(note: Uint8Array, vkey: string): SeenCheckpoint {
  const key = parseVkey(vkey)
  const parsed = parseNote(note)
  verifyNote(parsed, [ed25519NoteVerifier(key)])
  const { origin, size, root }: Checkpoint = parseCheckpoint(parsed.text)
  if (origin !== key.name) throw new Error(`a checkpoint of ${origin}, not of ${key.name}`)
  return { note, size: Number(size), root }
}

/** C2SP tlog-policy that trusts one log and asks for no witness. */
export const policyOf = (vkey: string): Uint8Array => toUtf8(`log ${vkey}\nquorum none\n`)
