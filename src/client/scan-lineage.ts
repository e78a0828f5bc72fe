/** Lineage from whole logs, each read and proved by its client: the one answer in which nothing can be left out. */
import { EVENT, type EventEntry, REDACTION } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { type Lineage, LineageGraph, lineageStep } from '../core/lineage.ts'
import { marksOther } from '../core/mark.ts'
import { artifactsBeyond, markOf, saysMore } from '../core/payload-facts.ts'
import { askGraph, isWithin } from '../core/proved-lineage.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import type { Question } from './lineage-answer.ts'
import { Policies } from './policies.ts'
import { type ScanSource, VerifiedLog } from './scan.ts'
import { isClosed, payloadOf as readPayload } from './search.ts'
import { sayIndexes, Unread, type UnreadEvents } from './unread.ts'

interface ScannedLog {
  /** Its name on the server. */
  readonly log: string
  readonly origin: string
  readonly source: ScanSource
  readonly trust: WitnessPolicy
  /** The head to read under. */
  readonly note: Uint8Array
}

export interface LineageScan {
  readonly question: Question
  readonly logs: readonly ScannedLog[]
  readonly progress?: (log: string, done: number, total: number) => void
}

/** The steps have no names of signers and artifacts: those are for evidence to say. Throws what `VerifiedLog` does. */
export async function scanLineage({ question, logs, progress }: LineageScan): Promise<{
  readonly lineage: Lineage
  /** How many entries of each log were read. */
  readonly sizes: ReadonlyMap<string, number>
  /** What could not be read, because it was redacted or lost. */
  readonly notices: readonly string[]
}> {
  const graph = new LineageGraph()
  const sizes = new Map<string, number>()
  const notices: string[] = []
  const names = new Map(logs.map(({ origin, log }) => [origin, log]))
  const scan = async ({ log, origin, source, trust, note }: ScannedLog): Promise<void> => {
    const verified = await VerifiedLog.open(source, { trust, origin, note })
    const policies = new Policies(verified)
    const unread = new Unread()
    for await (const { index, entry } of verified.entries()) {
      if (index % 256 === 255) progress?.(log, index + 1, verified.size)
      if (entry.kind === REDACTION) unread.redacted(entry.indexes)
      if (entry.kind !== EVENT) continue
      const step = lineageStep(log, index, entry)
      if (!isWithin(question, step) && !marksOther(entry.type)) continue
      const asked = saysMore(entry) || marksOther(entry.type)
      const payload = asked ? await payloadOf(verified, index, entry, unread) : undefined
      const { produces } = payload === undefined ? { produces: [] } : await policies.at(entry.policy)
      const beyond = payload === undefined ? [] : artifactsBeyond(entry, payload, produces)
      if (isWithin(question, step)) graph.add({ ...step, artifacts: [...step.artifacts, ...beyond] })
      const mark = payload && markOf(entry.type, payload)
      const marked = mark && names.get(mark.origin)
      if (mark !== undefined && marked !== undefined)
        graph.mark({ log: marked, index: mark.index }, { log, index, kind: mark.kind, reason: mark.reason })
    }
    notices.push(...sayUnread(log, unread.events()))
    sizes.set(log, verified.size)
  }
  for (const one of logs) await within(one.log, () => scan(one))
  return { lineage: askGraph(graph, question), sizes, notices }
}

/** Of several logs, says which one an error is about. */
export async function within<T>(log: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError(error.code, `${log}: ${error.message}`, error.facts, { cause: error })
  }
}

/** Undefined, and noted, where it is not there or not for this reader. */
async function payloadOf(
  log: VerifiedLog,
  index: number,
  entry: EventEntry,
  unread: Unread,
): Promise<Uint8Array | undefined> {
  try {
    const payload = (await readPayload(log, index, entry))?.payload
    if (payload === undefined) unread.add(index, 'gone')
    return payload
  } catch (error) {
    if (!isClosed(error)) throw error
    unread.add(index, 'closed')
    return undefined
  }
}

function sayUnread(log: string, { closed, redacted, missing }: UnreadEvents): string[] {
  const say = (indexes: readonly number[], why: string): string[] =>
    indexes.length === 0
      ? []
      : [
          `artifacts or marks in the payload of ${sayIndexes(indexes)} of ${log} are unknown, and what they lead to: ${why}`,
        ]
  return [
    ...say(closed, 'the token does not open payloads there'),
    ...say(redacted, 'it was redacted'),
    ...say(missing, 'it is not served, and no redaction of the log names it: it is lost, or the server hides it'),
  ]
}
