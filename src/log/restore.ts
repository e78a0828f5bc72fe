/** Makes a restored log from the entries of a copy, wherever that is read from. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { addendumHash, blinding, splitAddendum } from '../core/addendum.ts'
import { equal, toUtf8 } from '../core/bytes.ts'
import { parseCheckpoint, sizeOf } from '../core/checkpoint.ts'
import { ed25519NoteVerifier } from '../core/ed25519.ts'
import { BATCH, decodeEntry, type Entry, EVENT, GENESIS, POLICY, REDACTION } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { leafHash } from '../core/merkle.ts'
import { parseNote, verifyNote } from '../core/note.ts'
import { Tree } from '../core/tree.ts'
import { parseVkey } from '../core/vkey.ts'
import { checkLogName, logFiles } from '../store/folder.ts'
import { writeSecretFile } from '../store/secret-file.ts'
import { createStore, SqliteStore } from '../store/sqlite.ts'
import { syncPath } from '../store/sync-path.ts'
import { nativeVerify } from './native-verify.ts'
import { foldPolicies } from './policies.ts'

/** Entries and bytes of one transaction. */
const STEP_ENTRIES = 1_024
const STEP_BYTES = 16 * 2 ** 20

/** An entry, and the document behind it (its addendum) where the copy has it. */
export interface CopiedEntry {
  readonly entry: Uint8Array
  readonly document?: Uint8Array
}

export interface RestoreParts {
  /** The data folder; whoever calls holds its lock. */
  readonly data: string
  readonly name: string
  /** Of the lost log. */
  readonly vkey: string
  readonly profile: 'events' | 'raw'
  /** The signed note of the largest tree that witnesses have cosigned. Their cosignatures are for the caller to judge. */
  readonly checkpoint: string
  /** The secret that the lost log blinded addenda with. Without it the log cannot say whether it has an event that is sent again. */
  readonly blinding?: Uint8Array
  /** From index 0 on, in order. Not read past the size of the checkpoint. */
  readonly entries: AsyncIterable<CopiedEntry>
  /** Told after each transaction. */
  readonly onProgress?: (done: number, size: number) => void
}

export interface Restored {
  readonly size: number
  readonly root: Uint8Array
  /** Events whose document is not in the copy although no redaction names them. */
  readonly missing: number
}

/**
 * Makes DATA/logs/NAME, complete and proved to be what the checkpoint says, or nothing. A crash leaves DATA/logs/NAME.restoring, which is no log to
 * anyone and is removed by the next attempt. Throws USAGE for a name that is taken, and for a checkpoint or a blinding key that is not of this
 * log; INVALID_LOG when the copy is not what the checkpoint covers.
 */
export async function createRestored(parts: RestoreParts): Promise<Restored> {
  const { data, name, profile } = parts
  checkLogName(name)
  const final = logFiles(data, name)
  if (existsSync(final.folder)) throw new TreelineError('USAGE', `${final.folder} exists already`)
  const target = targetOf(parts)
  const files = logFiles(data, `${name}.restoring`)
  rmSync(files.folder, { recursive: true, force: true })
  mkdirSync(files.folder, { recursive: true, mode: 0o700 })
  try {
    createStore(files.database, target.origin, profile, { restored: true })
    const store = SqliteStore.open(files.database)
    let restored: Restored
    try {
      restored = await fill(store, parts, target)
    } finally {
      await store.close()
    }
    if (parts.blinding !== undefined) writeSecretFile(files.blinding, parts.blinding)
    writeFileSync(files.vkey, `${parts.vkey}\n`)
    writeFileSync(files.published, parts.checkpoint)
    for (const path of [files.database, files.vkey, files.published, files.folder]) syncPath(path)
    renameSync(files.folder, final.folder)
    syncPath(dirname(final.folder))
    return restored
  } catch (error) {
    rmSync(files.folder, { recursive: true, force: true })
    throw error
  }
}

interface Target {
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
}

function targetOf({ vkey, checkpoint }: RestoreParts): Target {
  try {
    const key = parseVkey(vkey)
    const note = parseNote(toUtf8(checkpoint))
    verifyNote(note, [ed25519NoteVerifier(key)])
    const { origin, root, ...rest } = parseCheckpoint(note.text)
    if (origin !== key.name) throw new TreelineError('UNVERIFIED_NOTE', `it is of ${origin}`)
    return { origin, root, size: sizeOf({ origin, root, ...rest }) }
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError(
      'USAGE',
      `the checkpoint is not one that ${vkey} has signed: ${error.message}`,
      {},
      { cause: error },
    )
  }
}

/** What one transaction takes. */
class Batch {
  readonly from: number
  readonly entries: Uint8Array[] = []
  readonly documents = new Map<number, Uint8Array>()
  readonly redactions = new Map<number, number>()
  readonly policies: number[] = []
  bytes = 0

