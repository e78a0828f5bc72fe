/**
 * A folder as write-once storage, weaker than S3: a file is read-only and, where this user may say so (`chattr +i`: root, on ext4, XFS
 * or Btrfs), immutable, so that no program changes or removes it by mistake. An administrator can undo both. The end of retention is
 * the time of the file: file systems with write-once of their own take the access time of a file without write bits for it, so both
 * times are set; read is the modification time, which reading does not move.
 */
import { randomBytes } from 'node:crypto'
import { constants, type Dirent, type Stats } from 'node:fs'
import { type FileHandle, link, lstat, mkdir, open, readdir, realpath, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { equal, toHex } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { canSeal, isSealed, seal, unseal } from './immutable.ts'
import { checkKey, checkSize, isKey, wholeSeconds } from './key.ts'
import { probeFolder } from './probe-folder.ts'
import { type Lock, MAX_OBJECT_SIZE, type ObjectVersion, type WormStore } from './store.ts'

/** No key has a tilde, so nothing in it is ever taken for an object. */
const WRITING = '~writing'
/** Files on which an opened store tries whether it can make them immutable. */
const TRIAL = '~trial-'
const HOUR = 3_600_000
const READ = constants.O_RDONLY | constants.O_NOFOLLOW

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
    return new FolderStore(root, device, await canSeal(join(root, TRIAL + hex())))
  }

  async put(key: string, bytes: Uint8Array, until: number): Promise<ObjectVersion> {
    checkKey(key)
    checkSize(key, bytes.length, MAX_OBJECT_SIZE)
    const object = { key, version: '1' }
    const file = join(this.#root, key)
    await this.#answer(key, async () => {
      await mkdir(dirname(file), { recursive: true })
      await this.#direct(key)
      if ((await lstat(file).catch(() => undefined)) === undefined) await this.#write(file, bytes, until)
      // Also of a file found: who wrote it may have died before this.
      for (let folder = dirname(file); folder.length >= this.#root.length; folder = dirname(folder)) await sync(folder)
    })
    if (!equal(await this.get(object), bytes))
      throw new TreelineError('WORM_BROKEN', `${key} is there with other bytes`)
    await this.extend(object, until)
    return object
  }

  /** The file appears whole, read-only and with its time, or not at all. Dies before `link`: the temporary name is left, and swept later. */
  async #write(file: string, bytes: Uint8Array, until: number): Promise<void> {
    await this.#sweep()
    const temporary = join(this.#root, WRITING, hex())
    const handle = await open(temporary, 'wx', 0o444)
    try {
      await handle.writeFile(bytes)
      await handle.chmod(0o444)
      await setTimes(handle, until)
      await handle.sync()
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    } finally {
      await handle.close()
    }
    try {
      // Unlike rename, it replaces nothing: of two writers one gets EEXIST, and compares. Dies after: a second, harmless name is left.
      await link(temporary, file)
    } catch (error) {
      if (code(error) !== 'EEXIST') throw error
    } finally {
      await rm(temporary)
    }
    // Dies here: the file is not yet immutable, which the next put or extend of it makes good.
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

  async extend(object: ObjectVersion, until: number): Promise<void> {
    const { lock, sealed } = await this.#lock(object)
    if (lock.until < until || (this.#seals && !sealed)) {
      await this.#answer(object.key, async () => {
        const file = join(this.#root, object.key)
        if (sealed) await unseal(file)
        // Dies from here to the end: read-only, of the old or the new time, and not immutable until it is extended again.
        const handle = await open(file, READ)
        try {
          await setTimes(handle, Math.max(until, lock.until))
          await handle.sync()
        } finally {
          await handle.close()
        }
        if (this.#seals) await seal(file)
      })
    }
    const now = await this.lockOf(object)
    if (now.until < until)
      throw new TreelineError('WORM_BROKEN', `the file system keeps no such time for ${object.key}`)
  }

  async #lock({ key, version }: ObjectVersion): Promise<{ lock: Lock; sealed: boolean }> {
    checkKey(key)
    return await this.#answer(key, async () => {
      if (version !== '1') throw gone(key)
      await this.#direct(key)
      const file = join(this.#root, key)
      const { mode, mtimeMs } = regular(key, await lstat(file))
      if ((mode & 0o222) !== 0) throw new TreelineError('WORM_BROKEN', `${key} is not read-only any more`)
      // A time may be read back with a fraction that was never set.
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

  /** Once, before the first write: names that killed writers left. An hour, by the time that nobody can set: others may be writing. */
  async #sweep(): Promise<void> {
    if (this.#swept) return
    const folder = join(this.#root, WRITING)
    await mkdir(folder, { recursive: true })
    const isOld = async (file: string): Promise<boolean> => {
      const stats = await lstat(file).catch(() => undefined)
      return stats !== undefined && stats.ctimeMs < Date.now() - HOUR
    }
    // Refused where it is a second name of a file that is immutable by now.
    for (const name of await readdir(folder)) {
      if (await isOld(join(folder, name))) await rm(join(folder, name)).catch(() => {})
    }
    for (const name of await readdir(this.#root)) {
      const file = join(this.#root, name)
      if (!name.startsWith(TRIAL) || !(await isOld(file))) continue
      await unseal(file).catch(() => {})
      await rm(file).catch(() => {})
    }
    this.#swept = true
  }

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

const hex = (): string => toHex(randomBytes(8))
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

/** Both, see above. */
async function setTimes(handle: FileHandle, until: number): Promise<void> {
  const seconds = wholeSeconds(until) / 1000
  await handle.utimes(seconds, seconds)
}

/** A folder's names are on the disk when it resolves. */
async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
