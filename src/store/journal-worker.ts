/** The thread of journal.ts: copies the journal of one database each time it is told to, and says when it is done. */
import { parentPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'

const db = new Database(workerData as string, { fileMustExist: true })
// The journal is synced before a page of it is copied, and the database before any of it counts as copied.
db.pragma('synchronous = FULL')
db.pragma('wal_autocheckpoint = 0')
const copy = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')

parentPort!.on('message', () => {
  copy.get()
  parentPort!.postMessage('done')
})