  constructor(from: number) {
    this.from = from
  }

  get next(): number {
    return this.from + this.entries.length
  }
}

async function fill(store: SqliteStore, parts: RestoreParts, { size, root }: Target): Promise<Restored> {
  const { profile, entries, onProgress } = parts
  let tree = Tree.empty
  let time = 0
  let missing = 0
  let batch = new Batch(0)
  // One transaction of the path that a log appends by. Dies before or after: the folder is not a log yet.
  const flush = async (): Promise<void> => {
    const next = tree.append(batch.entries.map(leafHash))
    await store.commit({
      from: batch.from,
      entries: batch.entries,
      addenda: [...batch.documents].map(([index, bytes]) => ({ index, bytes })),
      redactions: [...batch.redactions].map(([index, by]) => ({ index, by })),
      policies: batch.policies,
      tiles: next.full,
      head: { size: next.tree.size, root: next.tree.root, time },
    })
    tree = next.tree
    batch = new Batch(tree.size)
    // Otherwise the digests of the whole log would gather in memory.
    while (await store.maintain());
    onProgress?.(tree.size, size)
  }
  const secret = new SecretCheck(parts.blinding)
  for await (const { entry: bytes, document } of upTo(entries, size)) {
    const index = batch.next
    if (profile === 'events') {
      const entry = decode(bytes, index)
      time = entry.time
      secret.check(entry, document)
      if (!take(batch, index, entry, document)) missing++
      if (entry.kind === REDACTION) missing -= await redact(store, batch, index, entry.indexes)
    }
    batch.entries.push(bytes)
    batch.bytes += bytes.length + (document?.length ?? 0)
    if (batch.entries.length === STEP_ENTRIES || batch.bytes >= STEP_BYTES) await flush()
  }
  if (batch.entries.length > 0) await flush()
  if (tree.size < size)
    throw new TreelineError('INVALID_LOG', `the copy ends after ${tree.size} of the ${size} entries of the checkpoint`)
  if (!equal(tree.root, root))
    throw new TreelineError('INVALID_LOG', `the entries of the copy do not give the root of the checkpoint at ${size}`)
  // What could not be served must not be there: a server opens all of its logs or none.
  if (profile === 'events') await foldPolicies(store, nativeVerify)
  await store.seal()
  if (!(await store.erase())) throw new Error('the journal could not be emptied: another process reads the folder')
  return { size, root, missing }
}

async function* upTo(entries: AsyncIterable<CopiedEntry>, size: number): AsyncGenerator<CopiedEntry> {
  if (size === 0) return
  let count = 0
  for await (const entry of entries) {
    yield entry
    if (++count === size) return
  }
}

function decode(bytes: Uint8Array, index: number): Entry {
  try {
    const entry = decodeEntry(bytes)
    if ((entry.kind === GENESIS) === (index === 0)) return entry
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
  }
  throw new TreelineError('INVALID_LOG', `entry ${index} of the copy is not one of an events log`)
}

/** False when the document of an event, or of a batch, is not there. Throws INVALID_LOG for a wrong one, and for a policy without. */
function take(batch: Batch, index: number, entry: Entry, document: Uint8Array | undefined): boolean {
  const isPolicy = entry.kind === GENESIS || entry.kind === POLICY
  if (isPolicy) batch.policies.push(index)
  if (document === undefined) {
    if (isPolicy) throw new TreelineError('INVALID_LOG', `the copy lacks the write policy at ${index}`)
    return entry.kind !== EVENT && entry.kind !== BATCH
  }
  if (!equal(addendumHash(document), entry.addendum))
    throw new TreelineError('INVALID_LOG', `the document of entry ${index} in the copy is not the one it commits to`)
  batch.documents.set(index, document)
  return true
}

/** Marks what a redaction names, and erases it where the copy still had it. How many of them had no document. */
async function redact(store: SqliteStore, batch: Batch, by: number, indexes: readonly number[]): Promise<number> {
  let without = 0
  for (const index of indexes) {
    if (index >= by || batch.redactions.has(index) || (await store.redactedBy(index)) !== undefined) continue
    batch.redactions.set(index, by)
    if (!batch.documents.has(index) && (await store.addendum(index)) === undefined) without++
  }
  return without
}

/** One event is enough to see that a blinding key is of another log; duplicates would pass unseen under it. */
class SecretCheck {
  #secret: Uint8Array | undefined

  constructor(secret: Uint8Array | undefined) {
    this.#secret = secret
  }

  check(entry: Entry, document: Uint8Array | undefined): void {
    if (this.#secret === undefined || document === undefined || entry.kind !== EVENT || entry.batch !== undefined)
      return
    const { salt, document: canonical } = splitAddendum(document)
    if (!equal(blinding(this.#secret, canonical), salt))
      throw new TreelineError('USAGE', 'the blinding key is not the one of this log')
    this.#secret = undefined
  }
}
