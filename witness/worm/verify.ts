/**
 * Judges a copy in write-once storage: every object that the newest snapshot names is read back by its version, held against the manifest, its
 * lock looked at, and the root rebuilt from the entries. Goes on after what is wrong, so that the report names all of it.
 */

import { createHash } from 'node:crypto'
import { equal, toBase64 } from '../../src/core/bytes.ts'
import { parseCheckpoint, sizeOf } from '../../src/core/checkpoint.ts'
import { CompactRange } from '../../src/core/compact-range.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { type NoteSigner, type NoteVerifier, parseNote, signNote } from '../../src/core/note.ts'
import type { KeyStore } from '../seal/key-store.ts'
import { ABSENT, CLEAR } from './frames.ts'
import { type Manifest, PACK_WIDTH, type SnapshotObject } from './manifest.ts'
import { openDocument } from './open-document.ts'
import { type CopiedEntries, copiedEntries, findNewest, readObject } from './reader.ts'
import type { ObjectVersion, WormStore } from './store.ts'

export interface VerifyParts {
  readonly store: WormStore
  readonly origin: string
  /** Of the snapshot key. */
  readonly verifier: NoteVerifier
  /** Throws when the signed checkpoint in the snapshot is not one that the caller trusts. */
  readonly checkHead: (note: Uint8Array) => void
  /** Missing where payloads stay sealed. */
  readonly keys?: Pick<KeyStore, 'leaves'> | undefined
  /** ms since the Unix epoch. */
  readonly now: () => number
  readonly progress?: (done: number, total: number) => void
}

export interface SnapshotReport {
  readonly origin: string
  readonly store: string
  /** When it was verified, ms since the Unix epoch. */
  readonly time: number
  readonly size: number
  readonly root: string
  readonly manifest: ObjectVersion
  /** With the manifest. */
  readonly objects: number
  readonly bytes: number
  /** When the first lock ends, ms since the Unix epoch; null when no lock held. */
  readonly lockedUntil: number | null
  /** Documents: `clear` ones of policies and the like, `opened` with a key that is left, `erased` whose key is gone, `sealed` that nobody tried, and none. */
  readonly documents: Record<'clear' | 'opened' | 'erased' | 'sealed' | 'absent', number>
  /** Empty when the log can be rebuilt from this copy. */
  readonly problems: readonly string[]
}

/** Throws MALFORMED_SNAPSHOT when there is no snapshot of this origin; all else that is wrong is in the report. */
export async function verifySnapshot(parts: VerifyParts): Promise<SnapshotReport> {
  const { store, origin, verifier } = parts
  const snapshot = await findNewest(store, origin, verifier)
  if (snapshot === undefined)
    throw new TreelineError('MALFORMED_SNAPSHOT', `there is no snapshot of ${origin} signed by ${verifier.key.name}`)
  return new Verification(parts, snapshot.manifest, snapshot.at).run()
}

class Verification {
  readonly #parts: VerifyParts
  readonly #manifest: Manifest
  readonly #at: ObjectVersion
  readonly #problems: string[] = []
  readonly #documents = { clear: 0, opened: 0, erased: 0, sealed: 0, absent: 0 }
  readonly #seen = new Set<SnapshotObject>()
  #bytes = 0
  #lockedUntil: number | null = null

  constructor(parts: VerifyParts, manifest: Manifest, at: ObjectVersion) {
    this.#parts = parts
    this.#manifest = manifest
    this.#at = at
  }

