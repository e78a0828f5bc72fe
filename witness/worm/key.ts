/** Names of objects: what both a file system and an S3 server take as it is, without escaping. */
import { TreelineError } from '../../src/core/errors.ts'

const SEGMENT = /^[A-Za-z0-9._-]{1,200}$/
const MAX_LENGTH = 500

/** Objects below it belong to `probe` and to nothing else: whoever lists a store passes them over. */
export const PROBES = 'probe/'

/** Segments of [A-Za-z0-9._-] between single slashes, none of them `.` or `..`: no key leads out of a folder. */
export function isKey(text: string): boolean {
  return (
    text.length <= MAX_LENGTH &&
    text.split('/').every((segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..')
  )
}

/** Throws USAGE. */
export function checkKey(key: string): void {
  if (!isKey(key)) throw new TreelineError('USAGE', `not a key of write-once storage: ${JSON.stringify(key)}`)
}

/** Throws USAGE when an object is longer than a reader would take. */
export function checkSize(key: string, length: number, most: number): void {
  if (length > most) throw new TreelineError('USAGE', `${key}: ${length} bytes, and an object has at most ${most}`)
}

/** ms since the Unix epoch, rounded up to whole seconds: all that S3 and the older file systems keep. */
export const wholeSeconds = (ms: number): number => Math.ceil(ms / 1000) * 1000
