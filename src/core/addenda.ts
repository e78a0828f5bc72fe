/**
 * C2SP tlog-addenda: data beside the log, bound to it by a digest inside an entry. An entry ends with the offsets of its
 * digests and their count, so that any tool finds them without knowing what stands before:
 *
 *     61 70 70 3a ‹32 bytes› 00000004 01      "app:", a digest, its offset 4, one offset
 */
import { concat, fromHex, toHex, u32 } from './bytes.ts'
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash } from './merkle.ts'

const OFFSET_SIZE = 4
const MAX_OFFSETS = 255

/** An entry taken apart. */
export interface Addenda {
  /** What stands before the offsets. */
  readonly content: Uint8Array
  /** Where in `content` a digest begins; ascending when we write them, in any order when others do. */
  readonly offsets: readonly number[]
}

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_ENTRY', `not an entry with addenda: ${why}`)

function assertInside({ content, offsets }: Addenda): void {
  // An offset into the trailer would let the offsets themselves pass for a digest.
  for (const offset of offsets) if (offset + HASH_SIZE > content.length) throw malformed(`no digest at ${offset}`)
}

/** Throws MALFORMED_ENTRY when an offset leaves no room for its digest. */
export function formatAddenda(addenda: Addenda): Uint8Array {
  const { content, offsets } = addenda
  if (offsets.length > MAX_OFFSETS) throw malformed(`more than ${MAX_OFFSETS} offsets`)
  assertInside(addenda)
  return concat(content, ...offsets.map(u32), Uint8Array.of(offsets.length))
}

/** `content` is a view of the entry. Throws MALFORMED_ENTRY. */
export function parseAddenda(entry: Uint8Array): Addenda {
  const count = entry.at(-1)
  if (count === undefined) throw malformed('it is empty')
  const end = entry.length - 1 - count * OFFSET_SIZE
  if (end < 0) throw malformed(`no room for ${count} offsets`)
  const view = new DataView(entry.buffer, entry.byteOffset + end, count * OFFSET_SIZE)
  const offsets = Array.from({ length: count }, (_, i) => view.getUint32(i * OFFSET_SIZE))
  const addenda = { content: entry.subarray(0, end), offsets }
  assertInside(addenda)
  return addenda
}

/** The digests at the offsets, in their order, as views. */
export const addendaDigests = ({ content, offsets }: Addenda): Hash[] =>
  offsets.map((offset) => content.subarray(offset, offset + HASH_SIZE))

/** `addenda/<aa>/<bb>/<64 hex>`: the directories are the digest's first two bytes. */
export function addendumPath(digest: Hash): string {
  const hex = toHex(digest)
  return `addenda/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`
}

/** Accepts exactly what `addendumPath` makes. Throws MALFORMED_TILE_PATH. */
export function parseAddendumPath(path: string): Hash {
  const digest = fromHex(path.slice(path.lastIndexOf('/') + 1))
  if (digest?.length !== HASH_SIZE || addendumPath(digest) !== path) {
    throw new TreelineError('MALFORMED_TILE_PATH', `not the path of an addendum: ${JSON.stringify(path.slice(0, 100))}`)
  }
  return digest
}
