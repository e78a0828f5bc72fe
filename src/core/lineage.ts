/**
 * Where artifacts came from and what they reached: artifacts are nodes by digest, across logs; an event is a step that produced, consumed or
 * examined them. One walk, over whatever has the graph: `LineageGraph` in memory, for entries that a client has verified itself, or an index.
 *
 * Up goes from an artifact to the events that produced it, to what these consumed, and so on; down from an artifact to the events that consumed
 * it, to what these produced. Events that examined an artifact on the way are listed and not walked through, but for manifests: an event that
 * lists files of what it examines joins them, the files below and the whole above.
 *
 * Long, because the walk, what it walks over and what it answers are read together: a third of it is the types of the document.
 */
import { artifactDocument } from './artifact.ts'
import { toHex } from './bytes.ts'
import type { EventEntry } from './entry.ts'
import { marksOther, stepRole } from './mark.ts'

/** `file`: the payload lists it as a part of the event's subject (a manifest). The other roles stand in the entry. */
export type LineageRole = 'produced' | 'consumed' | 'examined' | 'file'

export type Direction = 'up' | 'down' | 'both'

/** A statement about an event: that something is wrong with it, or that another one took its place. */
export interface LineageMark {
  /** Where the statement stands. */
  readonly log: string
  readonly index: number
  readonly kind: 'quarantine' | 'supersedes'
  readonly reason: string
}

/** What one event contributes. The artifacts of an event document of the API have this shape. */
export interface LineageStep {
  /** Name of the log, of those that are looked at together. */
  readonly log: string
  readonly index: number
  /** ms since the Unix epoch. */
  readonly time: number
  readonly type: string
  /** Ids of the signing keys. */
  readonly keys: readonly string[]
  /** Their names in the write policy, where known. */
  readonly signers?: readonly string[]
  readonly artifacts: readonly { readonly role: LineageRole; readonly algorithm: string; readonly digest: string }[]
  readonly marks?: readonly LineageMark[]
}

export interface LineageArtifact {
  /** `algorithm:hex`. */
  readonly id: string
  /** Events between it and the nearest start. */
  readonly distance: number
  /** Distinct events that produced it, at most MAX_PRODUCERS; two or more contradict each other. */
  readonly producers: number
  readonly names?: readonly string[]
}

export interface LineageEvent extends Required<Omit<LineageStep, 'artifacts'>> {
  readonly distance: number
}

export interface LineageEdge {
  readonly log: string
  readonly index: number
  readonly artifact: string
  readonly role: LineageRole
}

/** The document of `GET v1/lineage`, but for the heads of the logs. All lists are sorted, so equal graphs are equal documents. */
export interface Lineage {
  readonly start: readonly string[]
  readonly direction: Direction
  readonly depth: number
  /** Whether a limit left something out. */
  readonly truncated: boolean
  readonly artifacts: readonly LineageArtifact[]
  readonly events: readonly LineageEvent[]
  /** Every role that a listed event has in a listed artifact. */
  readonly edges: readonly LineageEdge[]
}

export interface WalkLimits {
  readonly direction: Direction
  /** The most events from a start to anything listed. */
  readonly depth: number
  /** The most events and artifacts listed, together; edges are at most EDGES_PER_NODE times as many. */
  readonly limit: number
  /** The most rows of the graph that are looked at, and whether the time for it is over. */
  readonly work?: number
  readonly expired?: () => boolean
}

export interface SignerQuery extends WalkLimits {
  /** Id of the key. */
  readonly signer: string
  /** Half-open, ms since the Unix epoch. */
  readonly since?: number
  readonly until?: number
}

const MAX_PRODUCERS = 1_000
const EDGES_PER_NODE = 8

/** An artifact of an event, and its role there. */
export interface StepEdge {
  readonly artifact: string
  readonly role: LineageRole
}

/** What an event of this type is to lineage: see `mark.ts`. */
export function stepEdges(type: string, edges: readonly StepEdge[]): readonly StepEdge[] {
  if (!marksOther(type)) return edges
  const distinct = new Map<string, StepEdge>()
  for (const { artifact, role } of edges) {
    const edge = { artifact, role: stepRole(type, role) }
    distinct.set(`${edge.role} ${artifact}`, edge)
  }
  return [...distinct.values()]
}

/** What has a graph. Events are known by a name of the source's own. */
export interface LineageSource {
  /** Events with this role in the artifact. `undefined` is a row that was looked at in vain: it is counted as work. */
  touching(artifact: string, role: LineageRole): Iterable<string | undefined>
  edges(event: string): Iterable<StepEdge>
  event(name: string): Omit<LineageEvent, 'distance'>
  names(artifact: string): readonly string[] | undefined
}

