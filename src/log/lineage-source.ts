/** Lineage out of the indexes of several logs at once: artifacts join them by digest. */
import { fromHex, toHex } from '../core/bytes.ts'
import {
  type Direction,
  type Lineage,
  type LineageEvent,
  type LineageMark,
  type LineageRole,
  type LineageSource,
  type StepEdge,
  stepEdges,
  walkLineage,
} from '../core/lineage.ts'
import { stepRole } from '../core/mark.ts'
import { namesIn } from '../core/payload-facts.ts'
import type { IndexedEvent } from '../store/index-reader.ts'
import { ROLE_CODES, ROLE_OF_CODE } from '../store/index-rows.ts'
import { TEXT_CHUNK } from '../store/index-schema.ts'
import { beyondOf, payloadAt } from './indexer.ts'
import type { OpenIndex } from './search.ts'

export interface LineageQuestion {
  /** The logs that the reader may read, and of which also payloads. */
  readonly logs: readonly {
    readonly name: string
    readonly origin: string
    readonly payload: boolean
    readonly size: number
  }[]
  readonly start:
    | { readonly algorithm?: string; readonly digest: string }
    /** What a key's events between two moments produced. */
    | { readonly signer: string; readonly since?: number; readonly until?: number }
  readonly direction: Direction
  readonly depth: number
  readonly limit: number
}

export interface LineageAnswer extends Lineage {
  readonly completeTo: Readonly<Record<string, number>>
}

/** Time for one answer, ms, and bytes of payloads that are read for names. */
const PATIENCE = 2_000
const NAME_BYTES = 32 * 2 ** 20
/** Rows of the index for each thing listed. */
const WORK = 64

export interface LineageLog extends OpenIndex {
  readonly name: string
  readonly origin: string
  readonly payload: boolean
  /** Entries of it that are looked at. */
  readonly size: number
}

export function traceLineage(logs: readonly LineageLog[], question: LineageQuestion): LineageAnswer {
  const { direction, depth, limit, start } = question
  const deadline = performance.now() + PATIENCE
  const expired = () => performance.now() > deadline
  const source = new IndexedLineage(logs, expired)
  const limits = { direction, depth, limit, expired, work: WORK * limit }
  const completeTo = Object.fromEntries(logs.map(({ name, size }) => [name, size]))
  if ('digest' in start) {
    const { algorithm, digest } = start
    const ids = algorithm === undefined ? source.spellings(digest) : [`${algorithm}:${digest}`]
    return { ...walkLineage(source, ids, limits), completeTo }
  }
  const { seeds, artifacts } = source.bySigner(start, limit)
  return { ...walkLineage(source, artifacts, limits, seeds), completeTo }
}

type RowsByRole = Readonly<Record<LineageRole, (readonly [index: number, beyond: boolean])[]>>

/** A log, and what this question has read of it. */
interface Open {
  readonly log: LineageLog
  /** By digest; null where they are too many to hold. */
  readonly rows: Map<string, RowsByRole | null>
  readonly signers: Map<string, readonly string[]>
  /** All that its statements mark, once that is worth reading. */
  marked: ReadonlySet<string> | undefined
}

interface Node {
  readonly log: LineageLog
  readonly event: IndexedEvent
  shown: readonly StepEdge[] | undefined
  beyond: readonly StepEdge[] | undefined
}

class IndexedLineage implements LineageSource {
  readonly #logs: ReadonlyMap<string, Open>
  readonly #expired: () => boolean
  /** Of this question. */
  readonly #nodes = new Map<string, Node>()
  #described = 0
  readonly #names = new Map<string, Set<string>>()
  #nameBytes = NAME_BYTES

  constructor(logs: readonly LineageLog[], expired: () => boolean) {
    this.#logs = new Map(logs.map((log) => [log.name, { log, rows: new Map(), signers: new Map(), marked: undefined }]))
    this.#expired = expired
  }

  *touching(artifact: string, role: LineageRole): Generator<string | undefined> {
    const hex = digestOf(artifact)
    for (const open of this.#logs.values()) {
      const rows = this.#rowsOf(open, hex)
      for (const [index, beyond] of rows ? rows[role] : pagesOf(open.log, fromHex(hex)!, role)) {
        const name = nameOf(index, open.log)
        yield this.#has(name, artifact, role, beyond) ? name : undefined
      }
    }
  }

