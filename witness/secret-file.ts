/** Files for the witness alone. Written again here and not shared with the log: a bug in one must not blind the other. */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { TreelineError } from '../src/core/errors.ts'

/** Throws USAGE when it is missing, unreadable, or open to others. */
export function readSecretFile(file: string): Buffer {
  let handle: number
  try {
    handle = openSync(file, constants.O_RDONLY)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'does not exist' : 'cannot be read by this user'
    throw new TreelineError('USAGE', `the key file ${file} ${why}`, {}, { cause: error })
  }
  try {
    const mode = fstatSync(handle).mode & 0o777
    if ((mode & 0o077) === 0) return readFileSync(handle)
    throw new TreelineError('USAGE', `the key file ${file} is open to others (mode ${mode.toString(8)}): chmod 600 it`)
  } finally {
    closeSync(handle)
  }
}

/** A new file with mode 0600, durable in its folder when it returns. Throws when it exists. */
export function writeSecretFile(file: string, content: string | Uint8Array): void {
  const handle = openSync(file, 'wx', 0o600)
  try {
    writeFileSync(handle, content)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