  async run(): Promise<SnapshotReport> {
    const { store, origin, now } = this.#parts
    const { size, root, objects } = this.#manifest
    await this.#try('the manifest', () => this.#checkLock(this.#at, 0))
    await this.#try('the manifest', async () => this.#checkVersions(this.#at, sha256Of(await store.get(this.#at))))
    await this.#try('the tree', () => this.#rebuild())
    await this.#try('the checkpoint', () => this.#checkHead())
    // What the two above did not come to.
    for (const object of objects) if (!this.#seen.has(object)) await this.#try(object.key, () => this.#read(object))
    return {
      ...{ origin, store: store.description, time: now(), size, root: toBase64(root), manifest: this.#at },
      ...{ objects: objects.length + 1, bytes: this.#bytes, lockedUntil: this.#lockedUntil },
      ...{ documents: this.#documents, problems: this.#problems },
    }
  }

  async #try(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof TreelineError) || error.code === 'UNREACHABLE') throw error
      this.#problems.push(`${what}: ${error.message}`)
    }
  }

  /** An object's bytes, once its lock holds and it is the oldest version of its key. */
  readonly #read = async (object: SnapshotObject): Promise<Uint8Array> => {
    this.#seen.add(object)
    await this.#try(object.key, () => this.#checkLock(object, object.retainUntil))
    await this.#try(object.key, () => this.#checkVersions(object, object.sha256))
    const bytes = await readObject(this.#parts.store, object)
    this.#bytes += bytes.length
    this.#parts.progress?.(this.#seen.size, this.#manifest.objects.length)
    return bytes
  }

  async #checkLock(object: ObjectVersion, promised: number): Promise<void> {
    const { store, now } = this.#parts
    const broken = (why: string) => new TreelineError('WORM_BROKEN', why)
    const { mode, until } = await store.lockOf(object)
    if (mode !== 'COMPLIANCE') throw broken(`its lock is ${mode}, which can be lifted`)
    if (until < promised) throw broken(`its lock ends before the time in the manifest`)
    if (until <= now()) throw broken('its lock has ended')
    this.#lockedUntil = Math.min(this.#lockedUntil ?? until, until)
  }

  /** Nothing else under its key: of two versions the older is the truth, and a younger one was written to be taken for it. */
  async #checkVersions(object: ObjectVersion, sha256: string): Promise<void> {
    const { store } = this.#parts
    let first: ObjectVersion | undefined
    for await (const other of store.list(object.key)) {
      // Of all keys that begin with this one it is the first.
      if (other.key !== object.key) break
      first ??= other
      if (other.version === object.version) continue
      if (first === other)
        throw new TreelineError('WORM_BROKEN', `version ${other.version} is older than the one named`)
      if (sha256Of(await store.get(other)) !== sha256)
        throw new TreelineError('WORM_BROKEN', `version ${other.version} of it has other bytes`)
    }
  }

  async #rebuild(): Promise<void> {
    const { size, root, packs } = this.#manifest
    const range = CompactRange.empty()
    let pack = CompactRange.empty()
    for await (const copied of copiedEntries(this.#manifest, this.#read)) {
      const leaves = copied.entries.map(leafHash)
      for (const leaf of leaves) {
        range.append(leaf)
        pack.append(leaf)
        if (pack.size < PACK_WIDTH) continue
        const known = packs[range.size / PACK_WIDTH - 1]!
        if (!equal(pack.root(), known)) this.#problems.push(`the entries of pack ${range.size / PACK_WIDTH - 1}`)
        pack = CompactRange.empty()
      }
      this.#openDocuments(copied)
    }
    if (!equal(range.root(), root))
      throw new TreelineError('INVALID_LOG', `the entries do not give the root of size ${size}`)
  }

  #openDocuments({ from, entries, documents }: CopiedEntries): void {
    const { keys, origin } = this.#parts
    const secrets = keys?.leaves(origin, from, from + entries.length)
    documents.forEach((frame, i) => {
      try {
        const opened = openDocument(frame, entries[i]!, { origin, index: from + i, leaf: secrets?.[i] })
        if (frame.kind === ABSENT) this.#documents.absent++
        else if (opened === undefined) this.#documents[secrets === undefined ? 'sealed' : 'erased']++
        else this.#documents[frame.kind === CLEAR ? 'clear' : 'opened']++
      } catch (error) {
        if (!(error instanceof TreelineError)) throw error
        this.#problems.push(`the document of entry ${from + i}: ${error.message}`)
      }
    })
  }

  async #checkHead(): Promise<void> {
    const { origin, size, root, objects } = this.#manifest
    const note = await this.#read(objects.at(-1)!)
    const head = parseCheckpoint(parseNote(note).text)
    if (head.origin !== origin || sizeOf(head) !== size || !equal(head.root, root))
      throw new TreelineError('INVALID_LOG', 'it is of another tree than the manifest')
    this.#parts.checkHead(note)
  }
}

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** The report as a note: JSON, one member a line. */
export const signReport = (report: SnapshotReport, signer: NoteSigner): string =>
  signNote(`${JSON.stringify({ format: 'urn:treeline:snapshot-report:v1', ...report }, null, 1)}\n`, [signer])
