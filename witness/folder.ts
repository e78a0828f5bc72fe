/** DATA of a witness: where its files stand, and the lock that one process holds. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { TreelineError } from '../src/core/errors.ts'
import { isKeyName } from '../src/core/note.ts'

export interface WitnessFiles {
  readonly state: string
  /** Its name in signature lines; keys do not carry it. */
  readonly name: string
  /** Verifier keys, a line each: what logs and auditors put into their policies. */
  readonly vkeys: string
}

export const witnessFiles = (data: string): WitnessFiles => ({
  state: join(data, 'witness.db'),
  name: join(data, 'witness.name'),
  vkeys: join(data, 'witness.vkey'),
})

/** Throws USAGE when there is no witness in the folder. */
export function readName(data: string): string {
  const { name } = witnessFiles(data)
  if (!existsSync(name))
    throw new TreelineError('USAGE', `there is no witness in ${data}: treeline-witness init makes one`)
  const text = readFileSync(name, 'utf8').replace(/\n$/, '')
  if (!isKeyName(text)) throw new TreelineError('USAGE', `${name} does not hold the name of a witness`)
  return text
}

/** Held for as long as the process lives; the kernel drops it with the process. Throws LOCKED. */
export function lockWitness(data: string): { release(): void } {
  const db = new Database(join(data, 'lock'), { timeout: 0 })
  try {
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if (!(error as { code?: string }).code?.startsWith('SQLITE_BUSY')) throw error
    throw new TreelineError('LOCKED', `another treeline-witness uses ${data}: stop it first, or name another folder`)
  }
  return { release: () => db.close() }
}
