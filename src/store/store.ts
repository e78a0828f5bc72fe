/** What a log needs of its storage. Promises, so that an engine over the network can follow SQLite. */
import type { Hash } from '../core/merkle.ts'
import type { FullTile } from '../core/tree.ts'

export interface Head {
  readonly size: number
  readonly root: Hash
  /** Key 2 of the last entry, ms since the Unix epoch; 0 in an empty or raw log. */
  readonly time: number
}

/** Everything that becomes durable at once. */
export interface Commit {
  /** The size of the log before it; another size there is a second writer, and fails the commit. */
  readonly from: number
  readonly entries: readonly Uint8Array[]
  /** Their leaf hashes, where the caller has them. */
  readonly leaves?: readonly Hash[]
  readonly addenda: readonly { readonly index: number; readonly bytes: Uint8Array }[]
  /** Indexes whose addenda are to be erased, by the redaction entry at `by`. */
  readonly redactions: readonly { readonly index: number; readonly by: number }[]
  /** Indexes of the entries that carry a write policy. */
  readonly policies: readonly number[]
  readonly tiles: readonly FullTile[]
  readonly head: Head
}

/** A full tile, each of both in as many pieces as the store has them in: joined by whoever needs it. */
export interface StoredTile {
  readonly hashes: readonly Uint8Array[]
  readonly nodes: readonly Uint8Array[]
}

/** A checkpoint that everybody could read, with a full quorum of witnesses. */
export interface WitnessedCheckpoint {
  readonly size: number
  /** When it was published, ms since the Unix epoch. */
  readonly time: number
  /** Signed note. */
  readonly note: string
}

/** What a log needs to be read. */
export interface ReadStore {
  readonly origin: string
  readonly profile: string
  /** Whether it was made from a copy: then it never signs, and no commit succeeds once it is complete. */
  readonly restored: boolean
  /** How commits reach the disk, read back from the engine. */
  readonly durability: string
  head(): Promise<Head>
  /** Entries [from, to) of those that are there. */
  entries(from: number, to: number): Promise<Uint8Array[]>
  entry(index: number): Promise<Uint8Array | undefined>
  /** The first `width` entries of bundle `index`, framed as C2SP does. */
  bundle(index: number, width: number): Promise<Uint8Array>
  /** A full tile, or undefined. */
  tile(level: number, index: number): Promise<StoredTile | undefined>
  addendum(index: number): Promise<Uint8Array | undefined>
  /** Indexes of all entries whose key 7 is `digest`, ascending. None in a raw log. */
  findAddendum(digest: Uint8Array): Promise<readonly number[]>
  /** The first index with this leaf hash. */
  findLeaf(hash: Uint8Array): Promise<number | undefined>
  /** Indexes of the genesis and of every change of the write policy, ascending. */
  policies(): Promise<readonly number[]>
  /** The index of the redaction entry that names `index`, or undefined. */
  redactedBy(index: number): Promise<number | undefined>
  /** The first one kept whose size is above `index`. */
  checkpointCovering(index: number): Promise<WitnessedCheckpoint | undefined>
  /** The last one kept whose size is at most `index`. */
  checkpointBefore(index: number): Promise<WitnessedCheckpoint | undefined>
}

export interface Store extends ReadStore {
  /** Durable, power loss included, when it resolves. After a rejection nothing is known until the store is opened again. */
  commit(commit: Commit): Promise<void>
  /** Keeps it durably: all of the last day, and of each minute before that the first one. */
  keepCheckpoint(checkpoint: WitnessedCheckpoint): Promise<void>
  /** Whether no byte of the redacted addenda is left in rows, free pages or journal. May be false while a reader is open. */
  erase(): Promise<boolean>
  /** Has what a large log is asked for read ahead, or does nothing; resolves when it is, also when a part could not be read or the store closes. */
  warm(): Promise<void>
  /** A few milliseconds of work that no commit waits for; true when there is more. */
  maintain(): Promise<boolean>
  close(): Promise<void>
}
