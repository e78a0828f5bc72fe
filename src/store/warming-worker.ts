/** A thread of warming.ts: reads its pieces of the tiles of one log, and ends. */
import { workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { PAGE_BYTES, tileRow } from './schema.ts'
import type { WarmingData } from './warming.ts'

/** Rows of one piece: some 10 ms of a disk that has none of them in memory, in which the journal cannot begin anew. */
const ROWS = 1_024
/** Of `tiles`: rows of a page. */
const PAGE_ROWS = 7
/** The hashes of entries are below it, all levels above from there on: few rows, and more proofs need each. */
const ABOVE = tileRow(1, 0)

const { file, number, threads, most } = workerData as WarmingData
const db = new Database(file, { readonly: true, fileMustExist: true })
// Not to keep them here as well.
db.pragma('cache_size = -512')
const last = db.prepare<[number], number | null>('SELECT max(id) FROM tiles WHERE id < ?').pluck()
// Every row is on its way, though none of it is asked for.
const read = db.prepare<[number, number], number>('SELECT count(id) FROM tiles WHERE id >= ? AND id < ?').pluck()

let left = (most / PAGE_BYTES) * PAGE_ROWS
if (number === 0) left -= read.get(ABOVE, Number.MAX_SAFE_INTEGER)!
const end = (last.get(ABOVE) ?? -1) + 1
for (let to = end - number * ROWS; to > 0 && left > 0; to -= threads * ROWS) {
  left -= read.get(Math.max(0, to - ROWS), to)!
}
db.close()
