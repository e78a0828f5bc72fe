/**
 * What a witness must never forget, in a SQLite file of its own: per origin the latest cosigned head, how far its entries
 * were audited, and incidents. Nothing is kept in memory, so that programs beside a running one change what it does.
 */
import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import { originHash } from '../src/core/checkpoint.ts'
import { TreelineError } from '../src/core/errors.ts'
import type { Head } from './decide.ts'
import { KeptCopies } from './kept-copies.ts'
import { APPLICATION_ID, SCHEMA, SCHEMA_VERSION } from './schema.ts'
import { syncPath } from './secret-file.ts'
import { stored } from './stored.ts'

export interface Cosigned extends Head {
  readonly origin: string
  /** Of its cosignatures, seconds since the Unix epoch. */
  readonly time: number
}

/** How far an auditor has read the entries of a log, and what it needs to go on. The bytes are its own. */
export interface Audited {
  readonly size: number
  /** Hashes of the complete subtrees of the tree of that size. */
  readonly subtrees: Uint8Array
  readonly memory: Uint8Array
  /** The cosigned head of that size. */
  readonly note: string
}

/** Only these two stop cosigning: an included entry breaks the rules, or the log signed two histories. */
export type IncidentKind = 'invalid-entry' | 'fork'

export interface Incident {
  readonly kind: IncidentKind
  /** Milliseconds since the Unix epoch. */
  readonly opened: number
  /** Verifies by itself. */
  readonly evidence: string
  readonly cleared: number | null
}

/** How long a write waits for another process, ms: `clear` beside `run`. */
const BUSY_TIMEOUT = 5_000

/** A reopened WAL database falls back to NORMAL, which can lose a commit with the power. */
function configure(db: Database.Database): void {
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
}

/** Makes the file for a witness called `name`; `retention` in ms. Throws USAGE when there is one already. */
export function createState(file: string, name: string, retention: number): void {
  if (existsSync(file)) throw new TreelineError('USAGE', `${file} exists already`)
  const db = new Database(file)
  try {
    db.pragma('journal_mode = WAL')
    configure(db)
    db.pragma(`application_id = ${APPLICATION_ID}`)
    // One transaction: a crash leaves no table, and a file that `open` refuses, or all of them.
    db.transaction(() => {
      db.exec(SCHEMA)
      db.prepare('INSERT INTO witness (id, name, retention) VALUES (1, ?, ?)').run(name, retention)
      db.pragma(`user_version = ${SCHEMA_VERSION}`)
    })()
  } finally {
    db.close()
  }
}

export class WitnessState {
  /** Of the witness. */
  readonly name: string
  /** How long what goes to write-once storage is locked, ms. */
  readonly retention: number
  /** What went to write-once storage. */
  readonly copies: KeptCopies
  readonly #db: Database.Database
  readonly #sql
  readonly #advance: (origin: string, step: (stored: Cosigned | undefined) => Cosigned) => Cosigned
  readonly #advanceAudit: (origin: string, from: number, next: Audited) => void

