/** A run of entries on its way into objects: cut into parts that a reader can hold in memory, each named by its content. */
import { createHash } from 'node:crypto'
import { equal } from '../../src/core/bytes.ts'
import { CompactRange } from '../../src/core/compact-range.ts'
import { decodeEntry, EVENT } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { type Hash, leafHash } from '../../src/core/merkle.ts'
import { ahead } from '../ahead.ts'
import type { FollowedLog } from '../log-list.ts'
import { DOCUMENTS_AHEAD, type LogReader } from '../log-reader.ts'
import type { KeyStore } from '../seal/key-store.ts'
import { seal } from '../seal/seal.ts'
import { CLEAR, type DocumentFrame, NOTHING, SEALED } from './frames.ts'
import { type SnapshotObject, SUFFIX } from './manifest.ts'
import type { ObjectVersion, WormStore } from './store.ts'

/** Where a part ends, bytes; one frame more than that is the longest. */
const PART_SIZE = 32 * 2 ** 20

export interface Target {
  readonly store: WormStore
  /** Ends in a slash. */
  readonly folder: string
  /** ms since the Unix epoch, whole seconds. */
  readonly retainUntil: number
}

/** Writes bytes under a name that they give themselves. */
export async function putNamed(
  { store, folder, retainUntil }: Target,
  suffix: string,
  bytes: Uint8Array,
): Promise<ObjectVersion & { readonly sha256: string }> {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const { key, version } = await store.put(`${folder}${sha256.slice(0, 16)}-${suffix}`, bytes, retainUntil)
  return { key, version, sha256 }
}

export async function putObject(
  target: Target,
  { kind, from, to }: Pick<SnapshotObject, 'kind' | 'from' | 'to'>,
  bytes: Uint8Array,
): Promise<SnapshotObject> {
  const { key, version, sha256 } = await putNamed(target, SUFFIX[kind], bytes)
  return { kind, from, to, key, version, length: bytes.length, sha256, retainUntil: target.retainUntil }
}

/** Parts of one kind, one after the other. Dies between two of them: the next try writes the same again, which finds itself there. */
export class PartWriter {
  readonly objects: SnapshotObject[] = []
  readonly #target: Target
  readonly #kind: 'entries' | 'documents'
  #frames: Uint8Array[] = []
  #length = 0
  #from: number
  #to: number

  constructor(target: Target, kind: 'entries' | 'documents', from: number) {
    this.#target = target
    this.#kind = kind
    this.#from = from
    this.#to = from
  }

  /** The frame of the next entry. */
  async add(frame: readonly Uint8Array[]): Promise<void> {
    this.#frames.push(...frame)
    for (const { length } of frame) this.#length += length
    this.#to++
    if (this.#length >= PART_SIZE) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#to === this.#from) return
    // Not `concat`, which takes them as arguments: there are more than a call may have.
    const bytes = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#frames) {
      bytes.set(part, at)
      at += part.length
    }
    this.#frames = []
    this.objects.push(await putObject(this.#target, { kind: this.#kind, from: this.#from, to: this.#to }, bytes))
    this.#from = this.#to
    this.#length = 0
  }
}

/** Entries that come in one bundle. */
export interface Chunk {
  readonly from: number
  readonly entries: readonly Uint8Array[]
  readonly leaves: readonly Hash[]
}

/** The entries [from, to) of a tree of `size`, cut where bundles end. Throws UNVERIFIABLE. */
export async function* chunks(reader: LogReader, from: number, to: number, size: number): AsyncGenerator<Chunk> {
  let at = from
  for await (const entries of reader.bundles(from, to, size)) {
    yield { from: at, entries, leaves: entries.map(leafHash) }
    at += entries.length
  }
}

/** The root of hashes as a tree of their own. */
export function rootOf(hashes: readonly Hash[]): Hash {
  const range = CompactRange.empty()
  for (const hash of hashes) range.append(hash)
  return range.root()
}

export interface Sealing {
  readonly log: FollowedLog
  readonly reader: LogReader
  /** Missing where events are not read. */
  readonly keys: KeyStore | undefined
}

/** What goes into the snapshot beside the entries of a chunk. Throws UNVERIFIABLE when the log serves another document than the entry names. */
export function documentFrames(
  { log, reader, keys }: Sealing,
  { from, entries, leaves }: Chunk,
): AsyncGenerator<DocumentFrame> {
  const secrets = keys?.leaves(log.origin, from, from + entries.length) ?? []
  const frame = async ([i, bytes]: [number, Uint8Array]): Promise<DocumentFrame> => {
    const entry = read(bytes)
    const leaf = secrets[i]
    // An erased event whose document is served all the same is not copied: its key is gone for good.
    if (entry === undefined || (entry.kind === EVENT && leaf === undefined)) return NOTHING
    const document = await reader.addendum(entry.addendum)
    if (document === undefined) return NOTHING
    if (!equal(createHash('sha256').update(document).digest(), entry.addendum))
      throw new TreelineError('UNVERIFIABLE', `the log serves another document than entry ${from + i} names`)
    if (leaf === undefined || entry.kind !== EVENT) return { kind: CLEAR, bytes: document }
    const context = { leaf, origin: log.origin, index: from + i, digest: entry.addendum, leafHash: leaves[i]! }
    return { kind: SEALED, bytes: seal(document, context) }
  }
  return ahead(entries.entries(), DOCUMENTS_AHEAD, frame)
}

function read(bytes: Uint8Array) {
  try {
    return decodeEntry(bytes)
  } catch (error) {
    // That it is none was a matter for the audit.
    if (error instanceof TreelineError) return undefined
    throw error
  }
}
