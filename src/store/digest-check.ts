/**
 * Whether the sorted runs of digests (digests.ts) are those of the entries: each key in its page and in order, none that is no entry's, none missing. Where
 * one is missing or cannot be found, an event that is there would be taken for a new one.
 *
 * The entries come in the order of the log and the keys in that of digests, so both are summed, for each new run's worth of entries by a hash of 32 bits of
 * each key. That finds what a disk does; who may write to the file can write entries too.
 */
import type Database from 'better-sqlite3'
import { TILE_WIDTH } from '../core/tile.ts'
import { DigestFilter, PIECE_PAGES } from './digest-filter.ts'
import { KEY, PREFIX, uint32 } from './digest-keys.ts'
import {
  type DigestSource,
  damagedRun,
  damagedRuns,
  faultOfRow,
  pageId,
  pageOf,
  RUN_SIZE,
  type Run,
} from './digest-runs.ts'
import { DigestIndex } from './digests.ts'

type EntriesAt = (from: number, to: number) => readonly Uint8Array[]

export class DigestCheck {
  readonly #db: Database.Database
  readonly #source: DigestSource
  readonly #entriesAt: EntriesAt
  /** One for each RUN_SIZE entries. */
  readonly #sums: number[] = []
  #size = 0
  readonly #sql

  constructor(db: Database.Database, source: DigestSource, entriesAt: EntriesAt) {
    this.#db = db
    this.#source = source
    this.#entriesAt = entriesAt
    const { kind } = source
    this.#sql = {
      next: db.prepare<[number], Run>(
        `SELECT id, level, first, last, pages FROM ${kind}_runs WHERE last > ? OR last <= first ORDER BY first LIMIT 1`,
      ),
      page: db.prepare<[number], Uint8Array>(`SELECT keys FROM ${kind}_run_pages WHERE id = ?`).pluck(),
      ...(source.filtered && {
        filter: db.prepare<[number], Uint8Array>(`SELECT bits FROM ${kind}_run_filters WHERE id = ?`).pluck(),
      }),
    }
  }

  /** The next entries, and their leaf hashes. */
  add(entries: readonly Uint8Array[], leaves: readonly Uint8Array[]): void {
    const { kind, digestOf } = this.#source
    for (const digest of kind === 'leaf' ? leaves : entries.map(digestOf)) this.#add(digest)
  }

  #add(digest: Uint8Array): void {
    const block = Math.floor(this.#size / RUN_SIZE)
    const index = this.#size++
    this.#sums[block] =
      ((this.#sums[block] ?? 0) +
        mix(uint32(digest, 0), (digest[4]! << 8) | digest[5]!, Math.floor(index / 2 ** 32), index >>> 0)) |
      0
  }

  /** Throws INVALID_LOG with the first run that is damaged. Entries of runs that were not added are read. Runs may be merged meanwhile. */
  compare(): void {
    const { kind } = this.#source
    for (let at = 0; ; ) {
      const run = this.#sql.next.get(at)
      if (run === undefined) return
      if (run.first > at) throw damagedRuns(kind, `the entries from ${at} on are in none`)
      const fault = faultOfRow(run) ?? this.#faultOf(run)
      // Merged meanwhile, and its pages gone.
      if (this.#sql.next.get(at)?.id !== run.id) continue
      if (fault !== undefined) throw damagedRun(kind, run, fault)
      at = run.last
    }
  }

  /** What is wrong with the pages of a run. */
  #faultOf(run: Run): string | undefined {
    const { first, last, pages } = run
    const filter = this.#sql.filter && new DigestFilter(pages)
    let sum = 0
    let keys = 0
    for (let number = 0; number < pages; number++) {
      if (filter !== undefined && number % PIECE_PAGES === 0) {
        const piece = filter.piece(number / PIECE_PAGES)
        const stored = this.#sql.filter!.get(pageId(run.id, number / PIECE_PAGES))
        // A version before this one wrote none; a start makes it.
        if (stored === undefined) piece.fill(0xff)
        else if (stored.length !== piece.length) return `the filter of page ${number} has another length`
        else piece.set(stored)
      }
      const page = this.#sql.page.get(pageId(run.id, number))
      if (page === undefined) continue
      if (page.length % KEY !== 0) return `page ${number} is no number of keys`
      for (let at = 0; at < page.length; at += KEY) {
        if (pageOf(page, pages, at) !== number) return `a key of page ${number} belongs elsewhere`
        if (at > 0 && !ascends(page, at - KEY, at)) return `the keys of page ${number} are not in order`
        if (filter?.mayHave(number, page, at) === false)
          return `the filter of page ${number} does not have all of its keys`
        sum =
          (sum +
            mix(
              uint32(page, at),
              (page[at + 4]! << 8) | page[at + 5]!,
              page[at + PREFIX]!,
              uint32(page, at + PREFIX + 1),
            )) |
          0
      }
      keys += page.length / KEY
    }
    if (keys < last - first && this.#source.keep === 'first')
      return this.#db.transaction(() => this.#faultOfSome(run))()
    return sum === this.#sumOf(first, last) ? undefined : 'the keys are not those of the entries'
  }

  #sumOf(first: number, last: number): number {
    while (this.#size < last) {
      const entries = this.#entriesAt(this.#size, Math.min(last, this.#size + RUN_SIZE))
      if (entries.length === 0) return Number.NaN
      for (const entry of entries) this.#add(this.#source.digestOf(entry))
    }
    return this.#sums.slice(first / RUN_SIZE, last / RUN_SIZE).reduce((a, b) => (a + b) | 0, 0)
  }

  /** Of a run that may leave out what an earlier index stands for: each entry is looked for. Runs that are merged meanwhile must not be missed. */
  #faultOfSome({ first, last }: Run): string | undefined {
    const { digestOf } = this.#source
    const index = new DigestIndex(this.#db, this.#source, (at) => this.#entriesAt(at, at + 1)[0])
    for (let from = first; from < last; ) {
      const entries = this.#entriesAt(from, Math.min(last, from + TILE_WIDTH))
      if (entries.length === 0) return `entry ${from} is not there`
      for (const entry of entries) {
        const found = index.first(digestOf(entry))
        if (found === undefined || found > from) return `entry ${from} is not found by its digest`
        from++
      }
    }
    return undefined
  }
}

const ascends = (page: Uint8Array, a: number, b: number): boolean => {
  for (let i = 0; i < KEY; i++) if (page[a + i] !== page[b + i]) return page[a + i]! < page[b + i]!
  return false
}

/** Of the six bytes of a digest and the five of an index. */
function mix(a: number, b: number, c: number, d: number): number {
  let x = Math.imul(a ^ Math.imul(d, 0x9e3779b1), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 15) ^ ((c << 16) | b), 0xc2b2ae35)
  x = Math.imul(x ^ (x >>> 13), 0x27d4eb2f)
  return x ^ (x >>> 16)
}
