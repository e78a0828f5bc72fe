/** Questions to the index of one log: which entries fit a filter. */
import { KIND_NAMES } from '../core/entry.ts'
import { matchPattern } from '../core/pattern.ts'
import type { Candidates, IndexedEvent, IndexReader } from '../store/index-reader.ts'
import { ROLE_CODES } from '../store/index-rows.ts'
import { TEXT_CHUNK } from '../store/index-schema.ts'
import type { SqliteStore } from '../store/sqlite.ts'
import { beyondOf, type PolicyLists } from './indexer.ts'

export interface EventFilter {
  /** Id of a key that signed. */
  readonly signer?: string
  /** Exact, or a prefix that ends in `*`. */
  readonly type?: string
  /** Without an algorithm, of any. Lowercase hex. */
  readonly artifact?: { readonly algorithm?: string; readonly digest: string }
  /** Of the artifact; without one, of any artifact that the entry shows. */
  readonly role?: keyof typeof ROLE_CODES
  readonly kind?: (typeof KIND_NAMES)[keyof typeof KIND_NAMES]
  /** Half-open, ms since the Unix epoch. */
  readonly since?: number
  readonly until?: number
  /** Each must occur in the payload, as a phrase. */
  readonly terms?: readonly string[]
}

export interface ListQuestion {
  readonly log: string
  readonly filter: EventFilter
  /** Where to begin: the lowest index, or, descending, the highest. */
  readonly from?: number
  readonly limit: number
  readonly order: 'asc' | 'desc'
  /** Of the log, as the one who asks knows it. */
  readonly size: number
  /** Whether artifacts that stand only in payloads count. */
  readonly payload: boolean
}

export interface ListAnswer {
  readonly indexes: readonly number[]
  /** Where to go on; null when there is nothing more below `completeTo`. */
  readonly next: number | null
  readonly completeTo: number
}

/** Time for one page: past it the page ends early, and `next` says where. */
const PATIENCE = 250

/** A log as questions see it. */
export interface OpenIndex {
  readonly reader: IndexReader
  readonly store: SqliteStore
  readonly policies: PolicyLists
}

export function search(open: OpenIndex, question: ListQuestion): ListAnswer {
  const { reader } = open
  const { filter, limit, order } = question
  const completeTo = Math.min(question.size, filter.terms === undefined ? reader.size : reader.textSize)
  const since = filter.since === undefined ? 0 : reader.firstAt(filter.since, completeTo)
  const until = filter.until === undefined ? completeTo : reader.firstAt(filter.until, completeTo)
  const up = order === 'asc'
  const low = up ? Math.max(since, question.from ?? 0) : since
  const high = up ? until : Math.min(until, (question.from ?? completeTo) + 1)
  const candidates = driverOf(reader, filter, question.payload)
  const deadline = performance.now() + PATIENCE
  const indexes: number[] = []
  for (const [from, to] of windows(low, high, up)) {
    const found = candidates(from, to)
    for (const index of up ? found : found.toReversed()) {
      if (indexes.length === limit || performance.now() > deadline) return { indexes, next: index, completeTo }
      if (fits(open, index, filter, question.payload)) indexes.push(index)
    }
    const next = up ? to : from - 1
    const more = up ? next < high : next >= low
    if (more && performance.now() > deadline) return { indexes, next, completeTo }
  }
  return { indexes, next: null, completeTo }
}

/** The spans of which text has a table each. */
function* windows(low: number, high: number, up: boolean): Generator<readonly [number, number]> {
  if (low >= high) return
  const first = Math.floor(low / TEXT_CHUNK)
  const last = Math.floor((high - 1) / TEXT_CHUNK)
  for (let i = 0; i <= last - first; i++) {
    const chunk = up ? first + i : last - i
    yield [Math.max(low, chunk * TEXT_CHUNK), Math.min(high, (chunk + 1) * TEXT_CHUNK)]
  }
}

/** The part of the filter that the fewest entries should fit; the others are looked at one by one. */
function driverOf(reader: IndexReader, filter: EventFilter, payload: boolean): Candidates {
  const { terms, artifact, signer, type, kind } = filter
  if (terms !== undefined) return reader.byText(terms)
  if (artifact !== undefined) return reader.byArtifact(Buffer.from(artifact.digest, 'hex'), payload)
  if (signer !== undefined) return reader.byKey(signer)
  if (kind !== undefined && kind !== 'event') return reader.byKind(kindCode(kind))
  return (type !== undefined && reader.byType(type)) || everything
}

const everything: Candidates = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)

const kindCode = (name: string): number => Object.values(KIND_NAMES).indexOf(name as 'event')

function fits(open: OpenIndex, index: number, filter: EventFilter, payload: boolean): boolean {
  const { signer, type, artifact, role, kind } = filter
  const event = open.reader.event(index)
  if (event === undefined) return false
  if (kind !== undefined && event.kind !== kindCode(kind)) return false
  if (signer !== undefined && !event.keys.includes(signer)) return false
  // What has no type has not the empty one either.
  if (type !== undefined && (event.type === '' || !matchPattern(type, event.type))) return false
  if (artifact === undefined) return role === undefined || event.artifacts.some((one) => one.role === ROLE_CODES[role])
  return hasArtifact(open, event, artifact, role, payload)
}

function hasArtifact(
  { store, policies }: OpenIndex,
  event: IndexedEvent,
  { algorithm, digest }: NonNullable<EventFilter['artifact']>,
  role: EventFilter['role'],
  payload: boolean,
): boolean {
  const is = (one: { readonly algorithm: string }, hex: string, code: number) =>
    hex === digest &&
    (algorithm === undefined || one.algorithm === algorithm) &&
    (role === undefined || code === ROLE_CODES[role])
  if (event.artifacts.some((one) => is(one, Buffer.from(one.digest).toString('hex'), one.role))) return true
  if (!payload || !event.beyond) return false
  return beyondOf(store, policies, event).some((one) => is(one, one.digest, ROLE_CODES[one.role]))
}
