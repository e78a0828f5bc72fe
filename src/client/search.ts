/**
 * Every entry of a verified log that somebody looks for, and none left out. Most entries are put aside by a search for bytes over whole bundles;
 * those that have artifacts only in their payload (key 11, and files of manifests) are judged by the payload.
 */
import { EVENT, type EventEntry } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { type EventPayload, eventPayload } from '../core/event-payload.ts'
import { HASH_SIZE } from '../core/merkle.ts'
import { artifactsBeyond, MANIFEST, saysMore } from '../core/payload-facts.ts'
import { ahead } from './ahead.ts'
import { Policies } from './policies.ts'
import { matchesBeyond, matchesEntry, matchesShown, needlesOf, type Query } from './query.ts'
import { decodeAt, type ScannedBundle, type ScannedEntry, type VerifiedLog } from './scan.ts'

export interface FoundEntry extends ScannedEntry {
  /** Which of the queries it matches. */
  readonly queries: readonly number[]
  /**
   * False where only the payload could say whether it matches, and the payload is not there: redacted, or lost. Then `queries` are those that it
   * may match.
   */
  readonly sure: boolean
  /** Where it is not sure: the payload is not there, or not for this reader. */
  readonly unread?: 'gone' | 'closed'
}

export interface SearchOptions {
  readonly from?: number
  readonly to?: number
  readonly policies?: Policies
  /** Told how far it is. */
  readonly progress?: (done: number, total: number) => void
}

/** Documents that are fetched at once: 64 MiB at most. */
const DOCUMENTS_AHEAD = 16
/** First byte of an event that is no part of a batch and shows all its artifacts: a CBOR map of nine. One of the two makes it ten. */
const SHOWS_ALL = 0xa9
const TEN = 0xaa
/** Where an entry says its kind: after the head of the map, and key and value of the version. */
const KIND = 4

/** In order. Throws what `VerifiedLog.bundles` does, MALFORMED_ENTRY, and FORBIDDEN where a text is looked for in payloads that may not be read. */
export async function* search(
  log: VerifiedLog,
  queries: readonly Query[],
  { from = 0, to = log.size, policies = new Policies(log), progress }: SearchOptions = {},
): AsyncGenerator<FoundEntry> {
  const narrowed = queries.map((query) => ({
    query,
    needles: needlesOf(query).map(bufferOf),
    digest: query.artifact && bufferOf(query.artifact.digest),
  }))
  for await (const bundle of log.bundles(from, to)) {
    const candidates: ScannedEntry[] = candidatesIn(bundle, narrowed).map((i) => ({
      index: bundle.first + i,
      bytes: bundle.entries[i]!,
      entry: decodeAt(bundle.first + i, bundle.entries[i]!),
    }))
    for await (const found of ahead(candidates, DOCUMENTS_AHEAD, (one) => judge(log, policies, queries, one)))
      if (found.queries.length > 0) yield found
    progress?.(bundle.first + bundle.entries.length - from, to - from)
  }
}

interface Narrowed {
  readonly query: Query
  /** All of these stand in an entry that matches, and this digest does where the entry shows all its artifacts. */
  readonly needles: readonly Buffer[]
  readonly digest: Buffer | undefined
}

/** Positions of entries that may match, ascending. */
function candidatesIn({ bytes, entries }: ScannedBundle, queries: readonly Narrowed[]): number[] {
  const whole = bufferOf(bytes)
  const manifests = whole.includes(MANIFEST)
  const found = new Set<number>()
  for (const { query, needles, digest } of queries) {
    if (!needles.every((needle) => whole.includes(needle))) continue
    const named = digest === undefined || whole.includes(digest)
    for (const [i, entry] of entries.entries()) {
      if (found.has(i) || (query.kind !== undefined && entry[KIND] !== query.kind)) continue
      const inside = bufferOf(entry)
      const hides = !showsAll(entry) || (manifests && inside.includes(MANIFEST))
      if (!named && !hides) continue
      if (digest !== undefined && !hides && !inside.includes(digest)) continue
      if (needles.every((needle) => inside.includes(needle))) found.add(i)
    }
  }
  return [...found].sort((a, b) => a - b)
}

/** Of ten members an item of a batch has key 8, which follows key 7, whose place stands in the trailer; another event has key 11. */
function showsAll(entry: Uint8Array): boolean {
  if (entry[0] !== TEN) return entry[0] === SHOWS_ALL
  const digest = (entry.at(-3)! << 8) | entry.at(-2)!
  return entry[digest + HASH_SIZE] === 8
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

async function judge(
  log: VerifiedLog,
  policies: Policies,
  queries: readonly Query[],
  { index, bytes, entry }: ScannedEntry,
): Promise<FoundEntry> {
  const [certain, open]: [number[], number[]] = [[], []]
  for (const [i, query] of queries.entries()) {
    if (!matchesEntry(query, entry)) continue
    const shown = matchesShown(query, entry)
    if (shown && query.text === undefined) certain.push(i)
    else if (shown || (query.artifact !== undefined && entry.kind === EVENT && saysMore(entry))) open.push(i)
  }
  if (open.length === 0 || entry.kind !== EVENT) return { index, bytes, entry, queries: certain, sure: true }
  const event = await payloadOf(log, index, entry).catch((error: unknown) => {
    // Of an artifact few events leave it open; of a text all do, and a list of them would be no answer.
    if (isClosed(error) && open.every((i) => queries[i]!.text === undefined)) return 'closed' as const
    throw error
  })
  if (event === undefined || event === 'closed')
    return certain.length > 0
      ? { index, bytes, entry, queries: certain, sure: true }
      : { index, bytes, entry, queries: open, sure: false, unread: event ?? 'gone' }
  const beyond = saysMore(entry)
    ? artifactsBeyond(entry, event.payload, (await policies.at(entry.policy)).produces)
    : []
  for (const i of open) {
    const query = queries[i]!
    const artifact = matchesShown(query, entry) || matchesBeyond(query, beyond)
    if (artifact && (query.text === undefined || holds(event.payload, query.text))) certain.push(i)
  }
  return { index, bytes, entry, queries: certain.sort((a, b) => a - b), sure: true }
}

/** Whether it says that the reader may not read payloads. */
export const isClosed = (error: unknown): boolean =>
  error instanceof TreelineError && (error.code === 'FORBIDDEN' || error.code === 'UNAUTHENTICATED')

/** What an event says; undefined where it is not there. Throws INVALID_PROOF, and FORBIDDEN or UNAUTHENTICATED. */
export async function payloadOf(log: VerifiedLog, index: number, entry: EventEntry): Promise<EventPayload | undefined> {
  let addendum: Uint8Array | undefined
  try {
    addendum = await log.document(index, entry)
  } catch (error) {
    if (!isClosed(error)) throw error
    const { code, message } = error as TreelineError
    throw new TreelineError(code, `what entry ${index} is asked for stands only in its payload: ${message}`)
  }
  return addendum && eventPayload(entry, addendum)
}

/** Whether the text stands in a JSON document: as it is spelled, or in a string of it. */
function holds(payload: Uint8Array, text: string): boolean {
  const wanted = text.toLowerCase()
  const spelled = new TextDecoder().decode(payload)
  return spelled.toLowerCase().includes(wanted) || inStrings(JSON.parse(spelled), wanted)
}

function inStrings(value: unknown, wanted: string): boolean {
  if (typeof value === 'string') return value.toLowerCase().includes(wanted)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, inner]) => name.toLowerCase().includes(wanted) || inStrings(inner, wanted))
}
