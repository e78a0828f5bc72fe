import Database from 'better-sqlite3'
import { TreelineError } from '../src/core/errors.ts'

/** What `work` returns, once SQLite has taken what it wrote. Throws STORAGE_FAILED. */
export function stored<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    // Of a COMMIT that failed neither outcome is believed: nothing is in memory, and the next step reads the file.
    if (!(error instanceof Database.SqliteError)) throw error
    throw new TreelineError('STORAGE_FAILED', `the state could not be stored: ${error.code}`, {}, { cause: error })
  }
}
