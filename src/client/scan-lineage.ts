/** Lineage from whole logs, each read and proved by its client: the one answer in which nothing can be left out. */
import { splitAddendum } from '../core/addendum.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { EVENT, type EventEntry } from '../core/entry.ts'
import { type Lineage, LineageGraph, lineageStep } from '../core/lineage.ts'
import { marksOther } from '../core/mark.ts'
import { artifactsBeyond, markOf, saysMore } from '../core/payload-facts.ts'
import { askGraph, isWithin } from '../core/proved-lineage.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import type { Question } from './lineage-answer.ts'
import { Policies } from './policies.ts'
import { type ScanSource, VerifiedLog } from './scan.ts'

interface ScannedLog {
  /** Its name on the server. */
  readonly log: string
  readonly origin: string
  readonly source: ScanSource
  /** The head to read under. */
  readonly note: Uint8Array
}

export interface LineageScan {
  readonly question: Question
  readonly trust: WitnessPolicy
  readonly logs: readonly ScannedLog[]
  readonly progress?: (log: string, done: number, total: number) => void
}

/** The steps have no names of signers and artifacts: those are for evidence to say. Throws what `VerifiedLog` does. */
export async function scanLineage({ question, trust, logs, progress }: LineageScan): Promise<{
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
  for (const { log, origin, source, note } of logs) {
    const verified = await VerifiedLog.open(source, { trust, origin, note })
    const policies = new Policies(verified)
    for await (const { index, entry } of verified.entries()) {
      if (index % 256 === 255) progress?.(log, index + 1, verified.size)
      if (entry.kind !== EVENT) continue
      const step = lineageStep(log, index, entry)
      if (!isWithin(question, step) && !marksOther(entry.type)) continue
      const payload = saysMore(entry) || marksOther(entry.type) ? await payloadOf(verified, index, entry) : undefined
      if (payload === undefined && saysMore(entry))
        notices.push(
          `${entry.hidden} artifacts of event ${index} of ${log} were redacted or lost: what they lead to is unknown`,
        )
      const { produces } = payload === undefined ? { produces: [] } : await policies.at(entry.policy)
      const beyond = payload === undefined ? [] : artifactsBeyond(entry, payload, produces)
      if (isWithin(question, step)) graph.add({ ...step, artifacts: [...step.artifacts, ...beyond] })
      const mark = payload && markOf(entry.type, payload)
      const marked = mark && names.get(mark.origin)
      if (mark !== undefined && marked !== undefined)
        graph.mark({ log: marked, index: mark.index }, { log, index, kind: mark.kind, reason: mark.reason })
    }
    sizes.set(log, verified.size)
  }
  return { lineage: askGraph(graph, question), sizes, notices }
}

async function payloadOf(log: VerifiedLog, index: number, entry: EventEntry): Promise<Uint8Array | undefined> {
  const addendum = await log.document(index, entry)
  return addendum && parseEnvelope(splitAddendum(addendum).document).payload
}
