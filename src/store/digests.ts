/**
 * Which entries have a given digest (key 7, or the leaf hash), exactly, at any size of log.
 *
 * One B-tree of digests takes a random page for each insert and slows to a crawl as it outgrows memory. So the digests of the last
 * entries are in memory only: the entries themselves are their durable state, and a start reads them from there again. Behind the commits they
 * move to sorted runs, which are merged four to one as in a log-structured merge tree. Nothing of this is on the path of a commit.
 *
 * A run is cut into pages by the leading bits of the digest, so that a look-up computes its page. Keys are 6 bytes
 * of the digest and 5 of the index (digest-keys.ts); a match is confirmed against the entry.
 */
import type Database from 'better-sqlite3'
import { concat, equal } from '../core/bytes.ts'
import { DigestFilter, PIECE_PAGES } from './digest-filter.ts'
import { KEY, Keys, MergedKeys, makeKey, nameOf, PREFIX, type SortedKeys } from './digest-keys.ts'
import {
  type DigestSource,
  FAN_IN,
  nextRunId,
  PAGE_KEYS,
  pageId,
  pageOf,
  pagesOf,
  RUN_SIZE,
  type Run,
  requireRuns,
} from './digest-runs.ts'

/** Pages that one step of housekeeping writes, and pieces of filters that it reads: a few milliseconds. */
const STEP_PAGES = 32
const STEP_PIECES = 4

/** Undefined for what is not there. */
type EntryAt = (index: number) => Uint8Array | undefined

export class DigestIndex {
  readonly #db: Database.Database
  readonly #digestOf: (entry: Uint8Array) => Uint8Array
  readonly #entryAt: EntryAt
  readonly #keepAll: boolean
  readonly #sql
  /** Digest to indexes, for entries from `#covered` on. */
  readonly #recent = new Map<string, number[]>()
  #runs: readonly Run[]
  #covered: number
  #nextRun: number
  #work: Iterator<void> | undefined
  /** Whether there may be pages of no run. */
  #garbage = true
  /** By run. A start reads them behind everything else; undefined where look-ups are rare. */
  readonly #filters: Map<number, DigestFilter> | undefined

  /** Throws INVALID_LOG where the rows of the runs are damaged: what it does with them might never end. */
  constructor(db: Database.Database, { kind, digestOf, keep, filtered }: DigestSource, entryAt: EntryAt) {
    this.#filters = filtered ? new Map() : undefined
    this.#db = db
    this.#digestOf = digestOf
    this.#entryAt = entryAt
    this.#keepAll = keep === 'all'
    this.#sql = {
      runs: db.prepare<[], Run>(`SELECT id, level, first, last, pages FROM ${kind}_runs ORDER BY first`),
      insertRun: db.prepare(`INSERT INTO ${kind}_runs (id, level, first, last, pages) VALUES (?, ?, ?, ?, ?)`),
      deleteRun: db.prepare(`DELETE FROM ${kind}_runs WHERE id = ?`),
      page: db.prepare<[number], Uint8Array>(`SELECT keys FROM ${kind}_run_pages WHERE id = ?`).pluck(),
      insertPage: db.prepare(`INSERT OR REPLACE INTO ${kind}_run_pages (id, keys) VALUES (?, ?)`),
      deletePages: db.prepare(
        `DELETE FROM ${kind}_run_pages WHERE id IN (SELECT id FROM ${kind}_run_pages WHERE id >= ? AND id < ? LIMIT ?)`,
      ),
      lastPage: db.prepare<[], number | null>(`SELECT max(id) FROM ${kind}_run_pages`).pluck(),
      anyPage: db.prepare(`SELECT 1 FROM ${kind}_run_pages WHERE id >= ? AND id < ? LIMIT 1`),
      ...(filtered && {
        filter: db.prepare<[number], Uint8Array>(`SELECT bits FROM ${kind}_run_filters WHERE id = ?`).pluck(),
        insertFilter: db.prepare(`INSERT OR REPLACE INTO ${kind}_run_filters (id, bits) VALUES (?, ?)`),
        deleteFilters: db.prepare(`DELETE FROM ${kind}_run_filters WHERE id >= ? AND id < ?`),
      }),
    }
    this.#runs = this.#sql.runs.all()
    requireRuns(kind, this.#runs)
    this.#covered = this.#runs.at(-1)?.last ?? 0
    this.#nextRun = nextRunId(kind, this.#runs, this.#sql.lastPage.get() ?? 0)
  }

  /** Entries below this are in runs; the others must be given to `add` before anything is looked up. */
  get covered(): number {
    return this.#covered
  }

