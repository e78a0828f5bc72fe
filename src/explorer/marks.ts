/** Statements that something is wrong with an entry, or that another took its place: each is an event, and counts when its evidence verified. */
import type { EventList, LogList } from '../../schemas/types.ts'
import { EVENT } from '../core/entry.ts'
import type { LineageMark } from '../core/lineage.ts'
import { type Mark, markOf } from '../core/payload-facts.ts'
import type { Api } from './api.ts'
import { listOf } from './entries.ts'
import { checkEvent } from './event-check.ts'
import type { Head, ListedLog } from './head.ts'
import { verdictOf } from './verdict.ts'

const TYPES = ['urn:treeline:quarantine:v1', 'urn:treeline:supersedes:v1']
/** Newest first, of each type and log. */
const MOST = 40

/** By `log index` of the entry that they are about. */
export type Marks = ReadonlyMap<string, readonly LineageMark[]>

export const NO_MARKS: Marks = new Map()

/** What of a session this needs. */
interface Source {
  readonly api: Api
  logs(): Promise<LogList>
  head(log: ListedLog): Promise<Head>
}

/** `read`: whether the signed document was there and verified. Without that nothing is known of what it says. */
export interface ReadMark {
  readonly read: boolean
  /** What the event says of another one. */
  readonly mark?: Mark | undefined
}

/** Throws ApiError. */
export async function readMark(session: Source, log: ListedLog, index: number): Promise<ReadMark> {
  const { evidence, steps } = await checkEvent(session.api, log, await session.head(log), index)
  const read = evidence?.payload !== undefined && verdictOf(steps) !== 'failed'
  if (!read || evidence.entry.kind !== EVENT) return { read }
  return { read, mark: markOf(evidence.entry.type, evidence.payload!) }
}

/** Of all logs that may be read. Never fails: a log that does not tell has none to show. */
export async function readMarks(session: Source): Promise<Marks> {
  const logs = (await session.logs()).filter(({ profile }) => profile === 'events')
  const marks = new Map<string, LineageMark[]>()
  const one = async (log: ListedLog, type: string): Promise<void> => {
    const answer = await session.api.json<EventList>(`/${log.name}/v1/events?type=${type}&order=desc&limit=${MOST}`)
    for (const { index } of listOf(answer.events, 'events')) {
      const { mark } = await readMark(session, log, index)
      const about = logs.find(({ origin }) => origin === mark?.origin)
      if (mark === undefined || about === undefined) continue
      const key = `${about.name} ${mark.index}`
      marks.set(key, [...(marks.get(key) ?? []), { log: log.name, index, kind: mark.kind, reason: mark.reason }])
    }
  }
  await Promise.all(logs.flatMap((log) => TYPES.map((type) => one(log, type).catch(() => {}))))
  return marks
}
