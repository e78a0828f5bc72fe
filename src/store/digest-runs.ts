/** The sorted runs of digests (digests.ts), and how their rows are told. */

import { TreelineError } from '../core/errors.ts'
import { uint32 } from './digest-keys.ts'
import type { DigestKind } from './schema.ts'

/** What a log looks entries up by. */
export interface DigestSource {
  readonly kind: DigestKind
  readonly digestOf: (entry: Uint8Array) => Uint8Array
  /** Which indexes of a digest: anybody can fill a raw log with one entry, and a question about it must not cost more each time. */
  readonly keep: 'all' | 'first'
  /** Where most look-ups are of digests that nobody has. Costs 1.25 bytes of memory an entry, and as many on the disk. */
  readonly filtered: boolean
}

/** Digests of one new run, and runs of one level that become one of the next. */
export const RUN_SIZE = 16_384
export const FAN_IN = 4

/** Of the entries [first, last), RUN_SIZE * FAN_IN^level of them. */
export interface Run {
  readonly id: number
  readonly level: number
  readonly first: number
  readonly last: number
  readonly pages: number
}

/** Mean keys of a page: 3 standard deviations above it still fit a SQLite page of 16 KiB. */
export const PAGE_KEYS = 1_360

/** Pages of a run of so many keys. */
export const pagesOf = (keys: number): number => Math.max(1, Math.ceil(keys / PAGE_KEYS))

/** Ids of runs end here: that of a page is exact in a number. */
const MAX_RUNS = 2 ** 20

/** The least id that no run of these and none of these pages has. Throws INVALID_LOG. */
export function nextRunId(kind: DigestKind, runs: readonly Run[], lastPage: number): number {
  const next = Math.max(Math.floor(lastPage / 2 ** 32), ...runs.map(({ id }) => id), 0) + 1
  if (next > MAX_RUNS) throw damagedRuns(kind, `a page has the id ${lastPage}`)
  return next
}

/** What stands in a row that is no run, whatever its pages hold; or undefined. */
export function faultOfRow({ id, level, first, last, pages }: Run): string | undefined {
  const count = last - first
  if (!(id > 0 && id <= MAX_RUNS)) return 'its id is that of no run'
  if (first % RUN_SIZE !== 0 || count !== RUN_SIZE * FAN_IN ** level) return 'it has another length than its level has'
  if (!(pages >= 1 && pages <= pagesOf(count))) return 'it has another number of pages than its length has'
  return undefined
}

/** Throws INVALID_LOG unless these are runs, one behind the other from the first entry on. */
export function requireRuns(kind: DigestKind, runs: readonly Run[]): void {
  let at = 0
  for (const run of runs) {
    if (run.first !== at) throw damagedRuns(kind, `the entries from ${at} on are in none`)
    const fault = faultOfRow(run)
    if (fault !== undefined) throw damagedRun(kind, run, fault)
    at = run.last
  }
}

export const damagedRuns = (kind: DigestKind, why: string): TreelineError =>
  new TreelineError(
    'INVALID_LOG',
    `the runs of digests by which entries are found (${kind}) are damaged: ${why}; treeline-server rebuild-index --digests makes them again`,
  )

export const damagedRun = (kind: DigestKind, { first, last }: Run, fault: string): TreelineError =>
  damagedRuns(kind, `that of the entries ${first} to ${last}: ${fault}`)

/** The row of a page of a run, or of a piece of its filter. */
export const pageId = (run: number, page: number): number => run * 2 ** 32 + page

/** The page, of `pages`, that a digest or key at `at` belongs to. */
export const pageOf = (key: Uint8Array, pages: number, at = 0): number =>
  Math.floor(uint32(key, at) * (pages / 2 ** 32))
