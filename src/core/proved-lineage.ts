/**
 * Lineage from evidence alone: events whose evidence was verified, and nothing that a server said. Who makes a report and who verifies it years
 * later compute the same document from the same files.
 */
import { EVENT } from './entry.ts'
import { TreelineError } from './errors.ts'
import type { VerifiedEvidence } from './evidence.ts'
import { type Direction, type Lineage, LineageGraph, type LineageStep, lineageStep } from './lineage.ts'
import { artifactsBeyond, type Mark, markOf, namesIn } from './payload-facts.ts'

/** From an artifact, or from what one key signed. */
export type Question = {
  readonly direction: Direction
  /** The most events from a start to anything listed. */
  readonly depth: number
  /** The most events and artifacts listed, together. */
  readonly limit: number
  /** Half-open, ms since the Unix epoch: of the key's events, or of those that are walked through. */
  readonly since?: number
  readonly until?: number
} & ({ readonly artifact: string; readonly signer?: never } | { readonly signer: string; readonly artifact?: never })

/** An event, with the name that the server has for its log. */
export interface ProvedEvent {
  readonly log: string
  readonly evidence: VerifiedEvidence
}

/** Statements about other events count wherever they are among `events`. Throws INVALID_PROOF for evidence of what is no event. */
export function provedLineage(question: Question, events: readonly ProvedEvent[]): Lineage {
  const graph = new LineageGraph()
  const marks: { readonly at: ProvedEvent; readonly mark: Mark }[] = []
  const logs = new Map<string, string>()
  for (const event of events) {
    const { log, evidence } = event
    const step = provedStep(event)
    logs.set(originOf(evidence), log)
    if (isWithin(question, step)) graph.add(step)
    if (evidence.payload === undefined) continue
    for (const [artifact, names] of namesIn(evidence.payload)) for (const name of names) graph.name(artifact, name)
    const mark = markOf(step.type, evidence.payload)
    if (mark !== undefined) marks.push({ at: event, mark })
  }
  for (const { at, mark } of marks) {
    const log = logs.get(mark.origin)
    const { kind, reason } = mark
    if (log !== undefined)
      graph.mark({ log, index: mark.index }, { log: at.log, index: at.evidence.index, kind, reason })
  }
  return askGraph(graph, question)
}

/** Whether an event is walked through: one that was logged outside of the times that were asked for is not. */
export const isWithin = (
  { artifact, since = 0, until = Number.POSITIVE_INFINITY }: Question,
  { time }: Pick<LineageStep, 'time'>,
): boolean =>
  // By signer the times choose where to start; what came of it later counts.
  artifact === undefined || (time >= since && time < until)

export function askGraph(graph: LineageGraph, question: Question): Lineage {
  const { artifact, signer, direction, depth, limit, since, until } = question
  const limits = { direction, depth, limit }
  return artifact !== undefined
    ? graph.trace({ start: [artifact], ...limits })
    : graph.bySigner({
        signer,
        ...(since !== undefined && { since }),
        ...(until !== undefined && { until }),
        ...limits,
      })
}

export const originOf = ({ checkpoint }: VerifiedEvidence): string => checkpoint.checkpoint.origin

/** With the artifacts that stand only in the payload, where that is there. */
export function provedStep({ log, evidence }: ProvedEvent): LineageStep {
  const { index, entry, payload, policy, signers } = evidence
  if (entry.kind !== EVENT) throw new TreelineError('INVALID_PROOF', `entry ${index} of ${log} is no event`)
  const { artifacts, ...step } = lineageStep(log, index, entry)
  const beyond = payload === undefined ? [] : artifactsBeyond(entry, payload, policy.policy.produces)
  return { ...step, signers, artifacts: [...artifacts, ...beyond] }
}
