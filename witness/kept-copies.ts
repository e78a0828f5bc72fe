/** Of a witness's state, what it knows of write-once storage: the newest snapshot of each log, and evidence that is not there yet. */
import type Database from 'better-sqlite3'
import { TreelineError } from '../src/core/errors.ts'
import { stored } from './stored.ts'

/** The newest snapshot of a log in write-once storage. */
export interface KeptSnapshot {
  readonly size: number
  /** Of its manifest. */
  readonly key: string
  readonly version: string
  /** Until when all that it needs is locked at least, ms since the Unix epoch. */
  readonly locked: number
  /** Whether payloads were ever sealed with a key of ours. */
  readonly sealed: boolean
}

export interface UnkeptEvidence {
  readonly id: number
  readonly origin: string
  readonly evidence: string
}

export class KeptCopies {
  readonly #sql

  constructor(db: Database.Database) {
    this.#sql = {
      snapshot: db.prepare<[string], Omit<KeptSnapshot, 'sealed'> & { sealed: number }>(
        'SELECT size, key, version, locked, sealed FROM snapshots WHERE origin = ?',
      ),
      // Neither back to a smaller snapshot, nor to none sealed, nor to an earlier end of its locks.
      keepSnapshot: db.prepare(
        `INSERT INTO snapshots (origin, size, key, version, locked, sealed)
         VALUES (:origin, :size, :key, :version, :locked, :sealed)
         ON CONFLICT (origin) DO UPDATE SET size = :size, key = :key, version = :version, locked = :locked,
           sealed = max(sealed, :sealed)
         WHERE size < :size OR (size = :size AND key = :key AND version = :version AND locked <= :locked)`,
      ),
      unkept: db.prepare<[], UnkeptEvidence>(
        'SELECT id, origin, evidence FROM incidents WHERE kept = 0 ORDER BY id LIMIT 100',
      ),
      keepEvidence: db.prepare('UPDATE incidents SET kept = 1 WHERE id = ?'),
    }
  }

  /** Undefined before the first. */
  snapshot(origin: string): KeptSnapshot | undefined {
    const row = this.#sql.snapshot.get(origin)
    return row && { ...row, sealed: row.sealed === 1 }
  }

  /** Throws SIZE_CONFLICT when it is no successor of the one that is stored. */
  keepSnapshot(origin: string, next: KeptSnapshot): void {
    const { changes } = stored(() => this.#sql.keepSnapshot.run({ ...next, origin, sealed: Number(next.sealed) }))
    if (changes !== 1) throw new TreelineError('SIZE_CONFLICT', `a snapshot of ${origin} cannot go to ${next.size}`)
  }

  /** Evidence that is not in write-once storage yet. */
  unkeptEvidence(): UnkeptEvidence[] {
    return this.#sql.unkept.all()
  }

  keepEvidence({ id }: UnkeptEvidence): void {
    stored(() => this.#sql.keepEvidence.run(id))
  }
}
