/**
 * Copies one log to write-once storage: what was audited since the last snapshot, sealed where it can be erased, and a manifest of all that it
 * takes to rebuild the log. Nothing of a log is written before its entries have given the root that was cosigned: what is locked stays.
 */
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { CompactRange } from '../../src/core/compact-range.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { Hash } from '../../src/core/merkle.ts'
import { type NoteSigner, type NoteVerifier, parseNote } from '../../src/core/note.ts'
import { TILE_WIDTH } from '../../src/core/tile.ts'
import type { Logger } from '../http.ts'
import type { KeptSnapshot } from '../kept-copies.ts'
import type { FollowedLog } from '../log-list.ts'
import type { LogReader } from '../log-reader.ts'
import type { KeyStore } from '../seal/key-store.ts'
import type { Audited, WitnessState } from '../state.ts'
import { formatDocumentFrame, formatEntryFrame } from './frames.ts'
import { type Manifest, PACK_WIDTH, packFolder, type SnapshotObject, signManifest, snapshotFolder } from './manifest.ts'
import { findNewest, type Snapshot } from './reader.ts'
import { chunks, documentFrames, PartWriter, putNamed, putObject, rootOf, type Target } from './section.ts'
import type { ObjectVersion, WormStore } from './store.ts'

export interface SnapshotterParts {
  readonly log: FollowedLog
  readonly reader: LogReader
  readonly state: WitnessState
  readonly store: WormStore
  readonly signer: NoteSigner
  readonly verifier: NoteVerifier
  /** Of a keeper. */
  readonly keys: KeyStore | undefined
  /** ms since the Unix epoch. */
  readonly now: () => number
  readonly logger: Pick<Logger, 'info'>
}

/** Locks are made longer once less than this part of the retention is left. */
const EXTEND_BELOW = 0.9
/** Objects whose locks are made longer at once. */
const WINDOW = 8
/** Between two reports of how far long work is, ms. */
const REPORT = 10_000

export class Snapshotter {
  readonly #parts: SnapshotterParts
  readonly #origin: string
  #newest: Snapshot | undefined

  constructor(parts: SnapshotterParts) {
    this.#parts = parts
    this.#origin = parts.log.origin
  }

