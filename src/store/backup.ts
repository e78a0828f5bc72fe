import Database from 'better-sqlite3'
import { syncPath } from './sync-path.ts'

/**
 * A copy of a log's database as it is at one moment, also while a server writes to it; durable when it returns. One statement in one read
 * transaction: copying page by page would begin again at every commit. Until it ends the journal of the log cannot be emptied.
 */
export function backUpDatabase(file: string, target: string): void {
  const db = new Database(file, { readonly: true, fileMustExist: true })
  try {
    db.prepare('VACUUM INTO ?').run(target)
  } finally {
    db.close()
  }
  // What it writes has no journal mode of its own, and servers want to read beside their writer.
  const copy = new Database(target)
  try {
    copy.pragma('journal_mode = WAL')
  } finally {
    copy.close()
  }
  syncPath(target)
}
