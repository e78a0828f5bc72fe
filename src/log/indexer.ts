/** Makes the index of one log out of its entries and addenda, a step at a time, behind whoever appends. */
import { splitAddendum } from '../core/addendum.ts'
import { equal, fromBase64, fromUtf8, toUtf8 } from '../core/bytes.ts'
import { BATCH, decodeEntry, EVENT, type EventEntry, REDACTION } from '../core/entry.ts'
import { marksOther } from '../core/mark.ts'
import { leafHash } from '../core/merkle.ts'
import { isObject, type JsonObject } from '../core/payload.ts'
import { artifactsBeyond, markOf, saysMore, textOf } from '../core/payload-facts.ts'
import type { IndexedEvent } from '../store/index-reader.ts'
import { TEXT_CHUNK } from '../store/index-schema.ts'
import { type IndexedArtifact, type IndexedEntry, IndexWriter } from '../store/index-writer.ts'
import { SqliteStore } from '../store/sqlite.ts'

/** Entries, and bytes of their payloads, in one step: some 100 ms of work. */
const STEP_ENTRIES = 4_096
const STEP_BYTES = 16 * 2 ** 20

export interface IndexedLog {
  readonly name: string
  readonly database: string
  readonly index: string
}

export class Indexer {
  readonly #files: IndexedLog
  readonly #store: SqliteStore
  readonly #produces: PolicyLists
  #writer: IndexWriter
  #behind = 0

  private constructor(files: IndexedLog, store: SqliteStore, writer: IndexWriter) {
    this.#files = files
    this.#store = store
    this.#writer = writer
    this.#produces = new PolicyLists(store)
  }

  /** An index that is broken, of another version, or of another history than the log is thrown away: `renewed` is told why. */
  static async open(files: IndexedLog, renewed: (why: string) => void): Promise<Indexer> {
    const store = SqliteStore.open(files.database, { readonly: true })
    let writer: IndexWriter
    try {
      writer = IndexWriter.open(files.index)
    } catch (error) {
      renewed((error as Error).message)
      IndexWriter.remove(files.index)
      writer = IndexWriter.open(files.index)
    }
    const hashAt = async (index: number) => {
      const entry = await store.entry(index)
      return entry && leafHash(entry)
    }
    const indexer = new Indexer(files, store, writer)
    if (
      writer.size > (await store.head()).size ||
      !writer.fits(await hashAt(0), writer.size === 0 ? undefined : await hashAt(writer.size - 1))
    )
      indexer.renew(renewed, 'it is of another history than the log')
    return indexer
  }

  get size(): number {
    return this.#writer.size
  }

  /** Entries that were committed when the last step began, and that it left for the next one. */
  get behind(): number {
    return this.#behind
  }

  /** From nothing. */
  renew(renewed: (why: string) => void, why: string): void {
    renewed(why)
    this.#writer.close()
    IndexWriter.remove(this.#files.index)
    this.#writer = IndexWriter.open(this.#files.index)
  }

  /** How many entries it took, of those that were committed and not indexed; nothing waits for it. */
  async step(): Promise<number> {
    const from = this.#writer.size
    const { size } = await this.#store.head()
    if (from >= size) return this.#refill(size)
    const entries = await this.#store.entries(from, Math.min(size, from + STEP_ENTRIES))
    // Payloads after the head: what an entry below it redacted is not among them. And nothing is waited for from here until they are written: an
    // erasure that comes meanwhile finds them in the index.
    const addenda = this.#store.addenda(from, from + entries.length, STEP_BYTES)
    const last = addenda.at(-1)?.index
    // Where the bytes ended early, the step ends with them.
    const full = addenda.reduce((sum, { bytes }) => sum + bytes.length, 0) >= STEP_BYTES
    const count = full && last !== undefined ? last + 1 - from : entries.length
    const byIndex = new Map(addenda.map(({ index, bytes }) => [index, bytes]))
    const taken = entries.slice(0, count)
    this.#writer.add(
      taken.map((entry, i) => this.#describe(from + i, entry, byIndex.get(from + i))),
      { first: leafHash(taken[0]!), last: leafHash(taken.at(-1)!) },
    )
    // Of redactions on the way, those before a crash included; where a reader is in it, the next step tries again.
    this.#writer.clean()
    this.#behind = size - from - count
    return count
  }

  #describe(index: number, bytes: Uint8Array, addendum: Uint8Array | undefined): IndexedEntry {
    const entry = decodeEntry(bytes)
    const { time, kind } = entry
    const none = { keys: [], artifacts: [], beyond: [], text: '', type: '', policy: 0, saysMore: false }
    const common = { ...none, index, time, kind }
    if (entry.kind === REDACTION) return { ...common, policy: entry.policy, redacts: entry.indexes }
    if (entry.kind === BATCH) return { ...common, keys: entry.keys, policy: entry.policy }
    if (entry.kind !== EVENT) return { ...common, signers: addendum ? signersOf(addendum) : [] }
    const { keys, artifacts, type, policy } = entry
    const event = { ...none, index, time, kind, keys, artifacts, type, policy, saysMore: saysMore(entry) }
    const payload = addendum && payloadOf(entry, addendum)
    if (payload === undefined) return event
    const mark = marksOther(type) ? markOf(type, payload) : undefined
    return {
      ...event,
      text: textOf(payload),
      beyond: event.saysMore ? artifactsBeyond(entry, payload, this.#produces.at(policy)) : [],
      ...(mark && { mark }),
    }
  }

  /** The text of one chunk that an erasure dropped; 0 when none is missing. */
  #refill(size: number): number {
    const [chunk] = this.#writer.pending
    if (chunk === undefined) {
      this.#writer.clean()
      return 0
    }
    this.#writer.refill(chunk, this.#textsOf(chunk * TEXT_CHUNK, Math.min(size, (chunk + 1) * TEXT_CHUNK, this.size)))
    return 1
  }

