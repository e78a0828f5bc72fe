/** A log in one SQLite file. Long, because every statement of it stands here, prepared once and written out: what a commit touches is seen on one page. */
import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import { concat } from '../core/bytes.ts'
import { addendumDigest } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { EMPTY_ROOT, leafHash } from '../core/merkle.ts'
import { formatBundle, parseBundle, TILE_WIDTH } from '../core/tile.ts'
import { Checkpoints } from './checkpoints.ts'
import { DigestCheck } from './digest-check.ts'
import { type DigestSource, RUN_SIZE } from './digest-runs.ts'
import { DigestIndex } from './digests.ts'
import { Journal } from './journal.ts'
import { Packing, unpack } from './packing.ts'
import { plain } from './plain.ts'
import {
  APPLICATION_ID,
  FILLING,
  MIGRATIONS,
  PAGE_BYTES,
  RESTORED,
  SCHEMA,
  SCHEMA_VERSION,
  TILE_ROWS,
  tileRow,
} from './schema.ts'
import type { Commit, Head, Store, StoredTile, WitnessedCheckpoint } from './store.ts'
import { syncPath } from './sync-path.ts'
import { FEW_TILES, Warming } from './warming.ts'

/** A row never crosses the end of a bundle. Whether it is packed is read with it: housekeeping may pack it at any time. */
interface EntryRow {
  readonly first: number
  readonly count: number
  readonly bundle: Uint8Array
  readonly packed: 0 | 1
}
const ENTRY_ROW = 'first, count, bundle, first < (SELECT packed FROM log) AS packed'

const BY_LEAF: DigestSource = { kind: 'leaf', digestOf: leafHash, keep: 'first', filtered: false }
const BY_ADDENDUM: DigestSource = { kind: 'addendum', digestOf: addendumDigest, keep: 'all', filtered: true }

/** Rows that one statement inserts where a commit has as many: a call of the engine costs as much as a small row. */
const ROWS_AT_ONCE = 16

/** Entries whose digests are in memory alone: more than a log ever leaves there. */
const MANY_RECENT = 8 * RUN_SIZE

/** The pragmas of every connection. A reopened WAL database falls back to NORMAL, which can lose a commit with the power. */
function configure(db: Database.Database): void {
  db.pragma('synchronous = FULL')
  db.pragma('secure_delete = ON')
  // KiB. A server has several readers of a log, and the pages that they read are in the memory of the system already.
  db.pragma(`cache_size = ${db.readonly ? -8_192 : -16_384}`)
}

/** Makes the file of a new log, or of one that is to be filled from a copy and never signs. Throws USAGE when there is one already. */
export function createStore(file: string, origin: string, profile: string, { restored = false } = {}): void {
  if (existsSync(file)) throw new TreelineError('USAGE', `${file} exists already`)
  const db = new Database(file)
  try {
    db.pragma(`page_size = ${PAGE_BYTES}`)
    db.pragma('journal_mode = WAL')
    configure(db)
    db.pragma(`application_id = ${APPLICATION_ID}`)
    // One transaction: a crash leaves either no table or all of them with the head of the empty tree.
    db.transaction(() => {
      db.exec(SCHEMA)
      const marker = restored ? FILLING : 0
      db.prepare('INSERT INTO log VALUES (1, ?, ?, 0, ?, 0, ?, 0)').run(origin, profile, EMPTY_ROOT, marker)
      db.pragma(`user_version = ${SCHEMA_VERSION}`)
    })()
  } finally {
    db.close()
  }
}

/** Entries that were read for what they are found by; once for each of that. */
type Progress = (done: number, size: number) => void

interface OpenOptions {
  readonly readonly?: boolean
  /** Make what entries are found by again, out of the entries. */
  readonly newDigests?: boolean
  readonly progress?: Progress
}

