/** A copy of a log in write-once storage, for a verified scan: nothing of it is believed but what is proved afterwards. */

import type { ScanSource } from '../../src/client/scan.ts'
import { concat } from '../../src/core/bytes.ts'
import { CompactRange } from '../../src/core/compact-range.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { type Hash, leafHash } from '../../src/core/merkle.ts'
import type { NoteVerifier } from '../../src/core/note.ts'
import { formatBundle, TILE_WIDTH } from '../../src/core/tile.ts'
import { type DocumentFrame, parseDocumentFrames, parseEntryFrames } from '../../witness/worm/frames.ts'
import type { Manifest, SnapshotObject } from '../../witness/worm/manifest.ts'
import { openDocument } from '../../witness/worm/open-document.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { findNewest, readObject } from '../../witness/worm/reader.ts'
import type { WormStore } from '../../witness/worm/store.ts'
import { usage } from '../cli.ts'
import type { Leaves } from '../copy-keys.ts'

export interface CopyParts {
  /** `s3://BUCKET[/PREFIX]` or a folder. */
  readonly store: string
  readonly origin: string
  /** Of the snapshot key. */
  readonly verifier: NoteVerifier
  readonly leaves?: Leaves | undefined
}

/** Objects of each kind that are held: one that is read through, and the next one. */
const HELD = 2

export class CopySource implements ScanSource {
  readonly #store: WormStore
  readonly #manifest: Manifest
  readonly #leaves: Leaves | undefined
  readonly #entries: Held<Uint8Array>
  readonly #documents: Held<DocumentFrame>

  private constructor(store: WormStore, manifest: Manifest, leaves: Leaves | undefined) {
    this.#store = store
    this.#manifest = manifest
    this.#leaves = leaves
    const read = (object: SnapshotObject) => readObject(store, object)
    const ofKind = (kind: SnapshotObject['kind']) => manifest.objects.filter((object) => object.kind === kind)
    this.#entries = new Held(ofKind('entries'), async (object) =>
      parseEntryFrames(await read(object), object.to - object.from),
    )
    this.#documents = new Held(ofKind('documents'), async (object) =>
      parseDocumentFrames(await read(object), object.to - object.from),
    )
  }

  /** The newest snapshot. Throws USAGE when there is none of this log by this key. */
  static async open({ store: spec, origin, verifier, leaves }: CopyParts): Promise<CopySource> {
    const store = await openStore(spec)
    try {
      const snapshot = await findNewest(store, origin, verifier)
      if (snapshot === undefined) throw usage(`${store.description} has no copy of ${origin} by ${verifier.key.name}`)
      return new CopySource(store, snapshot.manifest, leaves)
    } catch (error) {
      await store.close()
      throw error
    }
  }

  checkpoint(): Promise<Uint8Array> {
    return readObject(this.#store, this.#manifest.objects.at(-1)!)
  }

  async bundle(index: number, width: number): Promise<Uint8Array> {
    return formatBundle(await this.#entries.range(index * TILE_WIDTH, index * TILE_WIDTH + width))
  }

  /** A copy has no tiles: they are what its entries give. */
  async tile(level: 0 | 1, index: number, width: number): Promise<Uint8Array> {
    const from = index * TILE_WIDTH
    if (level === 0) return concat(...(await this.#entries.range(from, from + width)).map(leafHash))
    const roots: Hash[] = []
    for (let bundle = from; bundle < from + width; bundle++) {
      const range = CompactRange.empty()
      const first = bundle * TILE_WIDTH
      for (const entry of await this.#entries.range(first, first + TILE_WIDTH)) range.append(leafHash(entry))
      roots.push(range.root())
    }
    return concat(...roots)
  }

  /** Undefined where the copy has none, or where its key was destroyed or is not here. */
  async addendum(_digest: Hash, index: number): Promise<Uint8Array | undefined> {
    if (!this.#documents.has(index)) return undefined
    const [[frame], [entry]] = await Promise.all([
      this.#documents.range(index, index + 1),
      this.#entries.range(index, index + 1),
    ])
    const leaf = this.#leaves?.(index, index + 1)[0]
    return openDocument(frame!, entry!, { origin: this.#manifest.origin, index, leaf })
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}

/** What stands in consecutive objects, one thing for each entry. */
class Held<Thing> {
  readonly #objects: readonly SnapshotObject[]
  readonly #read: (object: SnapshotObject) => Promise<readonly Thing[]>
  /** The last ones that were asked for, the newest last. */
  readonly #held = new Map<SnapshotObject, Promise<readonly Thing[]>>()

  constructor(objects: readonly SnapshotObject[], read: (object: SnapshotObject) => Promise<readonly Thing[]>) {
    this.#objects = objects
    this.#read = read
  }

  has(index: number): boolean {
    return this.#objects.some(({ from, to }) => from <= index && index < to)
  }

  /** Those of the entries [from, to). Throws UNVERIFIABLE where the copy has less. */
  async range(from: number, to: number): Promise<Thing[]> {
    const found: Thing[] = []
    for (const object of this.#objects) {
      if (object.to <= from || object.from >= to) continue
      const all = await this.#get(object)
      found.push(...all.slice(Math.max(0, from - object.from), Math.min(object.to, to) - object.from))
    }
    if (found.length === to - from) return found
    throw new TreelineError('UNVERIFIABLE', `the copy does not have the entries ${from} to ${to - 1}`)
  }

  #get(object: SnapshotObject): Promise<readonly Thing[]> {
    const things = this.#held.get(object) ?? this.#read(object)
    this.#held.delete(object)
    this.#held.set(object, things)
    for (const oldest of this.#held.keys()) if (this.#held.size > HELD) this.#held.delete(oldest)
    return things
  }
}
