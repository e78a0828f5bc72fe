/** The one writer of an index.db. */
import { existsSync, rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type Artifact, ROLE_NAMES } from '../core/artifact.ts'
import { equal, fromHex } from '../core/bytes.ts'
import { stepRole } from '../core/mark.ts'
import type { Hash } from '../core/merkle.ts'
import { packArtifacts, packIds, prefixOf, ROLE_CODES, SortedRows } from './index-rows.ts'
import {
  createBeyond,
  createMarks,
  createText,
  INDEX_APPLICATION_ID,
  INDEX_SCHEMA,
  INDEX_VERSION,
  TEXT_CHUNK,
  textTable,
} from './index-schema.ts'
import { JOURNAL_LIMIT } from './journal.ts'
import { PAGE_BYTES } from './schema.ts'
import { syncPath } from './sync-path.ts'

export interface IndexedArtifact {
  readonly role: keyof typeof ROLE_CODES
  readonly algorithm: string
  /** Lowercase hex. */
  readonly digest: string
}

/** What the index keeps of one entry. */
export interface IndexedEntry {
  readonly index: number
  readonly time: number
  readonly kind: number
  readonly type: string
  /** Index of the policy in force. */
  readonly policy: number
  /** Ids of the keys that signed. */
  readonly keys: readonly Uint8Array[]
  /** As the entry shows them. */
  readonly artifacts: readonly Artifact[]
  readonly text: string
  /** Whether the payload may say more of artifacts, and what it does say. */
  readonly saysMore: boolean
  readonly beyond: readonly IndexedArtifact[]
  readonly mark?: { readonly origin: string; readonly index: number; readonly kind: string; readonly reason: string }
  /** Of a policy: names by id of the key. */
  readonly signers?: readonly (readonly [string, string])[]
  /** Of a redaction: whose payloads are gone. */
  readonly redacts?: readonly number[]
}

/** Of the first and the last entry of some. */
interface LeafHashes {
  readonly first: Hash
  readonly last: Hash
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')

/** Names that are remembered with their ids. */
const REMEMBERED = 50_000

export class IndexWriter {
  readonly #db: Database.Database
  readonly #sql
  readonly #rows
  readonly #ids = { types: new Map<string, number>(), keys: new Map<string, number>(), algorithms: new Map() }
  readonly #write: (entries: readonly IndexedEntry[], leaves: LeafHashes) => void
  #text: { readonly chunk: number; readonly insert: Database.Statement } | undefined
  #size: number
  /** Something was erased whose bytes may still stand in the journal. */
  #dirty = true

