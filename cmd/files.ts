import { readFileSync } from 'node:fs'
import { usage } from './cli.ts'

/** A file that a flag or an operand names; `what` it should be, for people. Throws USAGE when it cannot be read. */
export function readInput(file: string, what = ''): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file))
  } catch (error) {
    throw usage(`${what === '' ? '' : `the ${what} `}${file} cannot be read: ${(error as Error).message}`)
  }
}
