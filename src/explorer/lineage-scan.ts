/** Lineage built here from every entry of every log of events: nothing that the entries show can have been left out. */
import { ApiError } from './api.ts'
import { type CheckedLineage, eventId, LIMITS } from './lineage-check.ts'
import { keyOf, type LineageQuestion } from './lineage-question.ts'
import type { Pace } from './pace.ts'
import { MAX_SCANNED, scan } from './scan.ts'
import { ScannedGraph } from './scanned-graph.ts'
import type { Session } from './session.ts'
import { verdictOf, worst } from './verdict.ts'

/** Reads the logs once; later questions are answered from what was read. Throws ApiError for more than MAX_SCANNED, and what `pace` ends it with. */
export async function scanLineage(session: Session, question: LineageQuestion, pace: Pace): Promise<CheckedLineage> {
  const { about, direction, since = 0, until = Number.POSITIVE_INFINITY } = question
  const logs = (await session.logs()).filter(({ profile }) => profile === 'events')
  const heads = await Promise.all(logs.map((log) => session.head(log)))
  const total = heads.reduce((sum, { size }) => sum + size, 0)
  if (total > MAX_SCANNED)
    throw new ApiError(
      0,
      'TOO_LARGE',
      `${total.toLocaleString('en')} entries are more than this page reads: use “treeline trace --complete”.`,
    )
  if (session.graph === undefined) {
    const graph = new ScannedGraph()
    for (const [i, log] of logs.entries()) {
      graph.begin(log.name, await session.names(log))
      const take = (_first: number, entries: readonly Uint8Array[]) => {
        for (const entry of entries) graph.add(entry)
      }
      await scan(session.api, log, heads[i]!, take, pace)
    }
    graph.seal(await session.marks())
    session.graph = graph
  }
  const limits = { direction, ...LIMITS }
  const key = keyOf(about)
  const lineage =
    key === undefined ? session.graph.trace(about, limits) : session.graph.bySigner(key, since, until, limits)
  const of = new Map(logs.map(({ name }, i) => [name, verdictOf(heads[i]!.steps)]))
  const states = new Map(lineage.events.map((event) => [eventId(event), { state: of.get(event.log)!, why: '' }]))
  return { lineage, source: 'scan', states, hidden: [], state: worst([...of.values()]) }
}
