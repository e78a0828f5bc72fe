import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { TreelineError } from '../core/errors.ts'

/** Reads a file that only its owner may read. Throws USAGE when it is missing, unreadable, or open to others. */
export function readSecretFile(file: string): Buffer {
  let handle: number
  try {
    handle = openSync(file, constants.O_RDONLY)
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be read by this user'
    throw new TreelineError('USAGE', `the key file ${file} ${why}`, {}, { cause: error })
  }
  try {
    const mode = fstatSync(handle).mode & 0o777
    if ((mode & 0o077) !== 0) {
      throw new TreelineError(
        'USAGE',
        `the key file ${file} is open to others (mode ${mode.toString(8)}): chmod 600 it`,
      )
    }
    return readFileSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Writes a new file with mode 0600, durably. Throws when it exists. */
export function writeSecretFile(file: string, content: string | Uint8Array): void {
  const handle = openSync(file, 'wx', 0o600)
  try {
    writeFileSync(handle, content)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