  private constructor(db: Database.Database) {
    this.#db = db
    const { name, retention } = db
      .prepare<[], { name: string; retention: number }>('SELECT name, retention FROM witness')
      .get()!
    this.name = name
    this.retention = retention
    this.copies = new KeptCopies(db)
    this.#sql = {
      cosigned: db.prepare<[string], Row>('SELECT origin, size, root, time, note FROM cosigned WHERE origin = ?'),
      byHash: db.prepare<[string], Row>('SELECT origin, size, root, time, note FROM cosigned WHERE hash = ?'),
      all: db.prepare<[], Row>('SELECT origin, size, root, time, note FROM cosigned ORDER BY origin'),
      // The primary key refuses a second first checkpoint, as the WHERE clause below refuses a second successor.
      first: db.prepare('INSERT INTO cosigned (origin, hash, size, root, time, note) VALUES (?, ?, ?, ?, ?, ?)'),
      next: db.prepare(
        'UPDATE cosigned SET size = ?, root = ?, time = ?, note = ? WHERE origin = ? AND size = ? AND root = ?',
      ),
      audited: db.prepare<[string], Audited>('SELECT size, subtrees, memory, note FROM audited WHERE origin = ?'),
      firstAudit: db.prepare(
        "INSERT OR IGNORE INTO audited (origin, size, subtrees, memory, note) VALUES (?, 0, x'', x'', '')",
      ),
      // Sizes are text because u64 is more than SQLite's integers; a cast stops at 2^63 - 1, above every audited size.
      audit: db.prepare(
        `UPDATE audited SET size = :size, subtrees = :subtrees, memory = :memory, note = :note
         WHERE origin = :origin AND size = :from AND size <= :size
           AND :size <= (SELECT CAST(size AS INTEGER) FROM cosigned WHERE origin = :origin)`,
      ),
      // An auditor that finds the same fault again while it is open adds nothing.
      freeze: db.prepare(
        `INSERT INTO incidents (origin, kind, opened, evidence) SELECT :origin, :kind, :opened, :evidence
         WHERE NOT EXISTS (SELECT 1 FROM incidents
           WHERE origin = :origin AND kind = :kind AND evidence = :evidence AND cleared IS NULL)`,
      ),
      frozen: db.prepare<[string], Incident>(
        'SELECT kind, opened, evidence, cleared FROM incidents WHERE origin = ? AND cleared IS NULL ORDER BY id LIMIT 1',
      ),
      incidents: db.prepare<[string], Incident>(
        'SELECT kind, opened, evidence, cleared FROM incidents WHERE origin = ? ORDER BY id',
      ),
      clear: db.prepare('UPDATE incidents SET cleared = ? WHERE origin = ? AND cleared IS NULL'),
      probe: db.prepare('UPDATE witness SET probes = probes + 1'),
    }
    this.#advance = db.transaction((origin: string, step: (stored: Cosigned | undefined) => Cosigned) =>
      this.#step(origin, step),
    ).immediate
    this.#advanceAudit = db.transaction((origin: string, from: number, next: Audited) =>
      this.#stepAudit(origin, from, next),
    ).immediate
  }

  /** Throws USAGE when there is no such file, or it is not the state of a witness of this version. */
  static open(file: string): WitnessState {
    if (!existsSync(file)) throw new TreelineError('USAGE', `there is no state of a witness at ${file}`)
    const db = new Database(file, { fileMustExist: true, timeout: BUSY_TIMEOUT })
    try {
      const id = db.pragma('application_id', { simple: true })
      const version = db.pragma('user_version', { simple: true })
      if (id !== APPLICATION_ID || version !== SCHEMA_VERSION) {
        throw new TreelineError(
          'USAGE',
          `${file} is not the state of a witness of this version (found ${id}/${version})`,
        )
      }
      configure(db)
      // What a killed process left in the journal may never have reached the disk. Nothing may be served before it has.
      const state = new WitnessState(db)
      // The read above holds the journal open: a program that closes beside this one does not remove it.
      if (existsSync(`${file}-wal`)) syncPath(`${file}-wal`)
      return state
    } catch (error) {
      db.close()
      throw error
    }
  }

  /** What SQLite says of itself. */
  get durability(): string {
    const level = this.#db.pragma('synchronous', { simple: true }) as number
    return `journal_mode=${this.#db.pragma('journal_mode', { simple: true })} synchronous=${['OFF', 'NORMAL', 'FULL', 'EXTRA'][level]}`
  }

  /**
   * Compares, verifies and stores as one atomic step, durable when it returns. `step` takes what is stored and returns what shall
   * be, or throws, and then nothing changes. No other connection writes meanwhile. Throws FROZEN, SIZE_CONFLICT, STORAGE_FAILED.
   */
  advance(origin: string, step: (stored: Cosigned | undefined) => Cosigned): Cosigned {
    return stored(() => this.#advance(origin, step))
  }

  #step(origin: string, step: (stored: Cosigned | undefined) => Cosigned): Cosigned {
    const incident = this.#sql.frozen.get(origin)
    if (incident !== undefined) {
      throw new TreelineError('FROZEN', `cosigning is stopped (${incident.kind}) until a person has cleared it`)
    }
    const stored = this.cosigned(origin)
    const next = step(stored)
    const size = String(next.size)
    const { changes } =
      stored === undefined
        ? this.#sql.first.run(origin, originHash(origin), size, next.root, next.time, next.note)
        : this.#sql.next.run(size, next.root, next.time, next.note, origin, String(stored.size), stored.root)
    if (changes !== 1) {
      throw new TreelineError('SIZE_CONFLICT', `${origin} is no longer at size ${stored?.size}`, { size: stored?.size })
    }
    // The commit follows. Dies before it: nothing was cosigned. Dies after it: the log asks again, and hears the new size.
    return next
  }

  cosigned(origin: string): Cosigned | undefined {
    return headOf(this.#sql.cosigned.get(origin))
  }

  /** The origin whose hash it is, also when no list of logs names it any more. */
  cosignedByHash(hash: string): Cosigned | undefined {
    return headOf(this.#sql.byHash.get(hash))
  }

  all(): Cosigned[] {
    return this.#sql.all.all().map((row) => headOf(row)!)
  }

  /** Undefined before the first audit: size 0. */
  audited(origin: string): Audited | undefined {
    return this.#sql.audited.get(origin)
  }

  /** From the audited size `from`. Throws SIZE_CONFLICT when that is another by now, or `next` is below it or above the cosigned one. */
  advanceAudit(origin: string, from: number, next: Audited): void {
    stored(() => this.#advanceAudit(origin, from, next))
  }

  #stepAudit(origin: string, from: number, next: Audited): void {
    if (this.#sql.cosigned.get(origin) !== undefined) this.#sql.firstAudit.run(origin)
    if (this.#sql.audit.run({ origin, from, ...next }).changes !== 1) {
      throw new TreelineError('SIZE_CONFLICT', `the audit of ${origin} cannot go from ${from} to ${next.size}`)
    }
  }

  /** Stops cosigning until `clear`; false when this incident is open already. `now` in ms. */
  freeze(origin: string, kind: IncidentKind, evidence: string, now: number): boolean {
    return stored(() => this.#sql.freeze.run({ origin, kind, evidence, opened: now }).changes === 1)
  }

  /** The oldest incident that is not cleared. */
  frozen(origin: string): Incident | undefined {
    return this.#sql.frozen.get(origin)
  }

  incidents(origin: string): Incident[] {
    return this.#sql.incidents.all(origin)
  }

  /** Clears what is open, and says how much; never the stored head: what was cosigned stays cosigned. `now` in ms. */
  clear(origin: string, now: number): number {
    return stored(() => this.#sql.clear.run(now, origin).changes)
  }

  /** Throws STORAGE_FAILED unless a write becomes durable. */
  probe(): void {
    stored(() => this.#sql.probe.run())
  }

  close(): void {
    this.#db.close()
  }
}

interface Row {
  readonly origin: string
  readonly size: string
  readonly root: Uint8Array
  readonly time: number
  readonly note: string
}

const headOf = (row: Row | undefined): Cosigned | undefined => row && { ...row, size: BigInt(row.size) }
