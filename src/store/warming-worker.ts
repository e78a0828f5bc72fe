/** The thread of warming.ts: reads the tiles of one log, and ends. */
import { workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'
import type { WarmingData } from './warming.ts'

/** Rows of one statement: some 50 ms on a disk that has none of them, in which the journal cannot begin anew. */
const ROWS = 4_096
const PAGE_BYTES = 16_384
/** Of `tiles`: rows of a page. */
const PAGE_ROWS = 7

const { file, most } = workerData as WarmingData
const db = new Database(file, { readonly: true, fileMustExist: true })
// Not to keep them here as well.
db.pragma('cache_size = -512')
const LEVEL = 2 ** 48
const last = db.prepare<[number], number | null>('SELECT max(id) FROM tiles WHERE id < ?').pluck()
// Every row is on its way, though none of it is asked for.
const read = db.prepare<[number, number], number>('SELECT count(id) FROM tiles WHERE id >= ? AND id < ?').pluck()

let left = (most / PAGE_BYTES) * PAGE_ROWS
// The levels above the leaves are few rows, and more proofs need each.
left -= read.get(LEVEL, Number.MAX_SAFE_INTEGER)!
for (let to = (last.get(LEVEL) ?? -1) + 1; to > 0 && left > 0; to -= ROWS) {
  left -= read.get(Math.max(0, to - ROWS), to)!
}
db.close()
