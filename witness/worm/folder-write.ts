/** How a file comes into a folder: whole, read-only and with its time, or not at all. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, link, lstat, mkdir, open, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { toHex } from '../../src/core/bytes.ts'
import { canSeal, unseal } from './immutable.ts'
import { wholeSeconds } from './key.ts'

/** No key has a tilde, so nothing in it is ever taken for an object. In the folder itself, as a name can only be linked within one file system. */
const WRITING = '~writing'
/** Begins the name of a file on which an opened store tries whether it can make files immutable. */
const TRIAL = '~trial-'
const HOUR = 3_600_000

const hex = (): string => toHex(randomBytes(8))

/** Whether files in it can be made immutable by this user. Dies within: one empty file is left, and swept later. */
export const triesSeal = (root: string): Promise<boolean> => canSeal(join(root, TRIAL + hex()))

/** A file that is there already stays: the caller compares. Not yet durable under its name. */
export async function writeWhole(root: string, file: string, bytes: Uint8Array, until: number): Promise<void> {
  const temporary = join(root, WRITING, hex())
  await mkdir(dirname(temporary), { recursive: true })
  // Dies before `link`: the temporary name is left, and swept later.
  try {
    const handle = await open(temporary, 'wx', 0o444)
    try {
      await handle.writeFile(bytes)
      // What the process's umask took.
      await handle.chmod(0o444)
      await setTimes(handle, until)
      await handle.sync()
    } finally {
      await handle.close()
    }
    // Unlike rename, it replaces nothing: of two writers one gets EEXIST. Dies after: a second name of the same file is left.
    await link(temporary, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Both times of a file, ms since the Unix epoch. */
export async function setTimes(handle: FileHandle, until: number): Promise<void> {
  const seconds = wholeSeconds(until) / 1000
  await handle.utimes(seconds, seconds)
}

/** The names in a folder, and in those above it as far as `root`, are on the disk when it resolves. */
export async function syncUp(root: string, folder: string): Promise<void> {
  for (let path = folder; path.length >= root.length; path = dirname(path)) {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}

/** Removes what killed writers left, after an hour by the time that nobody can set: others may be writing. */
export async function sweep(root: string): Promise<void> {
  const old = async (file: string): Promise<boolean> => {
    const stats = await lstat(file).catch(() => undefined)
    return stats !== undefined && stats.ctimeMs < Date.now() - HOUR
  }
  const names = async (folder: string): Promise<string[]> => await readdir(folder).catch(() => [])
  for (const name of await names(join(root, WRITING))) {
    const file = join(root, WRITING, name)
    // Refused where it is a second name of a file that is immutable by now: that name stays, and does no harm.
    if (await old(file)) await rm(file).catch(() => {})
  }
  for (const name of await names(root)) {
    const file = join(root, name)
    if (!name.startsWith(TRIAL) || !(await old(file))) continue
    await unseal(file).catch(() => {})
    await rm(file).catch(() => {})
  }
}
