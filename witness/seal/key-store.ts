import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { TreelineError } from '../../src/core/errors.ts'
import { syncPath } from '../secret-file.ts'
import { DEPTH, deriveLeaf, deriveLeaves, type GgmNode, puncture, rootNode } from './ggm.ts'
import type { KeyBackup } from './key-backup.ts'

/** "TLKe", so that `file` and a mistyped path can tell it from the state of a witness and from a log. */
const APPLICATION_ID = 0x544c4b65
const SCHEMA_VERSION = 1

const SCHEMA = `
CREATE TABLE keys (
  id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, confirmed INTEGER NOT NULL, scrubbed INTEGER NOT NULL
) STRICT;
CREATE TABLE origins (origin TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE nodes (
  origin TEXT NOT NULL REFERENCES origins, depth INTEGER NOT NULL, position INTEGER NOT NULL, secret BLOB NOT NULL,
  PRIMARY KEY (origin, depth, position)
) STRICT, WITHOUT ROWID;
INSERT INTO keys VALUES (1, 0, 0, 0);
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`

/** `generation` grows with every change; no backup below `confirmed` exists any more, an operator says. */
export interface KeyStatus {
  readonly generation: number
  readonly confirmed: number
}

/** The file keys.db: for each origin the nodes that derive the keys which are left. */
export class KeyStore {
  readonly #db: Database.Database
  readonly #sql

