/**
 * Write-once storage as a snapshot needs it: an object is written once under a key that names its content, stays as it was written until
 * its retention ends, and is addressed by key and version from then on.
 */

/** One version of an object. */
export interface ObjectVersion {
  readonly key: string
  /** The store's own name of it; of a folder, which has one version of each file, the text `1`. */
  readonly version: string
}

/** What keeps a version from being deleted or changed. */
export interface Lock {
  /** COMPLIANCE: nobody may delete or shorten, whatever their rights; anything else is no lock for a snapshot. */
  readonly mode: string
  /** ms since the Unix epoch, whole seconds. */
  readonly until: number
}

/** How long one object may be, bytes: what a reader is ready to hold in memory. */
export const MAX_OBJECT_SIZE = 128 * 2 ** 20

/**
 * Every method throws UNREACHABLE when the store does not answer, or not as its protocol says: to be tried again; USAGE when it is asked
 * wrongly: a bad key, no rights, no such bucket; STORAGE_FAILED when a folder's disk is full or broken. WORM_BROKEN is thrown where
 * the store answers and does not keep what it promised: bytes, lock or the number of versions are not what was written. Times are ms
 * since the Unix epoch; the end of a lock is rounded up to whole seconds.
 */
export interface WormStore {
  /** For people: `s3://bucket/prefix`, or the path of a folder and whether its files are immutable. */
  readonly description: string

  /**
   * Writes an object locked until `until`, reads back bytes and lock by version, and returns that version. A key that is there
   * already with these bytes is not written again: its oldest version is returned, its lock extended when it ends before. Throws
   * WORM_BROKEN when a version has other bytes.
   */
  put(key: string, bytes: Uint8Array, until: number): Promise<ObjectVersion>

  /** Throws WORM_BROKEN when this version is gone or is longer than MAX_OBJECT_SIZE. */
  get(object: ObjectVersion): Promise<Uint8Array>

  /** Throws WORM_BROKEN when this version is gone or has no lock. */
  lockOf(object: ObjectVersion): Promise<Lock>

  /** Locks until `until`, or longer when it was; reads the lock back. Throws WORM_BROKEN when it ends before. */
  extend(object: ObjectVersion, until: number): Promise<void>

  /**
   * Every version whose key begins with `prefix` and is greater than `after`, by ascending key; versions of one key oldest first.
   * Those below `probe/` are of `probe`.
   */
  list(prefix: string, after?: string): AsyncIterable<ObjectVersion>

  /**
   * Shows on an object of its own, locked for a day, that the store refuses what it must: delete, shorten, downgrade, and each with
   * the rights to bypass. Throws WORM_BROKEN, and names the step that the store let pass.
   */
  probe(): Promise<void>

  close(): Promise<void>
}
