/**
 * What a witness remembers, in a SQLite file of its own: for each origin the checkpoint that it cosigned last and, never above it, how far it
 * has audited; and the faults that it found. It is the one thing that keeps a witness from cosigning two histories.
 */
import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs'
import Database from 'better-sqlite3'
import { TreelineError } from '../src/core/errors.ts'
import type { Hash } from '../src/core/merkle.ts'
import type { Cosigned } from './decide.ts'

export interface StoredCheckpoint extends Cosigned {
  /** The log's verified signatures and ours. */
  readonly note: string
  /** Of our cosignature, seconds since the Unix epoch. */
  readonly time: number
}

/** How far an origin was audited, and what the audit needs to go on from there. */
export interface Audited {
  readonly size: number
  /** Of a compact range of that size, 32 bytes each. */
  readonly subtrees: Uint8Array
  /** The auditor's own, as JSON. */
  readonly memory: string
}

export interface Incident {
  readonly id: number
  readonly origin: string
  readonly kind: 'fork' | 'invalid-entry'
  /** ms since the Unix epoch. */
  readonly opened: number
  readonly why: string
  /** Evidence of the fault, which verifies alone. */
  readonly evidence: string
}

const APPLICATION_ID = 0x54726577
const SCHEMA_VERSION = 1

const SCHEMA = `
-- Sizes of logs that are not ours may need 64 bits: decimal text.
CREATE TABLE cosigned (
  origin TEXT PRIMARY KEY,
  size TEXT NOT NULL,
  root BLOB NOT NULL,
  note TEXT NOT NULL,
  time INTEGER NOT NULL
) STRICT;

CREATE TABLE audited (
  origin TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  subtrees BLOB NOT NULL,
  memory TEXT NOT NULL
) STRICT;

-- A fault freezes its origin until a person has cleared it.
CREATE TABLE incidents (
  id INTEGER PRIMARY KEY,
  origin TEXT NOT NULL,
  kind TEXT NOT NULL,
  opened INTEGER NOT NULL,
  why TEXT NOT NULL,
  evidence TEXT NOT NULL,
  cleared INTEGER
) STRICT;
`

/** Makes the file of a new witness. Throws USAGE when there is one already. */
export function createState(file: string): void {
  if (existsSync(file)) throw new TreelineError('USAGE', `${file} exists already`)
  const db = new Database(file)
  try {
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma(`application_id = ${APPLICATION_ID}`)
    db.transaction(() => {
      db.exec(SCHEMA)
      db.pragma(`user_version = ${SCHEMA_VERSION}`)
    })()
  } finally {
    db.close()
  }
}

export class WitnessState {
  readonly #db: Database.Database
  readonly #sql

  private constructor(db: Database.Database) {
    this.#db = db
    this.#sql = {
      cosigned: db.prepare<[string], { size: string; root: Uint8Array; note: string; time: number }>(
        'SELECT size, root, note, time FROM cosigned WHERE origin = ?',
      ),
      origins: db.prepare<[], string>('SELECT origin FROM cosigned ORDER BY origin').pluck(),
      // The conflict and the WHERE clause, not an earlier read, are what stops two writers from cosigning two histories.
      first: db.prepare(
        'INSERT INTO cosigned (origin, size, root, note, time) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      ),
      swap: db.prepare(
        'UPDATE cosigned SET size = ?, root = ?, note = ?, time = ? WHERE origin = ? AND size = ? AND root = ?',
      ),
      audited: db.prepare<[string], Audited>('SELECT size, subtrees, memory FROM audited WHERE origin = ?'),
      advance: db.prepare(
        `INSERT INTO audited (origin, size, subtrees, memory) VALUES (@origin, @size, @subtrees, @memory)
         ON CONFLICT (origin) DO UPDATE SET size = @size, subtrees = @subtrees, memory = @memory WHERE size <= @size`,
      ),
      open: db.prepare(
        'INSERT INTO incidents (origin, kind, opened, why, evidence) VALUES (@origin, @kind, @opened, @why, @evidence)',
      ),
      incidents: db.prepare<[], Incident>(
        'SELECT id, origin, kind, opened, why, evidence FROM incidents WHERE cleared IS NULL ORDER BY id',
      ),
      incident: db.prepare<[string], Incident>(
        'SELECT id, origin, kind, opened, why, evidence FROM incidents WHERE origin = ? AND cleared IS NULL ORDER BY id LIMIT 1',
      ),
      faults: db.prepare<[string], string>('SELECT evidence FROM incidents WHERE origin = ? ORDER BY id').pluck(),
      clear: db.prepare('UPDATE incidents SET cleared = ? WHERE origin = ? AND cleared IS NULL'),
    }
  }

