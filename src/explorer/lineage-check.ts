/** The lineage of an artifact: as the server tells it, each event held against the tree; or built here from every entry. */
import type { Event } from '../../schemas/types.ts'
import { ROLE_NAMES } from '../core/artifact.ts'
import { toHex } from '../core/bytes.ts'
import { EVENT, type EventEntry } from '../core/entry.ts'
import {
  type Direction,
  type Lineage,
  type LineageEdge,
  type LineageEvent,
  LineageGraph,
  lineageStep,
} from '../core/lineage.ts'
import { ApiError } from './api.ts'
import { checkEntries, listOf } from './entries.ts'
import { checkEvent } from './event-check.ts'
import type { Head } from './head.ts'
import { artifactNames } from './payload-text.ts'
import { MAX_SCANNED, scan } from './scan.ts'
import type { Session } from './session.ts'
import { messageOf, type State, verdictOf, worst } from './verdict.ts'

const DEPTH = 24
const LIMIT = 400
/** Events of one answer that are fetched and checked. */
const MAX_CHECKED = 250

export interface CheckedLineage {
  readonly lineage: Lineage
  readonly source: 'server' | 'scan'
  /** By `eventId`. */
  readonly states: ReadonlyMap<string, { readonly state: State; readonly why: string }>
  /** What contradicts the entries: edges that were left out. */
  readonly hidden: readonly string[]
  readonly state: State
}

export const eventId = ({ log, index }: { readonly log: string; readonly index: number }): string => `${log}/${index}`

export async function askLineage(session: Session, artifact: string, direction: Direction): Promise<CheckedLineage> {
  const log = (await session.logs()).find(({ profile }) => profile === 'events')
  if (log === undefined) throw new ApiError(0, 'UNKNOWN_LOG', 'There is no log of events here that you may read.')
  const query = `direction=${direction}&depth=${DEPTH}&limit=${LIMIT}`
  const lineage = await session.api.json<Lineage>(`/${log.name}/v1/lineage/${artifact}?${query}`)
  listOf(lineage.artifacts, 'artifacts')
  listOf(lineage.edges, 'edges')
  return judge(session, lineage)
}

async function judge(session: Session, told: Lineage): Promise<CheckedLineage> {
  const states = new Map<string, { state: State; why: string }>()
  const events = [...listOf(told.events, 'events')]
  const hidden: string[] = []
  const checkedNames = [...new Set(events.map(({ log }) => log))]
  for (const name of checkedNames) {
    const mine = events.filter((event) => event.log === name)
    try {
      await judgeLog(session, name, mine.slice(0, MAX_CHECKED), told, { states, hidden, events })
    } catch (error) {
      for (const event of mine) states.set(eventId(event), { state: 'unverified', why: messageOf(error) })
    }
  }
  for (const event of events)
    if (!states.has(eventId(event)))
      states.set(eventId(event), { state: 'unverified', why: 'Not checked: too many events at once.' })
  const state = worst([
    ...[...states.values()].map((one) => one.state),
    ...(hidden.length > 0 ? (['failed'] as const) : []),
  ])
  return { lineage: { ...told, events }, source: 'server', states, hidden, state }
}

interface Judgement {
  readonly states: Map<string, { state: State; why: string }>
  readonly hidden: string[]
  /** Rewritten with what the entries say. */
  readonly events: LineageEvent[]
}

async function judgeLog(
  session: Session,
  name: string,
  told: readonly LineageEvent[],
  lineage: Lineage,
  out: Judgement,
): Promise<void> {
  const log = await session.log(name)
  const head = await session.head(log)
  const names = await session.names(log)
  const documents = await Promise.all(told.map(({ index }) => session.api.json<Event>(`/${name}/v1/events/${index}`)))
  const rows = await checkEntries(
    head,
    documents.map(({ entry }, i) => ({ index: told[i]!.index, entry })),
  )
  for (const [i, row] of rows.entries()) {
    const event = told[i]!
    const id = eventId(event)
    const { entry } = row
    if (entry?.kind !== EVENT || row.state === 'failed') {
      out.states.set(id, { state: 'failed', why: row.state === 'failed' ? row.why : 'It is not an event.' })
      continue
    }
    const { time, type, keys } = lineageStep(name, row.index, entry)
    const shown = { ...event, time, type, keys, signers: keys.map((key) => names.get(key) ?? key.slice(0, 12)) }
    out.events[out.events.indexOf(event)] = shown
    const edges = lineage.edges.filter((edge) => eventId(edge) === id)
    out.hidden.push(
      ...hiddenEdges(lineage, edges, entry).map(
        (artifact) => `entry ${row.index} of ${name} ${artifact}, and the answer leaves that out`,
      ),
    )
    const invented = await inventedEdges(session, head, name, row.index, edges, entry)
    out.states.set(id, invented === undefined ? { state: row.state, why: row.why } : invented)
  }
}