/** Walks from artifacts, and from `seeds`: events listed at distance 0 without being walked through. */
export function walkLineage(
  source: LineageSource,
  start: readonly string[],
  { direction, depth, limit, work = Number.POSITIVE_INFINITY, expired = () => false }: WalkLimits,
  seeds: readonly string[] = [],
): Lineage {
  const found = new Found(limit, work, expired)
  for (const name of seeds) if (!found.event(name, 0)) break
  for (const id of start) if (!found.artifact(id, 0)) break
  const ways = (['up', 'down'] as const).filter((way) => direction === way || direction === 'both')
  const walks = ways.map((way) => new Walk(source, way, [...found.artifacts.keys()], found))
  // Level by level in turn, so that where a limit cuts, it cuts what is farthest.
  for (let distance = 1; distance <= depth; distance++) for (const walk of walks) walk.step(distance)
  for (const walk of walks) if (walk.goesOn()) found.truncated = true
  return document(source, found, start, { direction, depth, limit })
}

class Found {
  readonly artifacts = new Map<string, number>()
  readonly events = new Map<string, number>()
  truncated = false
  readonly #limit: number
  #work: number
  readonly #expired: () => boolean

  constructor(limit: number, work: number, expired: () => boolean) {
    this.#limit = limit
    this.#work = work
    this.#expired = expired
  }

  /** False when there is no room. */
  artifact(id: string, distance: number): boolean {
    return this.#list(this.artifacts, id, distance)
  }

  event(name: string, distance: number): boolean {
    return this.#list(this.events, name, distance)
  }

  #list(nodes: Map<string, number>, name: string, distance: number): boolean {
    const before = nodes.get(name)
    if (before === undefined && this.artifacts.size + this.events.size >= this.#limit) {
      this.truncated = true
      return false
    }
    if (before === undefined || distance < before) nodes.set(name, distance)
    return true
  }

  /** The rows, for as long as there is work left to spend. */
  *spend<T>(rows: Iterable<T | undefined>): Generator<T> {
    for (const row of rows) {
      if (this.#work-- <= 0 || this.#expired()) {
        this.truncated = true
        return
      }
      if (row !== undefined) yield row
    }
  }
}

/** How each direction meets an event, by its role in the artifact, and which of the event's other artifacts come next. */
const ENTER = {
  up: ['produced', 'examined'],
  down: ['consumed', 'file', 'examined'],
} as const satisfies Record<'up' | 'down', readonly LineageRole[]>

function leave(way: 'up' | 'down', role: LineageRole): readonly LineageRole[] {
  if (way === 'up') return role === 'produced' ? ['consumed', 'file'] : ['file']
  return role === 'consumed' ? ['produced'] : role === 'file' ? ['produced', 'examined'] : []
}

class Walk {
  readonly #source: LineageSource
  readonly #way: 'up' | 'down'
  readonly #found: Found
  readonly #seen: Set<string>
  /** Events by the roles that they were left through. */
  readonly #passed = new Set<string>()
  #frontier: readonly string[]

  constructor(source: LineageSource, way: 'up' | 'down', start: readonly string[], found: Found) {
    this.#source = source
    this.#way = way
    this.#found = found
    this.#seen = new Set(start)
    this.#frontier = start
  }

