/** Reads an index.db, beside the one that writes it. Every question looks at a bounded number of rows. */
import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type PackedArtifact, prefixOf, unpackArtifacts, unpackIds } from './index-rows.ts'
import { INDEX_VERSION, TEXT_CHUNK, textTable } from './index-schema.ts'

/** Indexes in a span, ascending. */
export type Candidates = (from: number, to: number) => readonly number[]

export interface IndexedEvent {
  readonly index: number
  readonly time: number
  readonly kind: number
  readonly type: string
  readonly policy: number
  readonly beyond: boolean
  readonly keys: readonly string[]
  readonly artifacts: readonly { readonly role: number; readonly algorithm: string; readonly digest: Uint8Array }[]
}

interface EventRow {
  readonly time: number
  readonly kind: number
  readonly type: number
  readonly policy: number
  readonly beyond: number
  readonly keys: Uint8Array
  readonly artifacts: Uint8Array
}

export interface StoredMark {
  readonly index: number
  readonly kind: 'quarantine' | 'supersedes'
  readonly reason: string
}

/** Role, index, and 1 where it stands only in the payload. */
type TouchingRow = readonly [role: number, index: number, beyond: 0 | 1]

const REMEMBERED = 50_000
/** Rows of one artifact and role that are read at a time. */
const PAGE = 256
/** Of one entry; the first ones. */
const MAX_MARKS = 16
/** Marked entries that are listed at once. */
const MAX_MARKED = 20_000
/** Types that a prefix may mean before all entries are looked at one by one instead. */
const MAX_TYPES = 100

const ALL = `
  SELECT role, idx, 0 FROM by_artifact WHERE prefix = @prefix
  UNION ALL SELECT role, idx, 1 FROM beyond WHERE prefix = @prefix
  LIMIT ${PAGE}`
const OF_ARTIFACT = [1, 2, 3, 4].map((role) => `prefix = @key AND role = ${role}`)

export class IndexReader {
  readonly #db: Database.Database
  readonly #sql
  readonly #names = { types: new Map<number, string>(), keys: new Map<number, string>(), algorithms: new Map() }

  /** Undefined while there is none of this version. Throws when it is broken. */
  static open(file: string): IndexReader | undefined {
    if (!existsSync(file)) return undefined
    const db = new Database(file, { readonly: true, fileMustExist: true })
    try {
      if (db.pragma('user_version', { simple: true }) === INDEX_VERSION) return new IndexReader(db)
    } catch (error) {
      db.close()
      throw error
    }
    db.close()
    return undefined
  }

