import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { TreelineError } from '../core/errors.ts'

/** Reads a file that only its owner may read. Throws USAGE when it is missing, unreadable, or open to others. */
export function readSecretFile(file: string): string {
  let handle: number | undefined
  try {
    handle = openSync(file, constants.O_RDONLY)
    const mode = fstatSync(handle).mode & 0o777
    if ((mode & 0o077) !== 0)
      throw new TreelineError('USAGE', `the file ${file} is open to others (mode ${mode.toString(8)}): chmod 600 it`)
    return readFileSync(handle, 'utf8')
  } catch (error) {
    if (error instanceof TreelineError) throw error
    throw new TreelineError(
      'USAGE',
      `the file ${file} cannot be read: ${(error as Error).message}`,
      {},
      { cause: error },
    )
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** Writes a file that is not there yet, durably. Throws USAGE. */
export function writeNewFile(file: string, content: string, mode: number): void {
  let handle: number | undefined
  try {
    handle = openSync(file, 'wx', mode)
    writeFileSync(handle, content)
    fsyncSync(handle)
  } catch (error) {
    throw new TreelineError('USAGE', `${file} cannot be written: ${(error as Error).message}`, {}, { cause: error })
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}
