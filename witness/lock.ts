import { join } from 'node:path'
import Database from 'better-sqlite3'
import { TreelineError } from '../src/core/errors.ts'

/**
 * The server's lock again, as a witness shares only the core with it. Holds DATA/lock for as long as the process lives: the kernel drops it with the process. The state is not locked by it, so that
 * `status` and `clear` work beside a running witness. Throws LOCKED when another process has it.
 */
export function lockData(data: string): { release(): void } {
  const db = new Database(join(data, 'lock'), { timeout: 0 })
  try {
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) {
      throw new TreelineError('LOCKED', `another treeline-witness uses ${data}: stop it first, or name another folder`)
    }
    throw error
  }
  return { release: () => db.close() }
}