  /** Most artifacts have few events: those are read once, not for each role. */
  #rowsOf({ log, rows }: Open, hex: string): RowsByRole | undefined {
    const known = rows.get(hex)
    if (known !== undefined) return known ?? undefined
    const all = log.reader.allTouching(fromHex(hex)!)
    let byRole: RowsByRole | undefined
    if (all !== undefined) {
      byRole = { produced: [], consumed: [], examined: [], file: [] }
      for (const [code, index, beyond] of all)
        if (index < log.size && (beyond === 0 || log.payload))
          byRole[ROLE_OF_CODE[code] as LineageRole].push([index, beyond === 1])
    }
    rows.set(hex, byRole ?? null)
    return byRole
  }

  #has(name: string, artifact: string, role: LineageRole, beyond: boolean): boolean {
    const edges = beyond ? this.#beyond(this.#node(name)) : this.#shown(this.#node(name))
    return edges.some((edge) => edge.role === role && edge.artifact === artifact)
  }

  #node(name: string): Node {
    const known = this.#nodes.get(name)
    if (known !== undefined) return known
    const space = name.indexOf(' ')
    const { log } = this.#logs.get(name.slice(space + 1))!
    const node: Node = {
      log,
      event: log.reader.event(Number(name.slice(0, space)))!,
      shown: undefined,
      beyond: undefined,
    }
    this.#nodes.set(name, node)
    return node
  }

  #shown(node: Node): readonly StepEdge[] {
    const { type, artifacts } = node.event
    node.shown ??= artifacts.map(({ role, algorithm, digest }) => ({
      artifact: `${algorithm}:${toHex(digest)}`,
      role: stepRole(type, ROLE_OF_CODE[role] as LineageRole),
    }))
    return node.shown
  }

  /** Read from the payload, which may have been redacted since: then it is gone from here too. */
  #beyond(node: Node): readonly StepEdge[] {
    const { log, event } = node
    if (!log.payload || !event.beyond || this.#expired()) return []
    node.beyond ??= beyondOf(log.store, log.policies, event).map(({ role, algorithm, digest }) => ({
      artifact: `${algorithm}:${digest}`,
      role: stepRole(event.type, role),
    }))
    return node.beyond
  }

  edges(name: string): readonly StepEdge[] {
    const node = this.#node(name)
    return node.event.beyond
      ? stepEdges(node.event.type, [...this.#shown(node), ...this.#beyond(node)])
      : stepEdges(node.event.type, this.#shown(node))
  }

  event(name: string): Omit<LineageEvent, 'distance'> {
    const { log, event } = this.#node(name)
    const { index, time, type, keys } = event
    this.#readNames(log, index)
    const signers = keys.flatMap((key) => this.#signersOf(log, key))
    return { log: log.name, ...{ index, time, type, keys }, signers, marks: this.#marksOn(log.origin, index) }
  }

  #signersOf({ name, reader }: LineageLog, key: string): readonly string[] {
    const { signers } = this.#logs.get(name)!
    const known = signers.get(key)
    if (known !== undefined) return known
    const signer = reader.signerOf(key)
    const found = signer === undefined ? [] : [signer]
    signers.set(key, found)
    return found
  }

  #marksOn(origin: string, index: number): LineageMark[] {
    // Few entries are marked: a long answer asks for each log once which.
    const listed = ++this.#described > ASKED_FOR_MARKS
    return [...this.#logs.values()].flatMap((open) => {
      const { log } = open
      if (listed) open.marked ??= log.reader.marked()
      if (open.marked?.has(`${index} ${origin}`) === false) return []
      return (
        log.reader
          .marksOn(origin, index)
          .filter((mark) => mark.index < log.size)
          // The reason is the payload's own words.
          .map(({ index, kind, reason }) => ({ log: log.name, index, kind, reason: log.payload ? reason : '' }))
      )
    })
  }

  #readNames(log: LineageLog, index: number): void {
    if (!log.payload || this.#nameBytes <= 0 || this.#expired()) return
    const payload = payloadAt(log.store, index)
    if (payload === undefined) return
    this.#nameBytes -= payload.length
    for (const [artifact, names] of namesIn(payload)) {
      const all = this.#names.get(artifact) ?? new Set()
      for (const name of names) if (all.size < MAX_NAMES) all.add(name)
      this.#names.set(artifact, all)
    }
  }

  names(artifact: string): readonly string[] | undefined {
    const names = this.#names.get(artifact)
    return names && [...names].sort()
  }

  /** All `algorithm:hex` under which the logs have a digest, of the first pages of rows. */
  spellings(digest: string): string[] {
    const bytes = fromHex(digest)!
    const found = new Set<string>()
    for (const { log } of this.#logs.values())
      for (const role of Object.values(ROLE_CODES))
        for (const beyond of log.payload ? [false, true] : [false])
          for (const index of log.reader.touching(bytes, role, 0, beyond))
            if (index < log.size)
              for (const { artifact } of this.edges(nameOf(index, log)))
                if (digestOf(artifact) === digest) found.add(artifact)
    return [...found].sort()
  }

  bySigner(
    { signer, since, until }: Extract<LineageQuestion['start'], { readonly signer: string }>,
    limit: number,
  ): { seeds: string[]; artifacts: string[] } {
    const seeds: string[] = []
    for (const { log } of this.#logs.values()) {
      const { reader, size } = log
      const from = since === undefined ? 0 : reader.firstAt(since, size)
      const to = until === undefined ? size : reader.firstAt(until, size)
      const candidates = reader.byKey(signer)
      for (let at = from; at < to && seeds.length <= limit; at += TEXT_CHUNK)
        for (const index of candidates(at, Math.min(to, at + TEXT_CHUNK))) seeds.push(nameOf(index, log))
    }
    // One more than there is room for, so that the walk sees that it was cut.
    seeds.length = Math.min(seeds.length, limit + 1)
    const artifacts = new Set<string>()
    for (const seed of seeds)
      for (const { artifact, role } of this.edges(seed)) if (role === 'produced') artifacts.add(artifact)
    return { seeds, artifacts: [...artifacts] }
  }
}

/** A page of rows after the other. */
function* pagesOf(
  { reader, payload, size }: LineageLog,
  digest: Uint8Array,
  role: LineageRole,
): Generator<readonly [index: number, beyond: boolean]> {
  for (const beyond of payload ? [false, true] : [false])
    for (let from = 0; from < size; ) {
      const page = reader.touching(digest, ROLE_CODES[role], from, beyond)
      for (const index of page) if (index < size) yield [index, beyond]
      from = (page.at(-1) ?? size) + 1
    }
}

const MAX_NAMES = 16
/** Events whose marks are asked for one by one. */
const ASKED_FOR_MARKS = 64
const nameOf = (index: number, { name }: LineageLog): string => `${index} ${name}`
const digestOf = (artifact: string): string => artifact.slice(artifact.lastIndexOf(':') + 1)
