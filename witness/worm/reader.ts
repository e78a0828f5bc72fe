/** Snapshots as whoever restores or verifies reads them: nothing in the store is believed but what the snapshot key signed. */
import { createHash } from 'node:crypto'
import { TreelineError } from '../../src/core/errors.ts'
import type { NoteVerifier } from '../../src/core/note.ts'
import { type DocumentFrame, NOTHING, parseDocumentFrames, parseEntryFrames } from './frames.ts'
import { type Manifest, openManifest, type SnapshotObject, snapshotFolder, snapshotPrefix } from './manifest.ts'
import type { ObjectVersion, WormStore } from './store.ts'

export interface Snapshot {
  readonly manifest: Manifest
  /** Of the manifest. */
  readonly at: ObjectVersion
}

/**
 * The largest snapshot of an origin, undefined when there is none. With `known`, an earlier one by size and manifest, only later ones are looked
 * for beside it. Throws WORM_BROKEN and UNREACHABLE, and what is wrong with the known one.
 */
export async function findNewest(
  store: WormStore,
  origin: string,
  verifier: NoteVerifier,
  known?: ObjectVersion & { readonly size: number },
): Promise<Snapshot | undefined> {
  const open = async ({ key, version }: ObjectVersion): Promise<Snapshot> => {
    const at = { key, version }
    return { at, manifest: openManifest(await store.get(at), origin, verifier) }
  }
  const manifests: ObjectVersion[] = []
  for await (const at of store.list(snapshotPrefix(origin), known && `${snapshotFolder(origin, known.size)}~`))
    if (at.key.endsWith('-manifest')) manifests.push(at)
  // Their keys ascend by size.
  for (const at of manifests.reverse()) {
    const found = await open(at).catch(notOurs)
    if (found !== undefined && at.key.startsWith(snapshotFolder(origin, found.manifest.size))) return found
  }
  return known && open(known)
}

/** Others may write into a store, and sign nothing with this key. */
function notOurs(error: unknown): undefined {
  if (error instanceof TreelineError && /^(UNVERIFIED_NOTE|MALFORMED_)/.test(error.code)) return undefined
  throw error
}

/** The bytes of an object. Throws WORM_BROKEN when they are not those of the manifest. */
export async function readObject(store: WormStore, object: SnapshotObject): Promise<Uint8Array> {
  const bytes = await store.get(object)
  if (bytes.length !== object.length || createHash('sha256').update(bytes).digest('hex') !== object.sha256)
    throw new TreelineError('WORM_BROKEN', `${object.key} has other bytes than its manifest says`)
  return bytes
}

/** Entries of one object, as far as their documents are in one object too. */
export interface CopiedEntries {
  readonly from: number
  readonly entries: readonly Uint8Array[]
  /** One for each entry; NOTHING where the snapshot has no documents. */
  readonly documents: readonly DocumentFrame[]
}

/** All entries in order. Throws what `read` does, and MALFORMED_SNAPSHOT. */
export async function* copiedEntries(
  { objects }: Manifest,
  read: (object: SnapshotObject) => Promise<Uint8Array>,
): AsyncGenerator<CopiedEntries> {
  const documents = objects.filter(({ kind }) => kind === 'documents')
  // At most one at a time: objects of documents and of entries end at different places.
  let open: { readonly object: SnapshotObject; readonly frames: readonly DocumentFrame[] } | undefined
  for (const object of objects) {
    if (object.kind !== 'entries') continue
    const { from, to } = object
    const entries = parseEntryFrames(await read(object), to - from)
    for (let at = from, end = at; at < to; at = end) {
      const other = documents.find((one) => one.to > at)
      // Cut wherever documents begin or end, so that what is yielded holds no more than two objects.
      end = Math.min(to, other === undefined ? to : other.from > at ? other.from : other.to)
      let frames = new Array<DocumentFrame>(end - at).fill(NOTHING)
      if (other !== undefined && other.from <= at) {
        if (open?.object !== other)
          open = { object: other, frames: parseDocumentFrames(await read(other), other.to - other.from) }
        frames = open.frames.slice(at - other.from, end - other.from)
      }
      yield { from: at, entries: entries.slice(at - from, end - from), documents: frames }
    }
  }
}