const shows = (entry: EventEntry, { artifact, role }: LineageEdge): boolean =>
  entry.artifacts.some((one) => ROLE_NAMES[one.role] === role && `${one.algorithm}:${toHex(one.digest)}` === artifact)

/** Edges that the entry does not show must stand in its signed document, or nowhere. */
async function inventedEdges(
  session: Session,
  head: Head,
  name: string,
  index: number,
  edges: readonly LineageEdge[],
  entry: EventEntry,
): Promise<{ state: State; why: string } | undefined> {
  const foreign = edges.filter((edge) => !shows(entry, edge))
  if (foreign.length === 0) return undefined
  const list = foreign.map(({ role, artifact }) => `${role} ${artifact.slice(0, 19)}…`).join(', ')
  const event = await checkEvent(session.api, await session.log(name), head, index)
  const { evidence } = event
  if (evidence?.envelope === undefined) {
    // An entry that hides nothing, and an event without files, has no other edges.
    const state: State = entry.hidden === 0 && foreign.every(({ role }) => role !== 'file') ? 'failed' : 'unverified'
    return { state, why: `The entry does not show: ${list}.` }
  }
  const stated = artifactNames(evidence.envelope.payload)
  if (foreign.every(({ artifact }) => stated.has(artifact))) return { state: verdictOf(head.steps), why: '' }
  return { state: 'failed', why: `Neither the entry nor its document shows: ${list}.` }
}

/** What a walk that was not cut short goes through leads on to everything that the entry shows. */
function hiddenEdges(
  { truncated, depth, artifacts, direction }: Lineage,
  edges: readonly LineageEdge[],
  entry: EventEntry,
): string[] {
  if (truncated || direction === 'both' || artifacts.some(({ distance }) => distance >= depth)) return []
  const [entered, left] = direction === 'up' ? ['produced', 'consumed'] : ['consumed', 'produced']
  if (!edges.some(({ role }) => role === entered)) return []
  return entry.artifacts
    .filter(({ role }) => ROLE_NAMES[role] === left)
    .map(({ algorithm, digest }) => `${algorithm}:${toHex(digest)}`)
    .filter((id) => !edges.some(({ artifact, role }) => artifact === id && role === left))
    .map((id) => `${left} ${id.slice(0, 19)}…`)
}

/** Built from every entry of every log of events here. Throws ApiError for more than MAX_SCANNED. */
export async function scanLineage(
  session: Session,
  artifact: string,
  direction: Direction,
  say: (text: string) => void,
): Promise<CheckedLineage> {
  const logs = (await session.logs()).filter(({ profile }) => profile === 'events')
  const heads = await Promise.all(logs.map((log) => session.head(log)))
  const total = heads.reduce((sum, { size }) => sum + size, 0)
  if (total > MAX_SCANNED)
    throw new ApiError(
      0,
      'TOO_LARGE',
      `${total} entries are more than this page reads: use “treeline trace --complete”.`,
    )
  const graph = new LineageGraph()
  for (const [i, log] of logs.entries()) {
    const names = await session.names(log)
    const entries = await scan(session.api, log, heads[i]!, (done) =>
      say(`${log.name}: ${done} of ${heads[i]!.size} entries hashed`),
    )
    for (const [index, entry] of entries.entries()) {
      if (entry.kind !== EVENT) continue
      const step = lineageStep(log.name, index, entry)
      graph.add({ ...step, signers: step.keys.map((key) => names.get(key) ?? key.slice(0, 12)) })
    }
  }
  const lineage = graph.trace({ start: [artifact], direction, depth: DEPTH, limit: LIMIT })
  const of = new Map(logs.map(({ name }, i) => [name, verdictOf(heads[i]!.steps)]))
  const states = new Map(lineage.events.map((event) => [eventId(event), { state: of.get(event.log)!, why: '' }]))
  return { lineage, source: 'scan', states, hidden: [], state: worst([...of.values()]) }
}