  /** Throws USAGE when there is no such file, or it is not that of a witness of this version. */
  static open(file: string): WitnessState {
    if (!existsSync(file))
      throw new TreelineError(
        'USAGE',
        `the state ${file} is missing. A witness that forgot what it cosigned may cosign another history: restore it, or read what treeline-witness init --help says of --new-state`,
      )
    const db = new Database(file, { fileMustExist: true, timeout: 5_000 })
    try {
      const id = db.pragma('application_id', { simple: true })
      const version = db.pragma('user_version', { simple: true })
      if (id !== APPLICATION_ID || version !== SCHEMA_VERSION)
        throw new TreelineError(
          'USAGE',
          `${file} is not the state of a witness of this version (found ${id}/${version})`,
        )
      // A reopened WAL database falls back to NORMAL, which can lose a cosignature with the power.
      db.pragma('synchronous = FULL')
      // What a killed process left in the journal may never have reached the disk, and is answered from now on.
      if (existsSync(`${file}-wal`)) syncFile(`${file}-wal`)
      return new WitnessState(db)
    } catch (error) {
      db.close()
      throw error
    }
  }

  cosigned(origin: string): StoredCheckpoint | undefined {
    const row = this.#sql.cosigned.get(origin)
    return row && { ...row, size: BigInt(row.size), root: new Uint8Array(row.root) }
  }

  /** Origins of which a checkpoint was ever cosigned. */
  origins(): string[] {
    return this.#sql.origins.all()
  }

  /**
   * Compares, and stores what `decide` makes of the latest checkpoint, as one step: no other writer, of this process or another, comes
   * between. Durable when it returns. Dies before the commit: nobody was answered. After: the next request finds it.
   */
  cosign<T>(
    origin: string,
    decide: (stored: StoredCheckpoint | undefined) => { readonly next?: StoredCheckpoint; readonly answer: T },
  ): T {
    return this.#db
      .transaction((): T => {
        const stored = this.cosigned(origin)
        const { next, answer } = decide(stored)
        if (next !== undefined) this.#store(origin, stored, next)
        return answer
      })
      .immediate()
  }

  #store(origin: string, stored: StoredCheckpoint | undefined, next: StoredCheckpoint): void {
    const { size, root, note, time } = next
    const { changes } =
      stored === undefined
        ? this.#sql.first.run(origin, String(size), root, note, time)
        : this.#sql.swap.run(String(size), root, note, time, origin, String(stored.size), stored.root)
    if (changes !== 1) throw new Error(`the checkpoint of ${origin} changed in between`)
  }

  audited(origin: string): Audited | undefined {
    const row = this.#sql.audited.get(origin)
    return row && { ...row, subtrees: new Uint8Array(row.subtrees) }
  }

  /** Never back, and never above what was cosigned. Durable when it returns. */
  advance(origin: string, audited: Audited): void {
    this.#db
      .transaction(() => {
        const size = this.cosigned(origin)?.size ?? 0n
        if (BigInt(audited.size) > size)
          throw new Error(`audited to ${audited.size} of ${origin}, of which ${size} is cosigned`)
        if (this.#sql.advance.run({ origin, ...audited }).changes !== 1)
          throw new Error(`the audit of ${origin} went back to ${audited.size}`)
      })
      .immediate()
  }

  /** Freezes the origin. Durable when it returns. */
  open(incident: Omit<Incident, 'id'>): void {
    this.#sql.open.run(incident)
  }

  /** Those that no person has cleared. */
  incidents(): Incident[] {
    return this.#sql.incidents.all()
  }

  /** Why the origin is frozen, or undefined. */
  frozen(origin: string): Incident | undefined {
    return this.#sql.incident.get(origin)
  }

  /** Evidence of every fault of an origin, cleared ones too. */
  faults(origin: string): string[] {
    return this.#sql.faults.all(origin)
  }

  /** Cosigning goes on from the size and root that are stored. Returns how many incidents it cleared. */
  clear(origin: string, now: number): number {
    return this.#sql.clear.run(now, origin).changes
  }

  close(): void {
    this.#db.close()
  }
}

/** 32 bytes each. */
export const splitHashes = (bytes: Uint8Array): Hash[] =>
  Array.from({ length: bytes.length / 32 }, (_, i) => bytes.slice(32 * i, 32 * i + 32))

function syncFile(file: string): void {
  const handle = openSync(file, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