  step(distance: number): void {
    const next: string[] = []
    for (const [name, role] of this.#events()) {
      if (!this.#found.event(name, distance)) break
      for (const out of leave(this.#way, role)) if (!this.#pass(name, out, distance, next)) return
    }
    this.#frontier = next
  }

  /** False when there is no room for what it leads to. */
  #pass(name: string, out: LineageRole, distance: number, next: string[]): boolean {
    const passage = `${out} ${name}`
    if (this.#passed.has(passage)) return true
    this.#passed.add(passage)
    for (const { artifact, role } of this.#found.spend(this.#source.edges(name))) {
      if (role !== out || this.#seen.has(artifact)) continue
      if (!this.#found.artifact(artifact, distance)) {
        this.#frontier = []
        return false
      }
      this.#seen.add(artifact)
      next.push(artifact)
    }
    return true
  }

  *#events(): Generator<readonly [string, LineageRole]> {
    for (const artifact of this.#frontier)
      for (const role of ENTER[this.#way])
        for (const name of this.#found.spend(this.#source.touching(artifact, role))) yield [name, role]
  }

  /** Whether there is an event past the last level. */
  goesOn(): boolean {
    for (const [name] of this.#events()) if (!this.#found.events.has(name)) return true
    return false
  }
}

function document(
  source: LineageSource,
  found: Found,
  start: readonly string[],
  { direction, depth, limit }: WalkLimits,
): Lineage {
  const events = [...found.events].map(([name, distance]) => ({ name, event: { ...source.event(name), distance } }))
  const edges: LineageEdge[] = []
  const most = limit * EDGES_PER_NODE
  for (const { name, event } of events) {
    for (const { artifact, role } of found.spend(source.edges(name))) {
      if (!found.artifacts.has(artifact)) continue
      if (edges.length >= most) found.truncated = true
      else edges.push({ log: event.log, index: event.index, artifact, role })
    }
  }
  const artifacts = [...found.artifacts].map(([id, distance]): LineageArtifact => {
    const names = source.names(id)
    return { id, distance, producers: producersOf(source, id), ...(names && { names }) }
  })
  return {
    start,
    direction,
    depth,
    truncated: found.truncated,
    artifacts: artifacts.sort((a, b) => a.distance - b.distance || order(a.id, b.id)),
    events: events
      .map(({ event }) => event)
      .sort((a, b) => a.distance - b.distance || order(a.log, b.log) || a.index - b.index),
    edges: edges.sort(
      (a, b) => order(a.log, b.log) || a.index - b.index || order(a.artifact, b.artifact) || order(a.role, b.role),
    ),
  }
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function producersOf(source: LineageSource, artifact: string): number {
  let rows = 0
  const producers = new Set<string>()
  for (const name of source.touching(artifact, 'produced')) {
    if (name !== undefined) producers.add(name)
    if (++rows >= MAX_PRODUCERS) break
  }
  return producers.size
}

const artifactId = (algorithm: string, digest: string): string => `${algorithm}:${digest}`

/** The step that a verified entry is. Its artifacts are those that the tree holds, and no others. */
export function lineageStep(log: string, index: number, entry: EventEntry): LineageStep {
  const { time, type, keys, artifacts } = entry
  return {
    log,
    index,
    time,
    type,
    keys: keys.map(toHex),
    artifacts: artifacts.map(artifactDocument),
  }
}

/** Lineage in memory, made of steps that the caller believes. */
export class LineageGraph implements LineageSource {
  readonly #steps = new Map<string, LineageStep>()
  readonly #edges = new Map<string, readonly StepEdge[]>()
  readonly #marks = new Map<string, LineageMark[]>()
  readonly #names = new Map<string, Set<string>>()
  readonly #touching: Readonly<Record<LineageRole, Map<string, Set<string>>>> = {
    produced: new Map(),
    consumed: new Map(),
    examined: new Map(),
    file: new Map(),
  }

  add(step: LineageStep): void {
    const name = nameOf(step)
    this.#steps.set(name, step)
    for (const mark of step.marks ?? []) this.mark(step, mark)
    const edges = stepEdges(
      step.type,
      step.artifacts.map(({ role, algorithm, digest }) => ({ artifact: artifactId(algorithm, digest), role })),
    )
    this.#edges.set(name, edges)
    for (const { artifact, role } of edges) {
      const events = this.#touching[role].get(artifact)
      if (events === undefined) this.#touching[role].set(artifact, new Set([name]))
      else events.add(name)
    }
  }

  /** The statement may stand after the event that it marks, or before it in another log. */
  mark(event: { readonly log: string; readonly index: number }, mark: LineageMark): void {
    const marks = this.#marks.get(nameOf(event))
    if (marks === undefined) this.#marks.set(nameOf(event), [mark])
    else if (!marks.some(({ log, index, kind }) => log === mark.log && index === mark.index && kind === mark.kind))
      marks.push(mark)
  }

  /** A name that a payload gives to an artifact. */
  name(artifact: string, name: string): void {
    this.#names.set(artifact, (this.#names.get(artifact) ?? new Set()).add(name))
  }

  /** `start`: artifacts as `algorithm:hex`. */
  trace({ start, ...limits }: WalkLimits & { readonly start: readonly string[] }): Lineage {
    return walkLineage(this, start, limits)
  }

  /** From all that the events of one key produced between two moments; those events are listed at distance 0. */
  bySigner({ signer, since = 0, until = Number.POSITIVE_INFINITY, ...limits }: SignerQuery): Lineage {
    const seeds = [...this.#steps].filter(
      ([, { keys, time }]) => keys.includes(signer) && time >= since && time < until,
    )
    const start = new Set<string>()
    for (const [name] of seeds)
      for (const { artifact, role } of this.edges(name)) if (role === 'produced') start.add(artifact)
    return walkLineage(
      this,
      [...start],
      limits,
      seeds.map(([name]) => name),
    )
  }

  touching(artifact: string, role: LineageRole): Iterable<string> {
    return this.#touching[role].get(artifact) ?? []
  }

  edges(event: string): readonly StepEdge[] {
    return this.#edges.get(event)!
  }

  event(name: string): Omit<LineageEvent, 'distance'> {
    const { log, index, time, type, keys, signers = [] } = this.#steps.get(name)!
    return { log, index, time, type, keys, signers, marks: this.#marks.get(name) ?? [] }
  }

  names(artifact: string): readonly string[] | undefined {
    const names = this.#names.get(artifact)
    return names && [...names].sort()
  }
}

const nameOf = ({ log, index }: { readonly log: string; readonly index: number }): string => `${index} ${log}`