/** An open log file; `readonly` for programs that only look, also while a server writes. */
export class SqliteStore implements Store {
  readonly origin: string
  readonly profile: string
  readonly restored: boolean
  readonly db: Database.Database
  readonly #sql
  readonly #commit: (commit: Commit) => void
  readonly #checkpoints: Checkpoints
  /** Not of a raw log: bytes of which nothing is known need not compress, and writing them twice would cost more than rows do. */
  readonly #packing: Packing | undefined
  readonly #journal: Journal | undefined
  #warming: Warming | undefined
  #unpacked: { readonly first: number; readonly bundle: Uint8Array } | undefined
  /** By what entries are found; a raw log has no addenda. Empty where nothing is written. */
  readonly #digests: { readonly addendum?: DigestIndex; readonly leaf?: DigestIndex }

  private constructor(db: Database.Database) {
    this.db = db
    const log = db.prepare('SELECT origin, profile, restored FROM log').get() as {
      origin: string
      profile: string
      restored: number
    }
    this.origin = log.origin
    this.profile = log.profile
    this.restored = log.restored !== 0
    this.#sql = {
      head: db.prepare<[], Head>('SELECT size, root, time FROM log'),
      // The WHERE clause, not an earlier read, is what stops a second writer from forking the log.
      advance: db.prepare(
        `UPDATE log SET size = ?, root = ?, time = ? WHERE id = 1 AND size = ? AND restored <> ${RESTORED}`,
      ),
      seal: db.prepare(`UPDATE log SET restored = ${RESTORED} WHERE id = 1 AND restored = ${FILLING}`),
      insertEntries: db.prepare('INSERT INTO entries (first, count, bundle) VALUES (?, ?, ?)'),
      insertAddendum: db.prepare('INSERT INTO addenda (entry, bytes) VALUES (?, ?)'),
      insertAddenda: db.prepare(
        `INSERT INTO addenda (entry, bytes) VALUES ${Array.from({ length: ROWS_AT_ONCE }, () => '(?, ?)').join(', ')}`,
      ),
      insertTile: db.prepare('INSERT INTO tiles (id, hashes, nodes) VALUES (?, ?, ?)'),
      insertRedaction: db.prepare('INSERT OR IGNORE INTO redactions (entry, by) VALUES (?, ?)'),
      insertPolicy: db.prepare('INSERT INTO policies (entry) VALUES (?)'),
      policies: db.prepare<[], number>('SELECT entry FROM policies ORDER BY entry').pluck(),
      // Zeros in place, not DELETE: that would move neighbours between pages, and secure_delete does not overwrite where they were.
      eraseAddendum: db.prepare('UPDATE addenda SET bytes = zeroblob(length(bytes)) WHERE entry = ?'),
      entries: db.prepare<[number, number], EntryRow>(
        `SELECT ${ENTRY_ROW} FROM entries WHERE first >= ? AND first < ? ORDER BY first`,
      ),
      entryRow: db.prepare<[number], EntryRow>(
        `SELECT ${ENTRY_ROW} FROM entries WHERE first <= ? ORDER BY first DESC LIMIT 1`,
      ),
      tile: db.prepare<[number, number], { hashes: Uint8Array; nodes: Uint8Array }>(
        'SELECT hashes, nodes FROM tiles WHERE id >= ? AND id < ? ORDER BY id',
      ),
      addendum: db
        .prepare<[number], Uint8Array>(
          'SELECT bytes FROM addenda WHERE entry = ? AND entry NOT IN (SELECT entry FROM redactions)',
        )
        .pluck(),
      addenda: db.prepare<[number, number], { entry: number; bytes: Uint8Array }>(
        'SELECT entry, bytes FROM addenda WHERE entry >= ? AND entry < ? AND entry NOT IN (SELECT entry FROM redactions) ORDER BY entry',
      ),
      redactedBy: db.prepare<[number], number>('SELECT by FROM redactions WHERE entry = ?').pluck(),
    }
    this.#checkpoints = new Checkpoints(db)
    this.#commit = db.transaction((commit: Commit) => this.#write(commit)).immediate
    this.#packing = db.readonly || log.profile === 'raw' ? undefined : new Packing(db)
    this.#journal = db.readonly ? undefined : new Journal(db)
    const entryAt = (index: number) => this.#entry(index)
    this.#digests = db.readonly
      ? {}
      : {
          leaf: new DigestIndex(db, BY_LEAF, entryAt),
          ...(log.profile !== 'raw' && { addendum: new DigestIndex(db, BY_ADDENDUM, entryAt) }),
        }
  }

  /** With the entries that are in none of its runs. Where they are many, because somebody took the runs away, new ones are made on the way. */
  #fill(index: DigestIndex, progress: Progress): void {
    const { size } = this.#sql.head.get()!
    for (let from = index.covered; from < size; from += TILE_WIDTH) {
      const entries = this.#entries(from, Math.min(size, from + TILE_WIDTH))
      entries.forEach((entry, i) => {
        index.add(entry, from + i)
      })
      if (from - index.covered > MANY_RECENT) while (index.maintain(from + entries.length));
      progress(from + entries.length, size)
    }
  }

  /** Throws USAGE when there is no such file, or it is not a log of this version; INVALID_LOG where it cannot be told by what entries are found. */
  static open(
    file: string,
    { readonly = false, newDigests = false, progress = () => {} }: OpenOptions = {},
  ): SqliteStore {
    if (!existsSync(file)) throw new TreelineError('USAGE', `there is no log at ${file}`)
    const db = new Database(file, { readonly, fileMustExist: true })
    try {
      const id = db.pragma('application_id', { simple: true })
      const version = db.pragma('user_version', { simple: true }) as number
      configure(db)
      if (readonly && id === APPLICATION_ID && MIGRATIONS[version] !== undefined)
        throw new TreelineError(
          'USAGE',
          `${file} is a log of an earlier version: serve it once, which brings it to this one`,
        )
      if (id !== APPLICATION_ID || !(readonly ? version === SCHEMA_VERSION : migrate(db, version))) {
        throw new TreelineError('USAGE', `${file} is not a log of this version (found ${id}/${version})`)
      }
      // What a killed process left in the journal may never have reached the disk. Nothing may be signed before it has.
      if (!readonly && !emptyJournal(db)) syncPath(`${file}-wal`)
      if (newDigests) db.exec('DELETE FROM leaf_runs; DELETE FROM addendum_runs')
      const store = new SqliteStore(db)
      for (const index of Object.values(store.#digests)) store.#fill(index, progress)
      return store
    } catch (error) {
      db.close()
      throw error
    }
  }

  /** What SQLite says of itself, for whoever wants to know what an answer is worth. */
  get durability(): string {
    const level = this.db.pragma('synchronous', { simple: true }) as number
    return `journal_mode=${this.db.pragma('journal_mode', { simple: true })} synchronous=${['OFF', 'NORMAL', 'FULL', 'EXTRA'][level]}`
  }

  /**
   * What is wrong with the structure of the file: keys out of order, pages that are used twice, rows that are cut off. Says nothing of what stands in them.
   * Table by table, so that a journal can be emptied between.
   */
  damage(): string[] {
    const tables = this.db.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all()
    return tables
      .flatMap((table) => this.db.prepare<[], string>(`PRAGMA quick_check(${table})`).pluck().all())
      .filter((found) => found !== 'ok')
  }

  /** Checks of what entries are found by; each is to be given all entries. */
  digestChecks(): DigestCheck[] {
    const sources = this.profile === 'raw' ? [BY_LEAF] : [BY_LEAF, BY_ADDENDUM]
    return sources.map((source) => new DigestCheck(this.db, source, (from, to) => this.#entries(from, to)))
  }

  async head(): Promise<Head> {
    const { size, root, time } = this.#sql.head.get()!
    return { size, root: plain(root), time }
  }

  async commit(commit: Commit): Promise<void> {
    this.#commit(commit)
    const { addendum, leaf } = this.#digests
    commit.entries.forEach((entry, i) => {
      addendum?.add(entry, commit.from + i)
      leaf?.add(entry, commit.from + i, commit.leaves?.[i])
    })
  }

  #write({ from, entries, addenda, redactions, policies, tiles, head }: Commit): void {
    const moved = this.#sql.advance.run(head.size, head.root, head.time, from)
    if (moved.changes !== 1)
      throw new Error(`the log is no longer at size ${from}, or was restored: another process wrote to it`)
    for (let at = 0; at < entries.length; ) {
      const room = TILE_WIDTH - ((from + at) % TILE_WIDTH)
      const part = entries.slice(at, at + room)
      this.#sql.insertEntries.run(from + at, part.length, formatBundle(part))
      at += part.length
    }
    let done = 0
    for (; done + ROWS_AT_ONCE <= addenda.length; done += ROWS_AT_ONCE)
      this.#sql.insertAddenda.run(
        addenda.slice(done, done + ROWS_AT_ONCE).flatMap(({ index, bytes }) => [index, bytes]),
      )
    for (const { index, bytes } of addenda.slice(done)) this.#sql.insertAddendum.run(index, bytes)
    for (const { index, by } of redactions) {
      this.#sql.insertRedaction.run(index, by)
      this.#sql.eraseAddendum.run(index)
    }
    for (const index of policies) this.#sql.insertPolicy.run(index)
    for (const { level, index, nodes } of tiles) {
      const hashes = quarters(nodes.bytes(TILE_WIDTH))
      const stored = quarters(nodes.storedNodes())
      for (let i = 0; i < TILE_ROWS; i++) this.#sql.insertTile.run(tileRow(level, index) + i, hashes[i], stored[i])
    }
  }

  async entries(from: number, to: number): Promise<Uint8Array[]> {
    return this.#entries(from, to)
  }

  async entry(index: number): Promise<Uint8Array | undefined> {
    return this.#entry(index)
  }

  /** The same, for programs that read synchronously. */
  entriesAt(from: number, to: number): Uint8Array[] {
    return this.#entries(from, to)
  }

  /** The same, for programs that read synchronously. */
  entryAt(index: number): Uint8Array | undefined {
    return this.#entry(index)
  }

  #entry(index: number): Uint8Array | undefined {
    const row = this.#sql.entryRow.get(index)
    return row && parseBundle(this.#bundleOf(row))[index - row.first]
  }

  #entries(from: number, to: number): Uint8Array[] {
    const found: Uint8Array[] = []
    // The row that holds `from` begins in its bundle.
    for (const row of this.#sql.entries.all(from - (from % TILE_WIDTH), to)) {
      if (row.first + row.count <= from) continue
      const entries = parseBundle(this.#bundleOf(row))
      found.push(...entries.slice(Math.max(0, from - row.first), to - row.first))
    }
    return found
  }

  async bundle(index: number, width: number): Promise<Uint8Array> {
    const from = index * TILE_WIDTH
    const rows = this.#sql.entries.all(from, from + width)
    const bundles = rows.map((row) => this.#bundleOf(row))
    const last = rows.at(-1)
    if (last !== undefined && last.first + last.count > from + width) {
      const kept = parseBundle(bundles.at(-1)!).slice(0, from + width - last.first)
      bundles[bundles.length - 1] = formatBundle(kept)
    }
    return concat(...bundles)
  }

  #bundleOf({ first, bundle, packed }: EntryRow): Uint8Array {
    if (packed === 0) return plain(bundle)
    // Whoever reads entries one by one stays in a bundle for a while.
    if (this.#unpacked?.first !== first) this.#unpacked = { first, bundle: unpack(bundle) }
    return this.#unpacked.bundle
  }

  async tile(level: number, index: number): Promise<StoredTile | undefined> {
    const first = tileRow(level, index)
    const rows = this.#sql.tile.all(first, first + TILE_ROWS)
    if (rows.length < TILE_ROWS) return undefined
    return { hashes: rows.map(({ hashes }) => hashes), nodes: rows.map(({ nodes }) => nodes) }
  }

  async addendum(index: number): Promise<Uint8Array | undefined> {
    return this.addendumAt(index)
  }

  /** The same, for programs that read synchronously. */
  addendumAt(index: number): Uint8Array | undefined {
    const bytes = this.#sql.addendum.get(index)
    return bytes && plain(bytes)
  }

  /** The addenda of the entries [from, to) that have one, in order, until they are `most` bytes. For programs that read a whole log. */
  addenda(from: number, to: number, most: number): { readonly index: number; readonly bytes: Uint8Array }[] {
    const found: { index: number; bytes: Uint8Array }[] = []
    let length = 0
    for (const { entry, bytes } of this.#sql.addenda.iterate(from, to)) {
      found.push({ index: entry, bytes: plain(bytes) })
      length += bytes.length
      if (length >= most) break
    }
    return found
  }

  async findAddendum(digest: Uint8Array): Promise<readonly number[]> {
    return this.#digests.addendum?.find(digest) ?? []
  }

  async findLeaf(hash: Uint8Array): Promise<number | undefined> {
    return this.#digests.leaf?.first(hash)
  }

  async policies(): Promise<readonly number[]> {
    return this.#sql.policies.all()
  }

  async redactedBy(index: number): Promise<number | undefined> {
    return this.#sql.redactedBy.get(index)
  }

  async keepCheckpoint(checkpoint: WitnessedCheckpoint): Promise<void> {
    this.#checkpoints.keep(checkpoint)
  }

  async checkpointCovering(index: number): Promise<WitnessedCheckpoint | undefined> {
    return this.#checkpoints.covering(index)
  }

  async checkpointBefore(index: number): Promise<WitnessedCheckpoint | undefined> {
    return this.#checkpoints.before(index)
  }

  async erase(): Promise<boolean> {
    await this.#journal?.idle()
    // The rows are overwritten in their pages; the journal still holds older copies of those pages.
    if (!emptyJournal(this.db)) return false
    // SQLite does not sync what it has cut off: without this the copies come back when the power goes.
    syncPath(`${this.db.name}-wal`)
    return true
  }

  /** Ends the filling of a restored log: no commit succeeds in this file again. */
  async seal(): Promise<void> {
    if (this.#sql.seal.run().changes !== 1) throw new Error('the log is not one that is being restored')
  }

  async warm(): Promise<void> {
    if (!this.db.open || this.#sql.head.get()!.size < FEW_TILES * TILE_WIDTH) return
    this.#warming ??= new Warming(this.db.name)
    await this.#warming.ended
  }

  async maintain(): Promise<boolean> {
    this.#journal?.maintain()
    const { size } = this.#sql.head.get()!
    // Each takes its step, so that none starves the other.
    return [...Object.values(this.#digests), ...(this.#packing ? [this.#packing] : [])]
      .map((part) => part.maintain(size))
      .includes(true)
  }

  async close(): Promise<void> {
    await this.#warming?.close()
    await this.#journal?.close()
    this.db.close()
  }
}

/** False when there is no way from that version to this one. Each step is a transaction: a crash leaves the version before it or after it. */
function migrate(db: Database.Database, found: number): boolean {
  let version = found
  for (let step = MIGRATIONS[version]; step !== undefined; step = MIGRATIONS[version]) {
    const next = version + 1
    db.transaction(() => {
      db.exec(step!)
      db.pragma(`user_version = ${next}`)
    })()
    version = next
  }
  return version === SCHEMA_VERSION
}

/** False while a reader holds old pages. SQLite would wait for it inside the call, and with it the whole process: the caller tries again instead. */
function emptyJournal(db: Database.Database): boolean {
  const timeout = db.pragma('busy_timeout', { simple: true }) as number
  db.pragma('busy_timeout = 0')
  try {
    const [result] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
    return result?.busy === 0
  } finally {
    db.pragma(`busy_timeout = ${timeout}`)
  }
}

function quarters(bytes: Uint8Array): Uint8Array[] {
  const size = bytes.length / TILE_ROWS
  return Array.from({ length: TILE_ROWS }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}
