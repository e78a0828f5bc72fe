/** One event of a lineage that a server told: which of its edges and marks its bytes bear out, and which it left out. */
import { ROLE_NAMES } from '../core/artifact.ts'
import { toHex } from '../core/bytes.ts'
import type { EventEntry } from '../core/entry.ts'
import type { Lineage, LineageEdge, LineageEvent, LineageMark } from '../core/lineage.ts'
import { stepRole } from '../core/mark.ts'
import { checkEvent } from './event-check.ts'
import type { Head } from './head.ts'
import { keyOf, type LineageQuestion } from './lineage-question.ts'
import { type ReadMark, readMark } from './marks.ts'
import type { Session } from './session.ts'
import { isSilent, statedBy } from './stated.ts'
import type { State } from './verdict.ts'

export interface Judged {
  readonly state: State
  readonly why: string
}

const nameOf = ({ role, artifact }: LineageEdge): string => `${role} ${artifact}`

/** Edges that the entry does not show must stand in its signed document, or nowhere. */
export async function inventedEdges(
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
  if (evidence?.payload === undefined)
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
export async function checkMarks(session: Session, event: LineageEvent, hidden: string[]): Promise<LineageMark[]> {
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
export function hiddenEdges(
  { about }: LineageQuestion,
  { truncated, depth, artifacts, direction }: Lineage,
  { distance }: LineageEvent,
  edges: readonly LineageEdge[],
  entry: EventEntry,
): string[] {
  if (truncated || direction === 'both' || artifacts.some((artifact) => artifact.distance >= depth)) return []
  const left = (role: 'produced' | 'consumed') =>
    entry.artifacts
      .filter((one) => stepRole(entry.type, ROLE_NAMES[one.role]) === role)
      .map(({ algorithm, digest }) => `${algorithm}:${toHex(digest)}`)
      .filter((id) => !edges.some((edge) => edge.artifact === id && edge.role === role))
      .map((id) => `${role} ${id.slice(0, 19)}…`)
  // What the key itself signed is where the walk begins, by all that it produced.
  const begun = keyOf(about) !== undefined && distance === 0 ? left('produced') : []
  const [entered, leaving] =
    direction === 'up' ? (['produced', 'consumed'] as const) : (['consumed', 'produced'] as const)
  const passed = edges.some(({ role }) => role === entered) ? left(leaving) : []
  return [...new Set([...begun, ...passed])]
}

/** What is said to be of the key, and is not, or not of that time. */
export function foreignSeed(
  { about, since = 0, until = Number.POSITIVE_INFINITY }: LineageQuestion,
  { keys, time, distance }: LineageEvent,
): Judged | undefined {
  const key = keyOf(about)
  if (key === undefined || distance !== 0) return undefined
  if (!keys.includes(key)) return { state: 'failed', why: 'The key that was asked for did not sign it.' }
  return time >= since && time < until
    ? undefined
    : { state: 'failed', why: 'It is not of the time that was asked for.' }
}
