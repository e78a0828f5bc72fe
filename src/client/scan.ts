/**
 * A whole log, read from a server or a copy that may lie. First the roots of all full bundles (32 bytes for 256 entries; tiles of level 1) and the
 * entries after them are shown to give the root of a checkpoint that satisfies the trust policy. From then on each bundle is held against its
 * own root when it comes, so that nothing is ever yielded that is not proved, no bundle is read twice, and a scan may begin anywhere.
 *
 *   const log = await VerifiedLog.open(new HttpSource(transport), { trust, origin })
 *   for await (const { index, entry } of log.entries()) …
 */
import { sha256 } from '#platform'
import { equal, toHex } from '../core/bytes.ts'
import { sizeOf } from '../core/checkpoint.ts'
import { CompactRange } from '../core/compact-range.ts'
import { decodeEntry, type Entry, GENESIS } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { HASH_SIZE, type Hash, leafHash } from '../core/merkle.ts'
import { parseBundle, TILE_WIDTH } from '../core/tile.ts'
import { type VerifiedCheckpoint, verifyCheckpoint, type WitnessPolicy } from '../core/witness-policy.ts'
import { ahead } from './ahead.ts'

/** Where a log is read from. Nothing that comes back is believed. Throws UNVERIFIABLE for what should be there and is not. */
export interface ScanSource {
  /** A signed note. */
  checkpoint(): Promise<Uint8Array>
  /** At least the first `width` entries of bundle `index`, framed as C2SP does. */
  bundle(index: number, width: number): Promise<Uint8Array>
  /** At least the first `width` hashes of tile `index`: of level 0, leaf hashes; of level 1, roots of full bundles. */
  tile(level: 0 | 1, index: number, width: number): Promise<Uint8Array>
  /** The document behind the entry at `index`, by key 7; undefined where it is not there: redacted, or lost. */
  addendum(digest: Hash, index: number): Promise<Uint8Array | undefined>
}

export interface ScanOptions {
  readonly trust: WitnessPolicy
  readonly origin: string
  /** The signed note to read under, instead of the one that the source shows. */
  readonly note?: Uint8Array
}

/** Consecutive entries, as views of `bytes`, which is a C2SP bundle. */
export interface ScannedBundle {
  readonly first: number
  readonly entries: readonly Uint8Array[]
  readonly bytes: Uint8Array
}

export interface ScannedEntry {
  readonly index: number
  readonly bytes: Uint8Array
  readonly entry: Entry
}

/** Bundles that are under way, or there and waiting: 17 MB each at most, 70 kB as a rule. */
const BUNDLES_AHEAD = 8
/** Tiles of 8 kB. */
const TILES_AHEAD = 8

export class VerifiedLog {
  readonly head: VerifiedCheckpoint
  /** The signed note of it. */
  readonly note: Uint8Array
  readonly origin: string
  readonly size: number
  readonly #source: ScanSource
  /** Of the full bundles, 32 bytes each: proved. */
  readonly #roots: Uint8Array
  /** What comes after the full bundles. */
  readonly #last: Uint8Array
  #kept: ScannedBundle | undefined

  private constructor(
    source: ScanSource,
    note: Uint8Array,
    head: VerifiedCheckpoint,
    roots: Uint8Array,
    last: Uint8Array,
  ) {
    this.#source = source
    this.note = note
    this.head = head
    this.origin = head.checkpoint.origin
    this.size = sizeOf(head.checkpoint)
    this.#roots = roots
    this.#last = last
  }

  /**
   * Throws UNVERIFIED_NOTE for a checkpoint that the trust policy does not accept, INVALID_PROOF when what is served is not the tree that was
   * signed, UNVERIFIABLE when something is not served.
   */
  static async open(source: ScanSource, { trust, origin, note: given }: ScanOptions): Promise<VerifiedLog> {
    const note = given ?? (await source.checkpoint())
    const head = verifyCheckpoint(note, trust)
    const { checkpoint } = head
    if (checkpoint.origin !== origin)
      throw new TreelineError('UNVERIFIED_NOTE', `the checkpoint is of ${checkpoint.origin}, not of ${origin}`)
    const size = sizeOf(checkpoint)
    const roots = await bundleRoots(source, Math.floor(size / TILE_WIDTH))
    const width = size % TILE_WIDTH
    const index = Math.floor(size / TILE_WIDTH)
    const last = width === 0 ? new Uint8Array(0) : await source.bundle(index, width)
    const entries = width === 0 ? [] : parseEntries(last, index, width)
    if (!equal(rootOf(roots, entries.map(leafHash)), checkpoint.root)) {
      // The entries after the last full bundle are the only ones that have been read: if their hashes would do, they are what is wrong.
      const leaves = width === 0 ? [] : hashesOf(await source.tile(0, index, width), width)
      if (leaves.length > 0 && equal(rootOf(roots, leaves), checkpoint.root)) throw differing(index, entries, leaves)
      throw new TreelineError(
        'INVALID_PROOF',
        `what is served of ${origin} is not the tree of ${size} entries that was signed: an entry was changed, dropped, added or moved`,
      )
    }
    const end = entries.reduce((sum, entry) => sum + 2 + entry.length, 0)
    return new VerifiedLog(source, note, head, roots, last.subarray(0, end))
  }

