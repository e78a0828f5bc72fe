/** C2SP tlog-tiles: how the hashes of a tree, and its entries, are cut into files of 256 and named. */

import { concat } from './bytes.ts'
import { TreelineError } from './errors.ts'

export const TILE_HEIGHT = 8
export const TILE_WIDTH = 256
/** A bundle frames each entry with its length in two bytes. */
export const MAX_ENTRY_SIZE = 65_535

export interface TilePath {
  /** Level of hashes, or the bundle of the entries themselves. */
  readonly level: number | 'entries'
  readonly index: number
  /** 1…256; 256 is the full tile, which has no suffix. */
  readonly width: number
}

const malformed = (text: string): TreelineError =>
  new TreelineError('MALFORMED_TILE_PATH', `not a tile path: ${JSON.stringify(text.slice(0, 100))}`)

/** `tile/<L>/<N>[.p/<W>]`, where N is groups of three digits, all but the last after an `x`: 1234067 is `x001/x234/067`. */
export function formatTilePath({ level, index, width }: TilePath): string {
  let digits = String(index)
  digits = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  const groups = digits.match(/.{3}/g)!
  const name = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')
  return `tile/${level}/${name}${width === TILE_WIDTH ? '' : `.p/${width}`}`
}

/** Accepts exactly what `formatTilePath` makes, levels 0…63. Throws MALFORMED_TILE_PATH. */
export function parseTilePath(path: string): TilePath {
  const parts = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path)
  if (parts === null) throw malformed(path)
  const [, level = '', name = '', width = String(TILE_WIDTH)] = parts
  const tile: TilePath = {
    level: level === 'entries' ? level : Number(level),
    index: Number(name.replace(/[x/]/g, '')),
    width: Number(width),
  }
  if (!Number.isSafeInteger(tile.index)) throw malformed(path)
  // One spelling per tile: a suffix of 256, leading zeros and a leading x000 group all fail here.
  if (tile.width < 1 || tile.width > TILE_WIDTH || formatTilePath(tile) !== path) throw malformed(path)
  if (tile.level !== 'entries' && tile.level > 63) throw malformed(path)
  return tile
}

/** How many hashes a tree of `size` leaves has at a tile level: the complete subtrees of 256^level leaves. */
const hashesAtLevel = (size: number, level: number): number => Math.floor(size / TILE_WIDTH ** level)

/** Width 0…256 that the tile has in a tree of `size` leaves. */
export function tileWidth(size: number, level: number | 'entries', index: number): number {
  const hashes = hashesAtLevel(size, level === 'entries' ? 0 : level)
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH))
}

/** Number of full tiles and width of the partial one (0 when there is none) at each level, until a level is empty. */
export function tileCounts(
  size: number,
): { readonly level: number; readonly full: number; readonly partial: number }[] {
  const counts = []
  for (let level = 0; hashesAtLevel(size, level) > 0; level++) {
    const hashes = hashesAtLevel(size, level)
    counts.push({ level, full: Math.floor(hashes / TILE_WIDTH), partial: hashes % TILE_WIDTH })
  }
  return counts
}

/** Each entry after its length as two big-endian bytes. */
export function formatBundle(entries: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_SIZE) {
      throw new TreelineError('ENTRY_TOO_LARGE', `an entry has ${entry.length} bytes, the limit is ${MAX_ENTRY_SIZE}`)
    }
    parts.push(Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry)
  }
  return concat(...parts)
}

/** The 1 to 256 entries of a bundle, as views of it. Throws MALFORMED_BUNDLE, also when the last one is cut off. */
export function parseBundle(bundle: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = []
  let at = 0
  while (at < bundle.length) {
    const start = at + 2
    const end = start + ((bundle[at]! << 8) | (bundle[at + 1] ?? 0))
    if (end > bundle.length)
      throw new TreelineError('MALFORMED_BUNDLE', `entry ${entries.length} of a bundle is cut off`)
    entries.push(bundle.subarray(start, end))
    // Entries may be empty: without a limit a stranger's bundle would grow into half as many objects as it has bytes.
    if (entries.length > TILE_WIDTH)
      throw new TreelineError('MALFORMED_BUNDLE', `a bundle of more than ${TILE_WIDTH} entries`)
    at = end
  }
  if (entries.length === 0) throw new TreelineError('MALFORMED_BUNDLE', 'a bundle without an entry')
  return entries
}
