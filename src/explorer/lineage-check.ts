/** The lineage of an artifact or of a key as the server tells it, each event held against the tree. */
import type { Event } from '../../schemas/types.ts'
import { EVENT } from '../core/entry.ts'
import { type Lineage, type LineageEvent, lineageStep } from '../core/lineage.ts'
import { ApiError } from './api.ts'
import { checkEntries, listOf } from './entries.ts'
import { checkMarks, foreignSeed, hiddenEdges, inventedEdges, type Judged } from './lineage-judge.ts'
import { keyOf, type LineageQuestion } from './lineage-question.ts'
import { inPath } from './route.ts'
import type { Session } from './session.ts'
import { messageOf, type State, worst } from './verdict.ts'

const DEPTH = 24
/** Events and artifacts together: what a person can go through, and a browser draws at once. */
const LIMIT = 400
export const LIMITS = { depth: DEPTH, limit: LIMIT } as const
/** Events of one answer that are fetched and checked. */
const MAX_CHECKED = 250

export interface CheckedLineage {
  readonly lineage: Lineage
  readonly source: 'server' | 'scan'
  /** By `eventId`. */
  readonly states: ReadonlyMap<string, Judged>
  /** What contradicts the entries: edges that were left out. */
  readonly hidden: readonly string[]
  readonly state: State
}

export const eventId = ({ log, index }: { readonly log: string; readonly index: number }): string => `${log}/${index}`

export async function askLineage(session: Session, question: LineageQuestion): Promise<CheckedLineage> {
  const { about, direction, since, until } = question
  const log = (await session.logs()).find(({ profile }) => profile === 'events')
  if (log === undefined) throw new ApiError(0, 'UNKNOWN_LOG', 'There is no log of events here that you may read.')
  const key = keyOf(about)
  const query = new URLSearchParams({ direction, depth: `${DEPTH}`, limit: `${LIMIT}` })
  if (key !== undefined) {
    query.set('signer', key)
    // A server that is not told may begin where it sees fit.
    query.set('since', `${since ?? 0}`)
    if (until !== undefined) query.set('until', `${until}`)
  }
  const path = key === undefined ? `/${inPath(about)}` : ''
  const lineage = await session.api.json<Lineage>(`/${log.name}/v1/lineage${path}?${query}`)
  listOf(lineage.artifacts, 'artifacts')
  listOf(lineage.edges, 'edges')
  return judge(session, question, lineage)
}

async function judge(session: Session, question: LineageQuestion, told: Lineage): Promise<CheckedLineage> {
  const states = new Map<string, Judged>()
  const events = [...listOf(told.events, 'events')]
  const hidden: string[] = []
  const checkedNames = [...new Set(events.map(({ log }) => log))]
  for (const name of checkedNames) {
    const mine = events.filter((event) => event.log === name)
    try {
      await judgeLog(session, question, name, mine.slice(0, MAX_CHECKED), told, { states, hidden, events })
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
  question: LineageQuestion,
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
      ...hiddenEdges(question, lineage, event, edges, entry).map(
        (artifact) => `entry ${row.index} of ${name} ${artifact}, and the answer leaves that out`,
      ),
    )
    const invented = foreignSeed(question, shown) ?? (await inventedEdges(session, head, event, edges, entry))
    out.states.set(id, invented === undefined ? { state: row.state, why: row.why } : invented)
  }
}