  *#textsOf(from: number, to: number): Generator<{ index: number; text: string }> {
    let at = from
    while (at < to) {
      const addenda = this.#store.addenda(at, to, STEP_BYTES)
      const entries = this.#store.entriesAt(at, (addenda.at(-1)?.index ?? at - 1) + 1)
      for (const { index, bytes } of addenda) {
        // Other documents than those of events are not blinded, and have no text.
        const payload = this.#isEvent(index)
          ? payloadOf(decodeEntry(entries[index - at]!) as EventEntry, bytes)
          : undefined
        if (payload !== undefined) yield { index, text: textOf(payload) }
      }
      at = addenda.length === 0 ? to : addenda.at(-1)!.index + 1
    }
  }

  #isEvent(index: number): boolean {
    return this.#writer.kindOf(index) === EVENT
  }

  /** Whether nothing that came from the payloads of these entries is left in any file of the index. */
  erase(indexes: readonly number[]): boolean {
    this.#writer.erase(indexes)
    return this.#writer.clean()
  }

  async close(): Promise<void> {
    this.#writer.close()
    await this.#store.close()
  }
}

/** Whether a file of SQLite's is broken, by the code of the error. */
export const isCorrupt = (code: string): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(code)

const MAX_POLICIES = 100

/** Which types make their subjects, by the policies of a log: what was hidden from an entry is judged as it was then. */
export class PolicyLists {
  readonly #store: SqliteStore
  readonly #lists = new Map<number, readonly string[]>()

  constructor(store: SqliteStore) {
    this.#store = store
  }

  at(policy: number): readonly string[] {
    const known = this.#lists.get(policy)
    if (known !== undefined) return known
    const [addendum] = this.#store.addenda(policy, policy + 1, 1)
    const { produces } = (addendum && policyOf(addendum.bytes)) ?? {}
    const list = Array.isArray(produces) ? (produces as string[]) : []
    if (this.#lists.size >= MAX_POLICIES) this.#lists.clear()
    this.#lists.set(policy, list)
    return list
  }
}

/** How every canonical envelope begins: the payload is found without a parser. */
const BEFORE = toUtf8('{"payload":"')
const QUOTE = 0x22

function payloadIn(document: Uint8Array): Uint8Array | undefined {
  if (equal(document.subarray(0, BEFORE.length), BEFORE)) {
    const end = document.indexOf(QUOTE, BEFORE.length)
    return fromBase64(fromUtf8(document.subarray(BEFORE.length, end)) ?? '')
  }
  const { payload } = JSON.parse(fromUtf8(document) ?? '{}') as { payload?: string }
  return payload === undefined ? undefined : fromBase64(payload)
}

/** What `eventPayload` gives, of whose envelope nothing else is wanted here. */
function payloadOf({ batch }: EventEntry, addendum: Uint8Array): Uint8Array | undefined {
  const { document } = splitAddendum(addendum)
  return batch === undefined ? payloadIn(document) : document
}

function policyOf(document: Uint8Array): JsonObject | undefined {
  const payload = payloadIn(document)
  return payload && (JSON.parse(fromUtf8(payload)!) as JsonObject)
}

function signersOf(document: Uint8Array): (readonly [string, string])[] {
  const { signers } = policyOf(document) ?? {}
  return (Array.isArray(signers) ? signers : []).flatMap((signer: unknown) =>
    isObject(signer) && typeof signer.id === 'string' && typeof signer.name === 'string'
      ? [[signer.id, signer.name] as const]
      : [],
  )
}

/** The artifacts that stand only in the payload of an event, as long as it is there. */
export function beyondOf(store: SqliteStore, policies: PolicyLists, event: IndexedEvent): readonly IndexedArtifact[] {
  const entry = decodeEntry(store.entryAt(event.index)!) as EventEntry
  const addendum = store.addendumAt(event.index)
  const payload = addendum && payloadOf(entry, addendum)
  return payload === undefined ? [] : artifactsBeyond(entry, payload, policies.at(entry.policy))
}

/** Of an event. */
export function payloadAt(store: SqliteStore, index: number): Uint8Array | undefined {
  const addendum = store.addendumAt(index)
  const entry = store.entryAt(index)
  if (addendum === undefined || entry === undefined) return undefined
  const event = decodeEntry(entry)
  return event.kind === EVENT ? payloadOf(event, addendum) : undefined
}