  private constructor(db: Database.Database) {
    this.#db = db
    db.pragma('cache_size = -16384')
    const touching = 'SELECT idx FROM by_artifact WHERE prefix = @prefix AND role = @role AND idx >= @from'
    const name = (table: string) => db.prepare<[number], string>(`SELECT name FROM ${table} WHERE id = ?`).pluck()
    this.#sql = {
      size: db.prepare<[], number>('SELECT size FROM state').pluck(),
      pending: db.prepare<[], number | null>('SELECT min(chunk) FROM pending').pluck(),
      event: db.prepare<[number], EventRow>('SELECT * FROM events WHERE idx = ?'),
      time: db.prepare<[number], number>('SELECT time FROM events WHERE idx = ?').pluck(),
      types: name('types'),
      keys: name('keys'),
      algorithms: name('algorithms'),
      key: db.prepare<[string], number>('SELECT id FROM keys WHERE name = ?').pluck(),
      signer: db.prepare<[string], string | null>('SELECT signer FROM keys WHERE name = ?').pluck(),
      byKey: db.prepare<Span, number>(span('by_key', 'key = @key')).pluck(),
      byKind: db.prepare<Span, number>(span('by_kind', 'kind = @key')).pluck(),
      byArtifact: db.prepare<Span, number>(span('by_artifact', ...OF_ARTIFACT)).pluck(),
      byBeyond: db.prepare<Span, number>(span('beyond', ...OF_ARTIFACT)).pluck(),
      touching: db.prepare<Touch, number>(`${touching} ORDER BY idx LIMIT ${PAGE}`).pluck(),
      touchingBeyond: db
        .prepare<Touch, number>(`${touching.replace('by_artifact', 'beyond')} ORDER BY idx LIMIT ${PAGE}`)
        .pluck(),
      allTouching: db.prepare<{ prefix: number }, TouchingRow>(ALL).raw(),
      marks: db.prepare<[string, number], StoredMark>(
        `SELECT idx AS "index", kind, reason FROM marks WHERE origin = ? AND target = ? ORDER BY idx LIMIT ${MAX_MARKS}`,
      ),
      marked: db.prepare<[], [string, number]>(`SELECT DISTINCT origin, target FROM marks LIMIT ${MAX_MARKED}`).raw(),
    }
  }

  /** All questions in it see one state, and none of them takes a lock of its own. Until it ends, nothing is erased from the journal. */
  snapshot<T>(questions: () => T): T {
    return this.#db.transaction(questions)()
  }

  get size(): number {
    return this.#sql.size.get()!
  }

  /** Below it text is complete too. */
  get textSize(): number {
    const pending = this.#sql.pending.get()
    return pending == null ? this.size : Math.min(this.size, pending * TEXT_CHUNK)
  }

  event(index: number): IndexedEvent | undefined {
    const row = this.#sql.event.get(index)
    if (row === undefined) return undefined
    const { time, kind, policy } = row
    return {
      index,
      ...{ time, kind, policy },
      type: row.type === 0 ? '' : this.#name('types', row.type),
      beyond: row.beyond === 1,
      keys: unpackIds(row.keys).map((id) => this.#name('keys', id)),
      artifacts: unpackArtifacts(row.artifacts).map(({ role, algorithm, digest }: PackedArtifact) => ({
        ...{ role, digest },
        algorithm: this.#name('algorithms', algorithm),
      })),
    }
  }

  #name(table: 'types' | 'keys' | 'algorithms', id: number): string {
    const names = this.#names[table]
    const known = names.get(id)
    if (known !== undefined) return known
    const name = this.#sql[table].get(id)
    if (name === undefined) throw new Error(`the index has no ${table} ${id}`)
    if (names.size >= REMEMBERED) names.clear()
    names.set(id, name)
    return name
  }

  signerOf(key: string): string | undefined {
    return this.#sql.signer.get(key) ?? undefined
  }

  marksOn(origin: string, index: number): readonly StoredMark[] {
    return this.#sql.marks.all(origin, index)
  }

  /** `index origin` of everything that is marked; undefined where it is too much. */
  marked(): ReadonlySet<string> | undefined {
    const rows = this.#sql.marked.all()
    return rows.length < MAX_MARKED ? new Set(rows.map(([origin, target]) => `${target} ${origin}`)) : undefined
  }

  /** The first index of at least that time. Times never fall, so it is found by halving. */
  firstAt(time: number, size: number): number {
    let low = 0
    let high = size
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#sql.time.get(middle)! < time) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Indexes whose artifacts begin as the digest does, with this role, from `from` on: a page, `undefined` after the last. */
  touching(digest: Uint8Array, role: number, from: number, beyond: boolean): readonly number[] {
    const touch = { prefix: prefixOf(digest), role, from }
    return (beyond ? this.#sql.touchingBeyond : this.#sql.touching).all(touch)
  }

  /** All of it at once, those that stand only in payloads too; undefined where they are more than a page. */
  allTouching(digest: Uint8Array): readonly TouchingRow[] | undefined {
    const rows = this.#sql.allTouching.all({ prefix: prefixOf(digest) })
    return rows.length < PAGE ? rows : undefined
  }

  /** None for a key that the log does not know. */
  byKey(key: string): Candidates {
    const id = this.#sql.key.get(key)
    return id === undefined ? () => [] : (from, to) => this.#sql.byKey.all({ key: id, from, to })
  }

  byKind(kind: number): Candidates {
    return (from, to) => this.#sql.byKind.all({ key: kind, from, to })
  }

  byArtifact(digest: Uint8Array, beyond: boolean): Candidates {
    const key = prefixOf(digest)
    return (from, to) => {
      const shown = this.#sql.byArtifact.all({ key, from, to })
      if (!beyond) return shown
      return [...new Set([...shown, ...this.#sql.byBeyond.all({ key, from, to })])].sort((a, b) => a - b)
    }
  }

  /** Undefined when the prefix means too many types to look at each. */
  byType(pattern: string): Candidates | undefined {
    const prefix = pattern.endsWith('*') ? pattern.slice(0, -1) : undefined
    const ids = this.#db
      .prepare<object, number>(
        prefix === undefined
          ? 'SELECT id FROM types WHERE name = @name'
          : `SELECT id FROM types WHERE substr(name, 1, @length) = @name LIMIT ${MAX_TYPES + 1}`,
      )
      .pluck()
      .all({ name: prefix ?? pattern, length: [...(prefix ?? '')].length })
    if (ids.length > MAX_TYPES) return undefined
    const list = this.#db
      .prepare<[number, number], number>(
        `SELECT idx FROM by_type WHERE type IN (${ids.join()}) AND idx >= ? AND idx < ? ORDER BY idx`,
      )
      .pluck()
    return (from, to) => list.all(from, to)
  }

  /** All terms, each a phrase of words. The syntax of FTS5 is not for strangers: every term is quoted. */
  byText(terms: readonly string[]): Candidates {
    const phrase = terms.map((term) => `"${term.replaceAll('"', '""')}"`).join(' ')
    return (from, to) => {
      const table = textTable(Math.floor(from / TEXT_CHUNK))
      const exists = this.#db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table)
      if (exists === undefined) return []
      return this.#db
        .prepare<[string, number, number], number>(
          `SELECT rowid FROM ${table} WHERE ${table} MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid`,
        )
        .pluck()
        .all(phrase, from, to)
    }
  }

  close(): void {
    this.#db.close()
  }
}

interface Touch {
  readonly prefix: number
  readonly role: number
  readonly from: number
}

interface Span {
  readonly key: number
  readonly from: number
  readonly to: number
}

/** Of a table by (…, idx). */
const span = (table: string, ...wheres: readonly string[]): string =>
  `${wheres.map((where) => `SELECT idx FROM ${table} WHERE ${where} AND idx >= @from AND idx < @to`).join(' UNION ')} ORDER BY idx`
