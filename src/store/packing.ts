/**
 * Behind the commits, the rows of a full bundle become one row, compressed. Entries of one log resemble each other: half of an event's entry is
 * texts and key ids that its neighbours have too. A bundle is what readers ask for, and the least that compresses well. Bundles below the
 * `packed` of the log are stored so; all others as they were committed.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type Database from 'better-sqlite3'
import { TreelineError } from '../core/errors.ts'
import { MAX_ENTRY_SIZE, TILE_WIDTH } from '../core/tile.ts'
import { plain } from './plain.ts'

/** Bundles of one step: some milliseconds, and one sync for 4,096 entries. */
const STEP_BUNDLES = 16

/** The fastest level: the next ones save one byte in a hundred. */
const PARAMS = { [constants.ZSTD_c_compressionLevel]: 1 }
const LARGEST_BUNDLE = TILE_WIDTH * (MAX_ENTRY_SIZE + 2)

interface Row {
  readonly count: number
  readonly bundle: Uint8Array
}

/** The bundle of a packed row. Throws MALFORMED_BUNDLE. */
export function unpack(packed: Uint8Array): Uint8Array {
  try {
    return plain(zstdDecompressSync(packed, { maxOutputLength: LARGEST_BUNDLE }))
  } catch (error) {
    throw new TreelineError('MALFORMED_BUNDLE', 'a bundle that cannot be unpacked', {}, { cause: error })
  }
}

export class Packing {
  readonly #db: Database.Database
  readonly #step: (from: number) => void
  readonly #packed

  constructor(db: Database.Database) {
    this.#db = db
    this.#packed = db.prepare<[], number>('SELECT packed FROM log').pluck()
    const rows = db.prepare<[number, number], Row>(
      'SELECT count, bundle FROM entries WHERE first >= ? AND first < ? ORDER BY first',
    )
    const remove = db.prepare('DELETE FROM entries WHERE first >= ? AND first < ?')
    const insert = db.prepare('INSERT INTO entries (first, count, bundle) VALUES (?, ?, ?)')
    const advance = db.prepare('UPDATE log SET packed = ? WHERE id = 1 AND packed = ?')
    // One transaction: readers see all rows of a bundle, or the one that replaced them, and which of both.
    this.#step = db.transaction((from: number) => {
      const to = from + STEP_BUNDLES * TILE_WIDTH
      for (let first = from; first < to; first += TILE_WIDTH) {
        const parts = rows.all(first, first + TILE_WIDTH)
        if (parts.reduce((sum, { count }) => sum + count, 0) !== TILE_WIDTH)
          throw new Error(`the entries from ${first} on are no whole bundle: the file is damaged`)
        const bundle = Buffer.concat(parts.map((part) => part.bundle))
        remove.run(first, first + TILE_WIDTH)
        insert.run(first, TILE_WIDTH, zstdCompressSync(bundle, { params: PARAMS }))
      }
      if (advance.run(to, from).changes !== 1) throw new Error('somebody else packs the entries of this log')
    }).immediate
  }

  /** One step; true when there was enough for one. `size` is that of the log. */
  maintain(size: number): boolean {
    const from = this.#packed.get()!
    if (size - from < STEP_BUNDLES * TILE_WIDTH) return false
    // What is removed stands in the row that replaces it: overwriting it would only cost.
    this.#db.pragma('secure_delete = OFF')
    try {
      this.#step(from)
    } finally {
      this.#db.pragma('secure_delete = ON')
    }
    return true
  }
}
