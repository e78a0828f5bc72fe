/** Files of keys and passphrases. Shared with the server in nothing, on purpose: an error in one must not blind the other. */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { TreelineError } from '../src/core/errors.ts'

/** Reads a file that only its owner may read. Throws USAGE when it is missing, unreadable, or open to others. */
export function readSecretFile(file: string): Buffer {
  let handle: number
  try {
    handle = openSync(file, constants.O_RDONLY)
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read by this user'
    throw new TreelineError('USAGE', `the secret file ${file} ${why}`, {}, { cause: error })
  }
  try {
    // Of the open file, not of its name, which may be another by now.
    const mode = fstatSync(handle).mode & 0o777
    if ((mode & 0o077) !== 0) {
      throw new TreelineError(
        'USAGE',
        `others can read the secret file ${file} (mode ${mode.toString(8)}): chmod 600 it`,
      )
    }
    return readFileSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Writes a new file durably, for its owner alone or with `mode`. Throws when it exists. */
export function writeNewFile(file: string, content: string | Uint8Array, mode = 0o600): void {
  const handle = openSync(file, 'wx', mode)
  try {
    writeFileSync(handle, content)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** A file's content, or a folder's names, are on the disk when it returns. */
export function syncPath(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