  private constructor(db: Database.Database) {
    this.#db = db
    const id = (table: string) => ({
      find: db.prepare<[string], number>(`SELECT id FROM ${table} WHERE name = ?`).pluck(),
      add: db.prepare<[string]>(`INSERT INTO ${table} (name) VALUES (?)`),
    })
    this.#sql = {
      advance: db.prepare('UPDATE state SET size = ?, first = coalesce(first, ?), last = ? WHERE id = 1 AND size = ?'),
      event: db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
      byKind: db.prepare('INSERT INTO by_kind VALUES (?, ?)'),
      beyond: db.prepare('INSERT OR IGNORE INTO beyond VALUES (?, ?, ?)'),
      mark: db.prepare('INSERT OR IGNORE INTO marks VALUES (?, ?, ?, ?, ?)'),
      signer: db.prepare('UPDATE keys SET signer = ? WHERE id = ?'),
      saysMore: db.prepare<[number], number>('SELECT beyond FROM events WHERE idx = ?').pluck(),
      kind: db.prepare<[number], number>('SELECT kind FROM events WHERE idx = ?').pluck(),
      setsMark: db.prepare('SELECT 1 FROM marks WHERE idx = ?'),
      pending: db.prepare<[], number>('SELECT chunk FROM pending ORDER BY chunk').pluck(),
      isPending: db.prepare('SELECT 1 FROM pending WHERE chunk = ?'),
      suspend: db.prepare('INSERT OR IGNORE INTO pending VALUES (?)'),
      resume: db.prepare('DELETE FROM pending WHERE chunk = ?'),
      types: id('types'),
      keys: id('keys'),
      algorithms: id('algorithms'),
    }
    this.#rows = {
      byKey: new SortedRows(db, 'by_key', 2),
      byType: new SortedRows(db, 'by_type', 2),
      byArtifact: new SortedRows(db, 'by_artifact', 3),
    }
    this.#write = db.transaction((entries: readonly IndexedEntry[], leaves: LeafHashes) =>
      this.#insert(entries, leaves),
    ).immediate
    this.#size = db.prepare<[], number>('SELECT size FROM state').pluck().get()!
  }

  /** Makes it where there is none. What is broken, or of another version, throws: `remove` and open it again. */
  static open(file: string): IndexWriter {
    const found = existsSync(file)
    const db = new Database(file, { timeout: 1_000 })
    try {
      if (!found) {
        db.pragma(`page_size = ${PAGE_BYTES}`)
        db.pragma(`application_id = ${INDEX_APPLICATION_ID}`)
      }
      // It may lose its last commits with the power: they are made again.
      db.pragma('journal_mode = WAL')
      db.pragma('synchronous = NORMAL')
      db.pragma('secure_delete = ON')
      db.pragma('cache_size = -32768')
      db.pragma('wal_autocheckpoint = 2000')
      db.pragma(`journal_size_limit = ${JOURNAL_LIMIT}`)
      db.transaction(() => {
        if (db.pragma('user_version', { simple: true }) !== 0) return
        db.exec(INDEX_SCHEMA)
        db.pragma(`user_version = ${INDEX_VERSION}`)
      }).immediate()
      if (
        db.pragma('application_id', { simple: true }) !== INDEX_APPLICATION_ID ||
        db.pragma('user_version', { simple: true }) !== INDEX_VERSION
      )
        throw new Error(`${file} is no index of this version`)
      return new IndexWriter(db)
    } catch (error) {
      db.close()
      throw error
    }
  }

  static remove(file: string): void {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${file}${suffix}`, { force: true })
  }

  /** Entries below it are in the index. */
  get size(): number {
    return this.#size
  }

  /** Whether it is of the log whose leaf hashes these are: of the first entry, and of the one before `size`. */
  fits(first: Hash | undefined, last: Hash | undefined): boolean {
    const state = this.#db.prepare<[], { first: Hash | null; last: Hash | null }>('SELECT * FROM state').get()!
    const same = (a: Hash | null, b: Hash | undefined) => a !== null && b !== undefined && equal(a, b)
    return this.#size === 0 || (same(state.first, first) && same(state.last, last))
  }

  /** The entries that come next, as one transaction. Dies before: they are read from the log again. */
  add(entries: readonly IndexedEntry[], leaves: LeafHashes): void {
    const before = this.#text?.chunk
    this.#write(entries, leaves)
    this.#size += entries.length
    if (before !== undefined && this.#text?.chunk !== before) this.#forgetTables()
  }

  /** A connection keeps half a megabyte of what it built up for each table of text until it reads its schema anew: so it does when one is full. */
  #forgetTables(): void {
    this.#text = undefined
    this.#db.pragma('writable_schema = RESET')
  }

  #insert(entries: readonly IndexedEntry[], { first, last }: LeafHashes): void {
    const from = entries[0]!.index
    if (this.#sql.advance.run(from + entries.length, from === 0 ? first : null, last, from).changes !== 1)
      throw new Error('the index is not at the size that it was')
    for (const entry of entries) this.#insertOne(entry)
    for (const rows of Object.values(this.#rows)) rows.write()
    for (const { redacts } of entries) if (redacts !== undefined) this.#erase(redacts)
  }

  #insertOne(entry: IndexedEntry): void {
    const { index, time, kind, policy, artifacts, beyond, mark, signers = [] } = entry
    const type = entry.type === '' ? 0 : this.#id('types', entry.type)
    const keys = entry.keys.map((key) => this.#id('keys', hex(key)))
    const packed = artifacts.map(({ role, algorithm, digest }) => ({
      ...{ role, digest },
      algorithm: this.#id('algorithms', algorithm),
    }))
    this.#sql.event.run(index, time, kind, type, policy, Number(entry.saysMore), packIds(keys), packArtifacts(packed))
    const { byKey, byType, byArtifact } = this.#rows
    for (const key of keys) byKey.add([key, index])
    if (type !== 0) byType.add([type, index])
    if (kind !== 1) this.#sql.byKind.run(kind, index)
    for (const { role, digest } of artifacts)
      byArtifact.add([prefixOf(digest), ROLE_CODES[stepRole(entry.type, ROLE_NAMES[role])], index])
    for (const { role, digest } of beyond)
      this.#sql.beyond.run(prefixOf(fromHex(digest)!), ROLE_CODES[stepRole(entry.type, role)], index)
    if (mark !== undefined) this.#sql.mark.run(mark.origin, mark.index, index, mark.kind, mark.reason)
    if (entry.text !== '') this.#insertText(index, entry.text)
    for (const [key, name] of signers) this.#sql.signer.run(name, this.#id('keys', key))
  }

  #insertText(index: number, text: string): void {
    const chunk = Math.floor(index / TEXT_CHUNK)
    if (this.#text?.chunk !== chunk) {
      // Dropped for an erasure: it is made again as a whole.
      if (this.#sql.isPending.get(chunk) !== undefined) return
      const table = textTable(chunk)
      const exists = this.#db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table)
      if (exists === undefined) {
        this.#db.exec(createText(chunk))
        this.#db.exec(`INSERT INTO ${table} (${table}, rank) VALUES ('pgsz', 8000), ('hashsize', 4194304)`)
      }
      this.#text = { chunk, insert: this.#db.prepare(`INSERT INTO ${table} (rowid, body) VALUES (?, ?)`) }
    }
    this.#text.insert.run(index, text)
  }

  #id(table: 'types' | 'keys' | 'algorithms', name: string): number {
    const ids = this.#ids[table]
    const known = ids.get(name)
    if (known !== undefined) return known
    const { find, add } = this.#sql[table]
    const id = find.get(name) ?? Number(add.run(name).lastInsertRowid)
    if (ids.size >= REMEMBERED) ids.clear()
    ids.set(name, id)
    return id
  }

  kindOf(index: number): number | undefined {
    return this.#sql.kind.get(index)
  }

  /** Chunks whose text is missing. */
  get pending(): readonly number[] {
    return this.#sql.pending.all()
  }

  /** Makes the text of a chunk again, of the entries below `size` that still have a payload. */
  refill(chunk: number, texts: Iterable<{ readonly index: number; readonly text: string }>): void {
    this.#db
      .transaction(() => {
        this.#sql.resume.run(chunk)
        this.#text = undefined
        for (const { index, text } of texts) if (text !== '') this.#insertText(index, text)
      })
      .immediate()
  }

  /** Takes all that came from the payloads of these entries out of the tables; `clean` then says whether it is gone from the file. */
  erase(indexes: readonly number[]): void {
    this.#db.transaction(() => this.#erase(indexes)).immediate()
  }

  #erase(indexes: readonly number[]): void {
    const here = indexes.filter((index) => index < this.#size)
    for (const chunk of new Set(here.map((index) => Math.floor(index / TEXT_CHUNK)))) {
      this.#sql.suspend.run(chunk)
      this.#db.exec(`DROP TABLE IF EXISTS ${textTable(chunk)}`)
      if (this.#text?.chunk === chunk) this.#text = undefined
    }
    const list = JSON.stringify(here)
    if (here.some((index) => this.#sql.saysMore.get(index) === 1)) this.#renew('beyond', createBeyond, list)
    if (here.some((index) => this.#sql.setsMark.get(index) !== undefined)) this.#renew('marks', createMarks, list)
    this.#dirty = true
  }

  /** A copy without the rows of these indexes; the pages of the old table are overwritten as they are freed. */
  #renew(table: string, create: (name: string) => string, list: string): void {
    const next = `${table}_next`
    this.#db.exec(create(next))
    this.#db
      .prepare(`INSERT INTO ${next} SELECT * FROM ${table} WHERE idx NOT IN (SELECT value FROM json_each(?))`)
      .run(list)
    this.#db.exec(`DROP TABLE ${table}; ALTER TABLE ${next} RENAME TO ${table}`)
  }

  /** Whether no byte of what was erased is left, also in the journal. May be false while a reader is in it. */
  clean(): boolean {
    if (!this.#dirty) return true
    const [result] = this.#db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
    this.#dirty = result?.busy !== 0
    // SQLite does not sync what it has cut off, which would come back when the power goes.
    if (!this.#dirty) syncPath(`${this.#db.name}-wal`)
    return !this.#dirty
  }

  close(): void {
    this.#db.close()
  }
}