  /** `digest` spares computing it where the caller has it. */
  add(entry: Uint8Array, index: number, digest = this.#digestOf(entry)): void {
    const name = nameOf(digest)
    const indexes = this.#recent.get(name)
    if (indexes === undefined) this.#recent.set(name, [index])
    else if (this.#keepAll) indexes.push(index)
  }

  /** The least index. */
  first(digest: Uint8Array): number | undefined {
    // Runs ascend, and so do the indexes of one digest in them.
    for (const index of this.#inRuns(digest)) return index
    return this.#recent.get(nameOf(digest))?.[0]
  }

  /** All indexes, ascending; of an index that keeps the first, that one and perhaps others. */
  find(digest: Uint8Array): number[] {
    return [...this.#inRuns(digest), ...(this.#recent.get(nameOf(digest)) ?? [])]
  }

  *#inRuns(digest: Uint8Array): Generator<number> {
    for (const { id, pages } of this.#runs) {
      const number = pageOf(digest, pages)
      if (this.#filters?.get(id)?.mayHave(number, digest) === false) continue
      const page = this.#sql.page.get(pageId(id, number))
      if (page === undefined) continue
      for (const index of matches(page, digest)) {
        // Six bytes can be equal by chance, or by somebody's work; and the index be that of nothing where the page is damaged.
        const entry = this.#entryAt(index)
        if (entry !== undefined && equal(this.#digestOf(entry), digest)) yield index
      }
    }
  }

  /** One small step of moving digests out of memory; true when there is more to do. `size` is that of the log. */
  maintain(size: number): boolean {
    this.#work ??= this.#plan(size)
    if (this.#work === undefined) return false
    // Digests are in the entries too: overwriting their old pages would only cost.
    this.#db.pragma('secure_delete = OFF')
    try {
      if (this.#work.next().done) this.#work = undefined
    } finally {
      this.#db.pragma('secure_delete = ON')
    }
    return true
  }

  #plan(size: number): Iterator<void> | undefined {
    const bare = this.#filters && this.#runs.find(({ id }) => !this.#filters!.has(id))
    if (bare !== undefined) return this.#filter(bare)
    if (size - this.#covered >= RUN_SIZE) return this.#spill()
    for (let level = 0; ; level++) {
      const runs = this.#runs.filter((run) => run.level === level)
      if (runs.length >= FAN_IN) return this.#merge(runs.slice(0, FAN_IN))
      if (!this.#runs.some((run) => run.level > level)) break
    }
    return this.#garbage ? this.#collectGarbage() : undefined
  }

  /** The filter of a run that was there before this process; made from its keys where a version before this one wrote it. */
  *#filter(run: Run): Generator<void> {
    const filter = new DigestFilter(run.pages)
    for (let number = 0; number < filter.pieces; number++) {
      const piece = filter.piece(number)
      const stored = this.#sql.filter!.get(pageId(run.id, number))
      if (stored?.length === piece.length) piece.set(stored)
      else this.#makePiece(run, filter, number)
      if (number % STEP_PIECES === STEP_PIECES - 1) yield
    }
    this.#filters!.set(run.id, filter)
  }

  #makePiece(run: Run, filter: DigestFilter, number: number): void {
    const from = number * PIECE_PAGES
    for (let page = from; page < Math.min(run.pages, from + PIECE_PAGES); page++) {
      const keys = this.#sql.page.get(pageId(run.id, page))
      for (let at = 0; keys !== undefined && at < keys.length; at += KEY) filter.add(page, keys, at)
    }
    this.#sql.insertFilter!.run(pageId(run.id, number), filter.piece(number))
  }

  /** The first RUN_SIZE recent entries become a run of level 0. */
  *#spill(): Generator<void> {
    const first = this.#covered
    const last = first + RUN_SIZE
    // As text of one byte a character, which the engine sorts by itself: several times faster than bytes by a comparison of ours.
    const keys: string[] = []
    const names: string[] = []
    for (const [name, indexes] of this.#recent) {
      for (const index of indexes) if (index < last) keys.push(makeKey(name, index))
      if (indexes.some((index) => index < last)) names.push(name)
    }
    yield
    keys.sort()
    yield
    yield* this.#write(new Keys([Buffer.from(keys.join(''), 'latin1')].values()), keys.length, 0, first, last, [])
    for (const name of names) {
      const later = this.#recent.get(name)!.filter((index) => index >= last)
      if (later.length > 0) this.#recent.set(name, later)
      else this.#recent.delete(name)
    }
  }

  *#merge(runs: readonly Run[]): Generator<void> {
    const count = runs.reduce((sum, { first, last }) => sum + last - first, 0)
    const keys = new MergedKeys(runs.map((run) => new Keys(this.#pagesOf(run))))
    yield* this.#write(keys, count, runs[0]!.level + 1, runs[0]!.first, runs.at(-1)!.last, runs)
  }

  *#pagesOf({ id, pages }: Run): Generator<Uint8Array> {
    for (let page = 0; page < pages; page++) {
      const keys = this.#sql.page.get(pageId(id, page))
      if (keys !== undefined) yield keys
    }
  }

  /**
   * Writes a run page by page, in transactions of a few. Dies before the last: the pages have no row in `runs`, and are found as
   * garbage. The last one puts the run in the place of those that it replaces.
   */
  *#write(
    keys: SortedKeys,
    count: number,
    level: number,
    first: number,
    last: number,
    replaces: readonly Run[],
  ): Generator<void> {
    const run: Run = { id: this.#nextRun++, level, first, last, pages: pagesOf(count) }
    const filter = this.#filters && new DigestFilter(run.pages)
    let waiting: [number, Uint8Array][] = []
    let page = 0
    let pieces = 0
    const flush = this.#db.transaction((whole: number) => {
      for (const [page, bytes] of waiting) this.#sql.insertPage.run(pageId(run.id, page), bytes)
      waiting = []
      for (; filter !== undefined && pieces < whole; pieces++)
        this.#sql.insertFilter!.run(pageId(run.id, pieces), filter.piece(pieces))
    })
    let held: Uint8Array = new Uint8Array(2 * PAGE_KEYS * KEY)
    let length = 0
    while (keys.next()) {
      const target = pageOf(keys.bytes, run.pages, keys.at)
      if (target !== page) {
        if (length > 0) waiting.push([page, held.slice(0, length)])
        length = 0
        page = target
        if (waiting.length >= STEP_PAGES) {
          flush(Math.floor(page / PIECE_PAGES))
          yield
        }
      }
      if (length === held.length) held = concat(held, new Uint8Array(held.length))
      for (let i = 0; i < KEY; i++) held[length + i] = keys.bytes[keys.at + i]!
      length += KEY
      filter?.add(page, keys.bytes, keys.at)
    }
    if (length > 0) waiting.push([page, held.slice(0, length)])
    this.#db.transaction(() => {
      flush(filter?.pieces ?? 0)
      for (const { id } of replaces) this.#sql.deleteRun.run(id)
      this.#sql.insertRun.run(run.id, run.level, run.first, run.last, run.pages)
    })()
    if (filter !== undefined) this.#filters!.set(run.id, filter)
    for (const { id } of replaces) this.#filters?.delete(id)
    this.#runs = this.#sql.runs.all()
    this.#covered = this.#runs.at(-1)!.last
    this.#garbage = true
  }

  /** Pages of runs that were replaced, or that a crash left unfinished. */
  #collectGarbage(): Generator<void> | undefined {
    const gaps: [number, number][] = []
    let from = 0
    for (const id of [...this.#runs.map((run) => run.id).sort((a, b) => a - b), this.#nextRun]) {
      if (id > from) gaps.push([from, id])
      from = id + 1
    }
    const dirty = gaps.filter(([a, b]) => this.#hasPages(a, b))
    this.#garbage = dirty.length > 0
    if (!this.#garbage) return undefined
    const { deletePages, deleteFilters } = this.#sql
    return (function* () {
      for (const [a, b] of dirty) {
        // First: what has no page any more is not looked for.
        deleteFilters?.run(pageId(a, 0), pageId(b, 0))
        while (deletePages.run(pageId(a, 0), pageId(b, 0), STEP_PAGES).changes > 0) yield
      }
    })()
  }

  #hasPages(fromRun: number, toRun: number): boolean {
    return this.#sql.anyPage.get(pageId(fromRun, 0), pageId(toRun, 0)) !== undefined
  }
}

/** Indexes of the keys of a page that begin as the digest does. Pages are sorted. */
function matches(blob: Uint8Array, digest: Uint8Array): number[] {
  const page = Buffer.from(blob.buffer, blob.byteOffset, blob.length)
  let low = 0
  let high = page.length / KEY
  while (low < high) {
    const middle = (low + high) >> 1
    if (page.compare(digest, 0, PREFIX, middle * KEY, middle * KEY + PREFIX) < 0) low = middle + 1
    else high = middle
  }
  const found: number[] = []
  for (; low * KEY < page.length; low++) {
    if (page.compare(digest, 0, PREFIX, low * KEY, low * KEY + PREFIX) !== 0) break
    found.push(page.readUIntBE(low * KEY + PREFIX, KEY - PREFIX))
  }
  return found
}