  /** Verified, in order. Throws INVALID_PROOF at the first bundle that is not the signed one, naming the entry; UNVERIFIABLE. */
  async *bundles(from = 0, to = this.size): AsyncGenerator<ScannedBundle> {
    this.#requireWithin(from, to)
    const indexes = Array.from(
      { length: from < to ? Math.ceil(to / TILE_WIDTH) - Math.floor(from / TILE_WIDTH) : 0 },
      (_, i) => Math.floor(from / TILE_WIDTH) + i,
    )
    for await (const bundle of ahead(indexes, BUNDLES_AHEAD, (index) => this.#bundle(index)))
      yield cut(bundle, from, to)
  }

  /** The same, decoded. Throws MALFORMED_ENTRY for what is no entry of a log of events. */
  async *entries(from = 0, to = this.size): AsyncGenerator<ScannedEntry> {
    for await (const { first, entries } of this.bundles(from, to))
      for (const [i, bytes] of entries.entries()) yield { index: first + i, bytes, entry: decodeAt(first + i, bytes) }
  }

  /** One of them. */
  async entry(index: number): Promise<Uint8Array> {
    this.#requireWithin(index, index + 1)
    const bundle = Math.floor(index / TILE_WIDTH)
    // Whoever asks for single entries asks for neighbours: policies, what a redaction names.
    if (this.#kept?.first !== bundle * TILE_WIDTH) this.#kept = await this.#bundle(bundle)
    return this.#kept.entries[index % TILE_WIDTH]!
  }

  /** What stands behind an entry, held against its key 7; undefined where the source does not have it. Throws INVALID_PROOF. */
  async document(index: number, { addendum }: Entry): Promise<Uint8Array | undefined> {
    const bytes = await this.#source.addendum(addendum, index)
    if (bytes === undefined || equal(sha256(bytes), addendum)) return bytes
    throw new TreelineError('INVALID_PROOF', `the document of entry ${index} is not the one that the entry names`)
  }

  /** Of the first `size` entries. */
  async rootAt(size: number): Promise<Hash> {
    this.#requireWithin(size, this.size)
    const full = Math.floor(size / TILE_WIDTH)
    const leaves: Hash[] = []
    for await (const { entries } of this.bundles(full * TILE_WIDTH, size)) leaves.push(...entries.map(leafHash))
    return rootOf(this.#roots.subarray(0, full * HASH_SIZE), leaves)
  }

  #requireWithin(from: number, to: number): void {
    if (from > to || to > this.size)
      throw new TreelineError('UNKNOWN_SIZE', `the log has ${this.size} entries, not ${Math.max(from, to)}`)
  }

  async #bundle(index: number): Promise<ScannedBundle> {
    const first = index * TILE_WIDTH
    if (first + TILE_WIDTH > this.size) return { first, entries: parseBundle(this.#last), bytes: this.#last }
    const bytes = await this.#source.bundle(index, TILE_WIDTH)
    const entries = parseEntries(bytes, index, TILE_WIDTH)
    const range = CompactRange.empty()
    for (const entry of entries) range.append(leafHash(entry))
    const root = this.#roots.subarray(index * HASH_SIZE, (index + 1) * HASH_SIZE)
    if (!equal(range.root(), root)) throw await this.#fault(index, entries, root)
    return { first, entries, bytes }
  }

  /** Which entry is wrong, as far as the source still gives the leaf hashes that it signed. */
  async #fault(index: number, entries: readonly Uint8Array[], root: Hash): Promise<TreelineError> {
    const leaves = hashesOf(await this.#source.tile(0, index, TILE_WIDTH), TILE_WIDTH)
    const range = CompactRange.empty()
    for (const leaf of leaves) range.append(leaf)
    if (leaves.length > 0 && equal(range.root(), root)) return differing(index, entries, leaves)
    const first = index * TILE_WIDTH
    return new TreelineError(
      'INVALID_PROOF',
      `the entries ${first} to ${first + TILE_WIDTH - 1} are not those that were signed`,
    )
  }
}

/** The roots of the first `count` full bundles, as the source tells them. */
async function bundleRoots(source: ScanSource, count: number): Promise<Uint8Array> {
  const roots = new Uint8Array(count * HASH_SIZE)
  const tiles = Array.from({ length: Math.ceil(count / TILE_WIDTH) }, (_, tile) => tile)
  let at = 0
  const widthOf = (tile: number) => Math.min(TILE_WIDTH, count - tile * TILE_WIDTH)
  for await (const [tile, bytes] of ahead(
    tiles,
    TILES_AHEAD,
    async (tile) => [tile, await source.tile(1, tile, widthOf(tile))] as const,
  )) {
    const length = widthOf(tile) * HASH_SIZE
    if (bytes.length < length)
      throw new TreelineError('INVALID_PROOF', `tile ${tile} of level 1 has ${bytes.length} bytes, not ${length}`)
    roots.set(bytes.subarray(0, length), at)
    at += length
  }
  return roots
}

/** Of a tree of full bundles and the leaves after them: a bundle is a complete subtree, so the same counter takes its root as one leaf. */
function rootOf(roots: Uint8Array, leaves: readonly Hash[]): Hash {
  const [bundles, rest] = [CompactRange.empty(), CompactRange.empty()]
  for (let at = 0; at < roots.length; at += HASH_SIZE) bundles.append(roots.subarray(at, at + HASH_SIZE))
  for (const leaf of leaves) rest.append(leaf)
  return CompactRange.of(bundles.size * TILE_WIDTH + leaves.length, [...bundles.hashes, ...rest.hashes]).root()
}

/** Exactly `width` entries of a bundle, which may have more of them. Throws INVALID_PROOF for fewer, and for what is no bundle. */
function parseEntries(bytes: Uint8Array, index: number, width: number): Uint8Array[] {
  let entries: Uint8Array[]
  try {
    entries = parseBundle(bytes)
  } catch (error) {
    throw new TreelineError(
      'INVALID_PROOF',
      `bundle ${index} cannot be read: ${(error as Error).message}`,
      {},
      { cause: error },
    )
  }
  if (entries.length >= width) return entries.slice(0, width)
  const first = index * TILE_WIDTH
  throw new TreelineError(
    'INVALID_PROOF',
    `of the entries ${first} to ${first + width - 1} that were signed only ${entries.length} are served: some were dropped`,
  )
}

/** Empty when there are fewer. */
const hashesOf = (bytes: Uint8Array, width: number): Hash[] =>
  bytes.length < width * HASH_SIZE
    ? []
    : Array.from({ length: width }, (_, i) => bytes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE))

/** The first entry that is not the one with the leaf hash that was signed. */
function differing(bundle: number, entries: readonly Uint8Array[], leaves: readonly Hash[]): TreelineError {
  const served = entries.map((entry) => toHex(leafHash(entry)))
  const signed = leaves.map(toHex)
  const at = signed.findIndex((leaf, i) => leaf !== served[i])
  const index = bundle * TILE_WIDTH + at
  const why = served.includes(signed[at]!)
    ? `it stands at ${bundle * TILE_WIDTH + served.indexOf(signed[at]!)}: entries were moved`
    : signed.includes(served[at]!)
      ? 'it was dropped, and a later one stands there'
      : 'it was changed'
  return new TreelineError('INVALID_PROOF', `entry ${index} is not the one that was signed: ${why}`, { index })
}

/** What of a bundle lies in [from, to). */
function cut(bundle: ScannedBundle, from: number, to: number): ScannedBundle {
  const { first, entries, bytes } = bundle
  const [begin, end] = [Math.max(from - first, 0), Math.min(to - first, entries.length)]
  if (begin === 0 && end === entries.length) return bundle
  const within = entries.slice(begin, end)
  const skipped = entries.slice(0, begin).reduce((sum, entry) => sum + 2 + entry.length, 0)
  const length = within.reduce((sum, entry) => sum + 2 + entry.length, 0)
  return { first: first + begin, entries: within, bytes: bytes.subarray(skipped, skipped + length) }
}

/** Throws MALFORMED_ENTRY, with the index. */
export function decodeAt(index: number, bytes: Uint8Array): Entry {
  try {
    return decodeEntry(bytes)
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError('MALFORMED_ENTRY', `entry ${index}: ${error.message}`, { index }, { cause: error })
  }
}

/** Only an events log begins with a genesis: what is in a raw one has no meaning for us. */
export async function isEventLog(log: VerifiedLog): Promise<boolean> {
  if (log.size === 0) return false
  try {
    return decodeEntry(await log.entry(0)).kind === GENESIS
  } catch (error) {
    if (error instanceof TreelineError && ['MALFORMED_ENTRY', 'MALFORMED_CBOR'].includes(error.code)) return false
    throw error
  }
}
