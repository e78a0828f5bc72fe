/**
 * A folder as write-once storage, weaker than S3: a file is read-only and, where this user may say so (`chattr +i`: root, on ext4, XFS
 * or Btrfs), immutable, so that no program changes or removes it by mistake. An administrator can undo both. The end of retention is
 * the time of the file: file systems with write-once of their own take the access time of a file without write bits for it, so both
 * times are set; read is the modification time, which reading does not move.
 */
import { constants, type Dirent, type Stats } from 'node:fs'
import { lstat, mkdir, open, readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { equal } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { setTimes, sweep, syncUp, triesSeal, writeWhole } from './folder-write.ts'
import { isSealed, seal, unseal } from './immutable.ts'
import { checkKey, checkSize, isKey } from './key.ts'
import { probeFolder } from './probe-folder.ts'
import { type Lock, MAX_OBJECT_SIZE, type ObjectVersion, type WormStore } from './store.ts'

/** Opening a pipe, which somebody may have put there, would wait for its writer. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export class FolderStore implements WormStore {
  readonly description: string
  readonly #root: string
  readonly #device: Stats
  readonly #seals: boolean
  #swept = false

  private constructor(root: string, device: Stats, seals: boolean) {
    this.#root = root
    this.#device = device
    this.#seals = seals
    this.description = `${root} (${seals ? 'files are immutable' : 'files are only read-only, not locked'})`
  }

  /** Throws USAGE when there is no such folder. */
  static async open(path: string): Promise<FolderStore> {
    const device = await stat(path).catch(() => undefined)
    if (device?.isDirectory() !== true) throw new TreelineError('USAGE', `no such folder: ${path}`)
    const root = await realpath(path)
    return new FolderStore(root, device, await triesSeal(root))
  }

  async put(key: string, bytes: Uint8Array, until: number): Promise<ObjectVersion> {
    checkKey(key)
    checkSize(key, bytes.length, MAX_OBJECT_SIZE)
    const object = { key, version: '1' }
    const file = join(this.#root, key)
    await this.#answer(key, async () => {
      if (!this.#swept) await sweep(this.#root)
      this.#swept = true
      await mkdir(dirname(file), { recursive: true })
      await this.#direct(key)
      const found = await lstat(file).catch(() => undefined)
      if (found === undefined) await writeWhole(this.#root, file, bytes, until)
      // Also of a file that was there: who wrote it may have died before this.
      await syncUp(this.#root, dirname(file))
    })
    // Dies before its end: the file is not yet immutable, which the next put or extend of it makes good.
    const stored = await this.get(object)
    if (!equal(stored, bytes)) throw new TreelineError('WORM_BROKEN', `${key} is there with other bytes`)
    await this.extend(object, until)
    return object
  }

  async get({ key, version }: ObjectVersion): Promise<Uint8Array> {
    checkKey(key)
    return await this.#answer(key, async () => {
      if (version !== '1') throw gone(key)
      await this.#direct(key)
      const handle = await open(join(this.#root, key), READ)
      try {
        const { size } = regular(key, await handle.stat())
        if (size > MAX_OBJECT_SIZE) throw new TreelineError('WORM_BROKEN', `${key} has ${size} bytes`)
        return await handle.readFile()
      } finally {
        await handle.close()
      }
    })
  }

  /** The mode says COMPLIANCE of a read-only file, which is also immutable where this user can make it so; see above for its worth. */
  async lockOf(object: ObjectVersion): Promise<Lock> {
    const { lock, sealed } = await this.#lock(object)
    if (this.#seals && !sealed) throw new TreelineError('WORM_BROKEN', `${object.key} is not immutable any more`)
    return lock
  }

  /** Of two that lengthen the lock of one object at once, one may fail, and has to try again. */
  async extend(object: ObjectVersion, until: number): Promise<void> {
    const { lock, sealed } = await this.#lock(object)
    const short = lock.until < until
    if (short || (this.#seals && !sealed)) {
      await this.#answer(object.key, async () => {
        const file = join(this.#root, object.key)
        if (short && sealed) await unseal(file)
        // Dies from here to the end: read-only, of the old or the new time, and not immutable until it is put or extended again.
        const handle = await open(file, READ)
        try {
          if (short) await setTimes(handle, until)
          // Also of a time that was there: who set it may have died before this.
          await handle.sync()
        } finally {
          await handle.close()
        }
        if (this.#seals) await seal(file)
      })
    }
    if ((await this.lockOf(object)).until >= until) return
    throw new TreelineError('WORM_BROKEN', `${object.key}: the file system keeps no time so late`)
  }

  async #lock({ key, version }: ObjectVersion): Promise<{ lock: Lock; sealed: boolean }> {
    checkKey(key)
    return await this.#answer(key, async () => {
      if (version !== '1') throw gone(key)
      await this.#direct(key)
      const file = join(this.#root, key)
      const { mode, mtimeMs } = regular(key, await lstat(file))
      if ((mode & 0o222) !== 0) throw new TreelineError('WORM_BROKEN', `${key} is not read-only any more`)
      return { lock: { mode: 'COMPLIANCE', until: Math.floor(mtimeMs / 1000) * 1000 }, sealed: await isSealed(file) }
    })
  }

  async *list(prefix: string, after = ''): AsyncIterable<ObjectVersion> {
    yield* this.#walk('', prefix, after)
  }

  /** One folder in memory at a time. A folder sorts as its keys do: `a-b` is before `a/b`, and `a/b` before `a0`. */
  async *#walk(folder: string, prefix: string, after: string): AsyncIterable<ObjectVersion> {
    const entries = await this.#answer(folder, () => readdir(join(this.#root, folder), { withFileTypes: true }))
    const names = entries.flatMap((entry) => keyOf(entry, folder)).sort((a, b) => (a < b ? -1 : 1))
    for (const name of names) {
      if (!name.endsWith('/')) {
        if (name.startsWith(prefix) && name > after) yield { key: name, version: '1' }
      } else if (name.startsWith(prefix) || prefix.startsWith(name)) {
        if (name > after || after.startsWith(name)) yield* this.#walk(name, prefix, after)
      }
    }
  }

  async probe(): Promise<void> {
    await this.#answer('the probe', () => probeFolder(this, this.#root, this.#seals))
  }

  async close(): Promise<void> {}

  /** No link on the way leads elsewhere. */
  async #direct(key: string): Promise<void> {
    const folder = dirname(join(this.#root, key))
    if ((await realpath(folder)) !== folder) throw new TreelineError('WORM_BROKEN', `${key} is behind a symbolic link`)
  }

  /** What the file system says, as an answer: a file that is missing is WORM_BROKEN only in the very folder that was opened. */
  async #answer<T>(key: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof TreelineError || code(error) === undefined) throw error
      const root = await stat(this.#root).catch(() => undefined)
      if (root?.dev !== this.#device.dev || root.ino !== this.#device.ino) {
        throw new TreelineError('UNREACHABLE', `the folder ${this.#root} is not there any more`, {}, { cause: error })
      }
      if (code(error) === 'ENOENT' || code(error) === 'ENOTDIR') throw gone(key)
      if (code(error) === 'ELOOP') throw new TreelineError('WORM_BROKEN', `${key} is a symbolic link`)
      throw new TreelineError('STORAGE_FAILED', `${key}: ${(error as Error).message}`, {}, { cause: error })
    }
  }
}

const code = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code
const gone = (key: string): TreelineError => new TreelineError('WORM_BROKEN', `${key} is gone`)

function regular(key: string, stats: Stats): Stats {
  if (!stats.isFile()) throw new TreelineError('WORM_BROKEN', `${key} is not a file`)
  return stats
}

/** The key of a file, the prefix of a folder's keys, or nothing for what no `put` has made. */
function keyOf(entry: Dirent, folder: string): string[] {
  const key = folder + entry.name
  if (!isKey(key)) return []
  return entry.isFile() ? [key] : entry.isDirectory() ? [`${key}/`] : []
}
