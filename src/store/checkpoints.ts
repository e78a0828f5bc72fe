/** The witnessed checkpoints of a log: what evidence is made against, years later. */
import type Database from 'better-sqlite3'
import type { WitnessedCheckpoint } from './store.ts'

const MINUTE = 60_000
const DAY = 1_440 * MINUTE

export class Checkpoints {
  readonly #sql
  /** Those before this are one a minute, ms since the Unix epoch. */
  #thinned = 0

  constructor(db: Database.Database) {
    const select = 'SELECT size, time, note FROM checkpoints'
    this.#sql = {
      // Of one size the first note is kept: its time says more.
      keep: db.prepare('INSERT OR IGNORE INTO checkpoints (size, time, note) VALUES (?, ?, ?)'),
      thin: db.prepare(
        `DELETE FROM checkpoints WHERE time >= @from AND time < @until AND size NOT IN
          (SELECT min(size) FROM checkpoints WHERE time >= @from AND time < @until GROUP BY time / ${MINUTE})`,
      ),
      covering: db.prepare<[number], WitnessedCheckpoint>(`${select} WHERE size > ? ORDER BY size LIMIT 1`),
      before: db.prepare<[number], WitnessedCheckpoint>(`${select} WHERE size <= ? ORDER BY size DESC LIMIT 1`),
    }
  }

  /** Durable when it returns. */
  keep({ size, time, note }: WitnessedCheckpoint): void {
    this.#sql.keep.run(size, time, note)
    // A minute of yesterday at a time: what was thinned before is not looked at again.
    const until = time - DAY - ((time - DAY) % MINUTE)
    if (until <= this.#thinned) return
    this.#sql.thin.run({ from: this.#thinned, until })
    this.#thinned = until
  }

  covering(index: number): WitnessedCheckpoint | undefined {
    return this.#sql.covering.get(index)
  }

  before(index: number): WitnessedCheckpoint | undefined {
    return this.#sql.before.get(index)
  }
}