  /** Makes the file when there is none. Throws USAGE when it is no file of keys of this version. */
  constructor(file: string) {
    if (!existsSync(file)) {
      // SQLite gives the journal the mode of the file.
      closeSync(openSync(file, 'wx', 0o600))
      // Before anything is sealed with its keys: they must not be lost with the name of the file. Dies here: an empty file, filled by the next start.
      syncPath(dirname(file))
    }
    this.#db = openDatabase(file)
    this.#db.pragma('journal_mode = WAL')
    this.#db.pragma('synchronous = FULL')
    this.#db.pragma('secure_delete = ON')
    // VACUUM would otherwise copy the keys into a file of the system's temporary folder.
    this.#db.pragma('temp_store = MEMORY')
    // One transaction, so that a file has all of it or is empty; and of two processes with a new file one finds it made.
    this.#db.transaction(() => isEmpty(this.#db) && this.#db.exec(SCHEMA)).immediate()
    this.#sql = {
      status: this.#db.prepare<[], KeyStatus>('SELECT generation, confirmed FROM keys'),
      unscrubbed: this.#db.prepare('SELECT 1 FROM keys WHERE scrubbed < generation'),
      scrubbed: this.#db.prepare('UPDATE keys SET scrubbed = generation'),
      advance: this.#db.prepare('UPDATE keys SET generation = generation + 1'),
      confirm: this.#db.prepare(
        'UPDATE keys SET confirmed = @to WHERE confirmed <= @to AND generation >= @to AND scrubbed >= @to',
      ),
      addOrigin: this.#db.prepare('INSERT OR IGNORE INTO origins VALUES (?)'),
      has: this.#db.prepare('SELECT 1 FROM origins WHERE origin = ?'),
      // The cast: a number arrives as REAL, and would be divided as one.
      covering: this.#db.prepare<[string, number], GgmNode>(
        `SELECT depth, position, secret FROM nodes
         WHERE origin = ? AND position = CAST(? AS INTEGER) / (1 << (${DEPTH} - depth))`,
      ),
      overlapping: this.#db.prepare<[string, number, number], GgmNode>(
        `SELECT depth, position, secret FROM nodes WHERE origin = ?
         AND position << (${DEPTH} - depth) < ? AND (position + 1) << (${DEPTH} - depth) > ?`,
      ),
      add: this.#db.prepare('INSERT INTO nodes VALUES (?, ?, ?, ?)'),
      origins: this.#db.prepare<[], string>('SELECT origin FROM origins ORDER BY origin').pluck(),
      nodes: this.#db.prepare<[], KeyBackup['nodes'][number]>('SELECT * FROM nodes ORDER BY origin, depth, position'),
      // The WHERE clause is what keeps an old backup from bringing destroyed keys back.
      replace: this.#db.prepare(
        `UPDATE keys SET generation = @generation, confirmed = max(confirmed, @confirmed), scrubbed = -1
         WHERE generation <= @generation AND confirmed <= @generation`,
      ),
      remove: this.#db.prepare('DELETE FROM nodes WHERE origin = ? AND depth = ? AND position = ?'),
    }
    // A process that died between a puncture and its scrub left destroyed keys in the journal.
    if (this.#sql.unscrubbed.get() !== undefined) this.#scrub()
  }

  get status(): KeyStatus {
    return this.#sql.status.get()!
  }

  has(origin: string): boolean {
    return this.#sql.has.get(origin) !== undefined
  }

  /** Makes the seed of an origin, once; later calls change nothing, also after punctures. */
  addOrigin(origin: string): void {
    this.#db.transaction(() => {
      if (this.#sql.addOrigin.run(origin).changes === 0) return
      this.#insert(origin, rootNode(randomBytes(32)))
      this.#sql.advance.run()
    })()
    this.#scrub()
  }

  /** The GGM leaf of an entry. Throws REDACTED when it was punctured or the origin has no seed here. */
  leaf(origin: string, index: number): Uint8Array {
    return deriveLeaf(this.#covering(origin, index), index)
  }

  /** The GGM leaves of the entries [from, to); undefined where they were punctured. */
  leaves(origin: string, from: number, to: number): (Uint8Array | undefined)[] {
    return deriveLeaves(this.#sql.overlapping.all(origin, to, from), from, to)
  }

  /** Destroys the keys of entries, and says how many there were. Returns once their bytes are in no file. */
  puncture(origin: string, indexes: readonly number[]): number {
    const done = this.#db
      .transaction(() => {
        let count = 0
        for (const index of indexes) {
          const change = puncture(this.#covering(origin, index), index)
          if (change === undefined) continue
          this.#sql.remove.run(origin, change.removed.depth, change.removed.position)
          for (const node of change.added) this.#insert(origin, node)
          count++
        }
        if (count > 0) this.#sql.advance.run()
        return count
      })
      .immediate()
    // Dies here, or another process reads: the rows are gone, the bytes are not; `scrubbed` is behind, and the next call or start finishes it.
    if (this.#sql.unscrubbed.get() !== undefined) this.#scrub()
    return done
  }

  /** Records that no backup older than `generation` exists. Throws USAGE when it is ahead of the keys or goes back. */
  confirm(generation: number): void {
    if (this.#sql.confirm.run({ to: generation }).changes !== 1) {
      const { generation: now, confirmed } = this.status
      throw new TreelineError('USAGE', `generation ${generation} is not between ${confirmed} (confirmed) and ${now}`)
    }
  }

  /** Everything, for an encrypted backup. */
  export(): KeyBackup {
    return this.#db.transaction(() => ({
      ...this.status,
      origins: this.#sql.origins.all(),
      nodes: this.#sql.nodes.all(),
    }))()
  }

  /** Replaces everything. Throws USAGE when the backup is older than these keys or than what was confirmed. */
  import({ generation, confirmed, origins, nodes }: KeyBackup): void {
    this.#db
      .transaction(() => {
        if (this.#sql.replace.run({ generation, confirmed }).changes !== 1) {
          const now = this.status
          throw new TreelineError(
            'USAGE',
            `the backup is of generation ${generation}; these keys are of ${now.generation}, and ${now.confirmed} is confirmed`,
          )
        }
        this.#db.exec('DELETE FROM nodes; DELETE FROM origins')
        for (const origin of origins) this.#sql.addOrigin.run(origin)
        for (const { origin, ...node } of nodes) this.#insert(origin, node)
      })
      .immediate()
    // Dies here: as after a puncture, the next start finishes it.
    this.#scrub()
  }

  close(): void {
    this.#db.close()
  }

  #covering(origin: string, index: number): GgmNode[] {
    return this.#sql.covering.all(origin, index)
  }

  #insert(origin: string, { depth, position, secret }: GgmNode): void {
    this.#sql.add.run(origin, depth, position, secret)
  }

  /** Page splits leave copies of moved rows, which secure_delete does not overwrite: every page is written anew, then the journal emptied. */
  #scrub(): void {
    this.#db.exec('VACUUM')
    if (!this.#emptied())
      throw new TreelineError('LOCKED', 'another process reads keys.db: destroyed keys are still in its journal')
    this.#sql.scrubbed.run()
  }

  #emptied(): boolean {
    const [result] = this.#db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
    return result?.busy === 0
  }
}

const isEmpty = (db: Database.Database): boolean => db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined

/** Looks before anything is written: a file of somebody else stays as it is. */
function openDatabase(file: string): Database.Database {
  const db = new Database(file, { fileMustExist: true })
  try {
    const id = db.pragma('application_id', { simple: true })
    const version = db.pragma('user_version', { simple: true })
    const ours = id === APPLICATION_ID && version === SCHEMA_VERSION
    if (!ours && !(id === 0 && version === 0 && isEmpty(db)))
      throw new TreelineError('USAGE', `${file} has no sealing keys of this version (found ${id}/${version})`)
    return db
  } catch (error) {
    db.close()
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_NOTADB')
      throw new TreelineError('USAGE', `${file} is not a database`, {}, { cause: error })
    throw error
  }
}
