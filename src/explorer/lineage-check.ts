/** The lineage of an artifact: as the server tells it, each event held against the tree; or built here from every entry. */
import type { Event } from '../../schemas/types.ts'
import { ROLE_NAMES } from '../core/artifact.ts'
import { toHex } from '../core/bytes.ts'
import { EVENT, type EventEntry } from '../core/entry.ts'
import type { LineageMark } from '../core/lineage.ts'
import {
  type Direction,
  type Lineage,
  type LineageEdge,
  type LineageEvent,
  LineageGraph,
  lineageStep,
} from '../core/lineage.ts'
import { stepRole } from '../core/mark.ts'
import { ApiError } from './api.ts'
import { checkEntries, listOf } from './entries.ts'
import { checkEvent } from './event-check.ts'
import type { Head } from './head.ts'
import { type ReadMark, readMark } from './marks.ts'
import { MAX_SCANNED, scan } from './scan.ts'
import type { Session } from './session.ts'
import { isSilent, statedBy } from './stated.ts'
import { messageOf, type State, verdictOf, worst } from './verdict.ts'

const DEPTH = 24
const LIMIT = 400
/** Events of one answer that are fetched and checked. */
const MAX_CHECKED = 250

interface Judged {
  readonly state: State
  readonly why: string
}

export interface CheckedLineage {
  readonly lineage: Lineage
  readonly source: 'server' | 'scan'
  /** By `eventId`. */
  readonly states: ReadonlyMap<string, Judged>
  /** What contradicts the entries: edges that were left out. */
  readonly hidden: readonly string[]
  readonly state: State
}

/** `key:` before the id of a key asks for everything that its events produced. */
const keyOf = (asked: string): string | undefined => (asked.startsWith('key:') ? asked.slice('key:'.length) : undefined)

export const eventId = ({ log, index }: { readonly log: string; readonly index: number }): string => `${log}/${index}`

export async function askLineage(session: Session, artifact: string, direction: Direction): Promise<CheckedLineage> {
  const log = (await session.logs()).find(({ profile }) => profile === 'events')
  if (log === undefined) throw new ApiError(0, 'UNKNOWN_LOG', 'There is no log of events here that you may read.')
  const key = keyOf(artifact)
  const query = `direction=${direction}&depth=${DEPTH}&limit=${LIMIT}`
  const lineage = await session.api.json<Lineage>(
    `/${log.name}/v1/lineage${key === undefined ? `/${artifact}?` : `?signer=${key}&`}${query}`,
  )
  listOf(lineage.artifacts, 'artifacts')
  listOf(lineage.edges, 'edges')
  return judge(session, lineage)
}

async function judge(session: Session, told: Lineage): Promise<CheckedLineage> {
  const states = new Map<string, Judged>()
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
  readonly states: Map<string, Judged>
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
    const marks = await checkMarks(session, event, out.hidden)
    const shown = { ...event, marks, time, type, keys, signers: keys.map((key) => names.get(key) ?? key.slice(0, 12)) }
    out.events[out.events.indexOf(event)] = shown
    const edges = lineage.edges.filter((edge) => eventId(edge) === id)
    out.hidden.push(
      ...hiddenEdges(lineage, edges, entry).map(
        (artifact) => `entry ${row.index} of ${name} ${artifact}, and the answer leaves that out`,
      ),
    )
    const invented = await inventedEdges(session, head, event, edges, entry)
    out.states.set(id, invented === undefined ? { state: row.state, why: row.why } : invented)
  }
}

const nameOf = ({ role, artifact }: LineageEdge): string => `${role} ${artifact}`

/** Edges that the entry does not show must stand in its signed document, or nowhere. */
async function inventedEdges(
  session: Session,
  head: Head,
  { log, index }: LineageEvent,
  edges: readonly LineageEdge[],
  entry: EventEntry,
): Promise<Judged | undefined> {
  const without = (stated: ReadonlySet<string>) => edges.map(nameOf).filter((name) => !stated.has(name))
  const foreign = without(statedBy(entry))
  if (foreign.length === 0) return undefined
  const list = (names: readonly string[]) => names.map((name) => `${name.slice(0, 30)}…`).join(', ')
  if (!isSilent(entry)) return { state: 'failed', why: `The entry does not say: ${list(foreign)}.` }
  const { evidence } = await checkEvent(session.api, await session.log(log), head, index)
  if (evidence?.envelope === undefined)
    return {
      state: 'unverified',
      why: `The entry does not show, and its document could not be read: ${list(foreign)}.`,
    }
  const still = without(statedBy(entry, evidence))
  return still.length === 0
    ? undefined
    : { state: 'failed', why: `Neither the entry nor its document says: ${list(still)}.` }
}

/** Marks that their own events prove; others are told as what they are. */
async function checkMarks(session: Session, event: LineageEvent, hidden: string[]): Promise<LineageMark[]> {
  const proved: LineageMark[] = []
  const { origin } = await session.log(event.log)
  for (const mark of event.marks) {
    const { read, mark: said } = await readMark(session, await session.log(mark.log), mark.index).catch(
      (): ReadMark => ({ read: false }),
    )
    if (said?.origin === origin && said.index === event.index && said.kind === mark.kind)
      proved.push({ ...mark, reason: said.reason })
    else if (!read) proved.push({ ...mark, reason: `${mark.reason} (the statement is not verified)`.trim() })
    else hidden.push(`${mark.log} ${mark.index} is said to mark ${event.log} ${event.index}, and does not`)
  }
  return proved
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
    .filter(({ role }) => stepRole(entry.type, ROLE_NAMES[role]) === left)
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
  for (const [about, marks] of await session.marks()) {
    const [log = '', index = ''] = about.split(' ')
    for (const mark of marks) graph.mark({ log, index: Number(index) }, mark)
  }
  const limits = { direction, depth: DEPTH, limit: LIMIT }
  const key = keyOf(artifact)
  const lineage =
    key === undefined ? graph.trace({ start: [artifact], ...limits }) : graph.bySigner({ signer: key, ...limits })
  const of = new Map(logs.map(({ name }, i) => [name, verdictOf(heads[i]!.steps)]))
  const states = new Map(lineage.events.map((event) => [eventId(event), { state: of.get(event.log)!, why: '' }]))
  return { lineage, source: 'scan', states, hidden: [], state: worst([...of.values()]) }
}