  /**
   * Brings the copy up to the audited size, and its locks to the retention. Throws UNVERIFIABLE for what the log does not serve, UNREACHABLE and
   * WORM_BROKEN of the store.
   */
  async step(): Promise<void> {
    const audited = this.#parts.state.audited(this.#origin)
    this.#newest ??= await this.#find()
    if (audited !== undefined && audited.size > (this.#newest?.manifest.size ?? 0))
      this.#newest = await this.#write(audited, this.#newest?.manifest)
    if (this.#newest !== undefined) await this.#extend(this.#newest)
  }

  /** What the state remembers, or a later one that a killed process did not come to remember. */
  async #find(): Promise<Snapshot | undefined> {
    const { state, store, verifier } = this.#parts
    const kept = state.copies.snapshot(this.#origin)
    const newest = await findNewest(store, this.#origin, verifier, kept)
    if (newest !== undefined && newest.manifest.size !== kept?.size) this.#remember(newest)
    return newest
  }

  #remember({ at, manifest }: Snapshot, locked = lockedUntil(manifest.objects)): KeptSnapshot {
    const { state, log, keys } = this.#parts
    const sealed = log.keeper && keys !== undefined
    const next = { size: manifest.size, key: at.key, version: at.version, locked, sealed }
    state.copies.keepSnapshot(this.#origin, next)
    return next
  }

  async #write(audited: Audited, last: Manifest | undefined): Promise<Snapshot> {
    const { store, state, signer, now, logger } = this.#parts
    const { size } = audited
    const { root } = parseCheckpoint(parseNote(toUtf8(audited.note)).text)
    const had = last?.packs ?? []
    const whole = Math.floor(size / PACK_WIDTH)
    // With a new pack everything from its first entry on is read again, and the deltas that it replaces are left to expire.
    const start = whole > had.length ? had.length * PACK_WIDTH : (last?.size ?? 0)
    const range = CompactRange.of(start, whole > had.length ? subtreesOf(had) : (last?.subtrees ?? []))
    const prints = await this.#read(range, size)
    if (!equal(range.root(), root))
      throw new TreelineError('UNVERIFIABLE', `the entries that the log serves do not give its root at size ${size}`)

    const time = now()
    const retainUntil = 1_000 * Math.ceil((time + state.retention) / 1_000)
    const packs = [...had]
    const objects = (last?.objects ?? []).filter(
      ({ kind, key, from }) => kind !== 'checkpoint' && (key.includes('/pack/') || from >= whole * PACK_WIDTH),
    )
    const printsOf = (from: number, to: number): Hash[] => prints.slice(chunksIn(start, from), chunksIn(start, to))
    for (let k = had.length; k < whole; k++) {
      const [from, to] = [k * PACK_WIDTH, (k + 1) * PACK_WIDTH]
      const folder = packFolder(this.#origin, from)
      objects.push(...(await this.#copy({ store, folder, retainUntil }, from, to, size, printsOf(from, to))))
      packs.push(rootOf(printsOf(from, to)))
      logger.info({ origin: this.#origin, entries: to, of: size }, 'snapshot: a pack is written')
    }
    const target = { store, folder: snapshotFolder(this.#origin, size), retainUntil }
    const from = Math.max(start, whole * PACK_WIDTH)
    objects.push(...(await this.#copy(target, from, size, size, printsOf(from, size))))
    objects.push(await putObject(target, { kind: 'checkpoint', from: 0, to: size }, toUtf8(audited.note)))
    const manifest = {
      ...{ origin: this.#origin, size, audited: size, root, time, packs, subtrees: range.hashes },
      objects: ordered(objects),
    }
    // Dies before the manifest: its objects are locked, nobody names them, and the next snapshot may find them there.
    const { key, version } = await putNamed(target, 'manifest', signManifest(manifest, signer))
    // Dies here: the next start finds the manifest in the store, signed by this witness.
    const newest = { at: { key, version }, manifest }
    this.#remember(newest)
    logger.info({ origin: this.#origin, size, objects: objects.length, retainUntil }, 'snapshot')
    return newest
  }

  /** Appends the entries from the size of `range` to `size`; gives the hash of each chunk of them. */
  async #read(range: CompactRange, size: number): Promise<Hash[]> {
    const prints: Hash[] = []
    let reported = this.#parts.now()
    for await (const { leaves } of chunks(this.#parts.reader, range.size, size, size)) {
      for (const leaf of leaves) range.append(leaf)
      prints.push(rootOf(leaves))
      if (this.#parts.now() - reported < REPORT) continue
      reported = this.#parts.now()
      this.#parts.logger.info({ origin: this.#origin, entries: range.size, of: size }, 'snapshot: reading')
    }
    return prints
  }

  /** The objects of the entries [from, to), read a second time and held against the hashes of the first. */
  async #copy(
    target: Target,
    from: number,
    to: number,
    size: number,
    prints: readonly Hash[],
  ): Promise<SnapshotObject[]> {
    const { log, reader, keys } = this.#parts
    const entries = new PartWriter(target, 'entries', from)
    const documents = new PartWriter(target, 'documents', from)
    let n = 0
    for await (const chunk of chunks(reader, from, to, size)) {
      if (!equal(rootOf(chunk.leaves), prints[n++]!))
        throw new TreelineError('UNVERIFIABLE', `the log serves other entries after ${chunk.from} than a moment ago`)
      for (const entry of chunk.entries) await entries.add(formatEntryFrame(entry))
      if (log.genesis === undefined) continue
      for await (const frame of documentFrames({ log, reader, keys }, chunk))
        await documents.add(formatDocumentFrame(frame))
    }
    await entries.flush()
    await documents.flush()
    return [...entries.objects, ...documents.objects]
  }

  /** All that the newest snapshot needs, and the snapshot itself. */
  async #extend(newest: Snapshot): Promise<void> {
    const { store, state, now, logger } = this.#parts
    const kept = state.copies.snapshot(this.#origin)!
    if (kept.locked >= now() + EXTEND_BELOW * state.retention) return
    const until = 1_000 * Math.ceil((now() + state.retention) / 1_000)
    const all: ObjectVersion[] = [...newest.manifest.objects, newest.at]
    for (let at = 0; at < all.length; at += WINDOW)
      await Promise.all(all.slice(at, at + WINDOW).map((object) => store.extend(object, until)))
    // Dies before this: the next step makes them longer once more.
    this.#remember(newest, until)
    const objects = newest.manifest.objects.map((object) => ({ ...object, retainUntil: until }))
    this.#newest = { at: newest.at, manifest: { ...newest.manifest, objects } }
    logger.info({ origin: this.#origin, objects: all.length, until }, 'snapshot: locks are longer')
  }
}

/** Packs are subtrees of one height, so that their roots make up the tree as leaves would. */
function subtreesOf(packs: readonly Hash[]): readonly Hash[] {
  const range = CompactRange.empty()
  for (const hash of packs) range.append(hash)
  return range.hashes
}

/** How many chunks there are from `start` to `to`, where `to` is the end of one. */
const chunksIn = (start: number, to: number): number =>
  to <= start ? 0 : Math.ceil(to / TILE_WIDTH) - Math.floor(start / TILE_WIDTH)

const ORDER = { entries: 0, documents: 1, checkpoint: 2 } as const
const ordered = (objects: readonly SnapshotObject[]): SnapshotObject[] =>
  objects.toSorted((a, b) => ORDER[a.kind] - ORDER[b.kind] || a.from - b.from)

const lockedUntil = (objects: readonly SnapshotObject[]): number =>
  objects.reduce((least, { retainUntil }) => Math.min(least, retainUntil), Number.MAX_SAFE_INTEGER)
