/** The sorted runs of digests (digests.ts), and how their rows are told. */
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

/** The row of a page of a run, or of a piece of its filter. */
export const pageId = (run: number, page: number): number => run * 2 ** 32 + page

/** The page, of `pages`, that a digest or key at `at` belongs to. */
export const pageOf = (key: Uint8Array, pages: number, at = 0): number =>
  Math.floor(uint32(key, at) * (pages / 2 ** 32))
