/**
 * A report: lineage with everything that proves it, in a folder that is verified with no network.
 *
 *   report.json             question, lineage, heads and how all evidence is a part of them
 *   report.html             the same for people
 *   evidence/LOG-N.tlog-proof   one for each event
 *   checkpoints/LOG.txt     the head of each log, a signed note
 *   VERIFY.md               how to verify it
 *
 * Everything but the evidence follows from report.json byte for byte, and the lineage in report.json follows from the evidence.
 */

import { sha256 } from '#platform'
import { equal, fromUtf8, toBase64, toHex, toUtf8 } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import type { VerifiedEvidence } from '../core/evidence.ts'
import type { Lineage } from '../core/lineage.ts'
import { type Hash, verifyConsistency } from '../core/merkle.ts'
import { originOf, type ProvedEvent, provedLineage } from '../core/proved-lineage.ts'
import { type VerifiedCheckpoint, verifyCheckpoint } from '../core/witness-policy.ts'
import { hashesOf } from './answer.ts'
import { parseLineage } from './lineage-answer.ts'
import {
  checkpointName,
  evidenceName,
  FORMAT,
  invalid,
  NOT_SHOWN,
  parseReport,
  type Report,
  type ReportedLog,
} from './report-document.ts'
import { formatHtml } from './report-html.ts'
import { formatInstructions } from './report-instructions.ts'
import type { Trace } from './trace.ts'
import { requirePolicy, type Trust } from './trusted-log.ts'
import { verifyFile } from './verify.ts'

export type ReportFiles = ReadonlyMap<string, Uint8Array>

/** The files of a report, by name. */
export function formatReport(
  { question, lineage, events, logs, faults, gaps, notices }: Trace,
  made: number,
): ReportFiles {
  const order = <T extends { readonly log: string; readonly index: number }>(a: T, b: T): number =>
    a.log < b.log ? -1 : a.log > b.log ? 1 : a.index - b.index
  const report: Report = {
    format: FORMAT,
    question,
    made,
    logs: logs.map(({ log, origin, head, scanned, consistency }) => ({
      log,
      origin,
      checkpoint: fromUtf8(head.note)!,
      scanned,
      consistency: consistency.map(({ size, hashes }) => ({ size, hashes: hashes.map(toBase64) })),
    })),
    lineage,
    evidence: events
      .map(({ log, evidence: { index }, file }) => ({
        log,
        index,
        file: evidenceName(log, index),
        sha256: toHex(sha256(file)),
      }))
      .sort(order),
    faults,
    notices: [...gaps.map((gap) => `${NOT_SHOWN}${gap}`), ...notices],
  }
  const files = new Map([['report.json', toUtf8(`${JSON.stringify(report, null, 1)}\n`)], ...derivedFiles(report)])
  for (const { log, evidence, file } of events) files.set(evidenceName(log, evidence.index), file)
  return files
}

function derivedFiles(report: Report): [string, Uint8Array][] {
  return [
    ['report.html', toUtf8(formatHtml(report))],
    ['VERIFY.md', toUtf8(formatInstructions(report))],
    ...report.logs.map(({ log, checkpoint }): [string, Uint8Array] => [checkpointName(log), toUtf8(checkpoint)]),
  ]
}

export interface VerifiedReport {
  readonly report: Report
  readonly events: readonly ProvedEvent[]
  readonly heads: readonly VerifiedCheckpoint[]
}

/**
 * No network, no clock. Throws INVALID_PROOF, naming what is wrong, MALFORMED_… for broken evidence, and UNVERIFIED_NOTE for what the trust
 * policy does not accept.
 */
export function verifyReport(files: ReportFiles, trust: Trust): VerifiedReport {
  const text = files.get('report.json')
  if (text === undefined) throw invalid('there is no report.json')
  const report = parseReport(text)
  const known = new Set(['report.json', ...report.evidence.map(({ file }) => file)])
  const derived = derivedFiles(report)
  for (const [name] of derived) known.add(name)
  for (const name of files.keys()) if (!known.has(name)) throw invalid(`${name} is no part of it`)

  const logs = new Map(report.logs.map((one) => [one.log, one]))
  const heads = report.logs.map(({ log, origin, checkpoint }) => {
    const head = within(checkpointName(log), () => verifyCheckpoint(toUtf8(checkpoint), requirePolicy(trust, origin)))
    if (head.checkpoint.origin !== origin) throw invalid(`${checkpointName(log)} is not of ${origin}`)
    return head
  })
  const headOf = new Map(report.logs.map(({ log }, i) => [log, heads[i]!]))
  const events = report.evidence.map(({ log, index, file: name, sha256: digest }) => {
    const file = files.get(name)
    if (file === undefined) throw invalid(`${name} is missing`)
    if (toHex(sha256(file)) !== digest) throw invalid(`${name} is not the file that report.json lists`)
    const verified = within(name, () => verifyFile({ file, trust }))
    if (verified.kind !== 'evidence') throw invalid(`${name} is no evidence file`)
    const { evidence } = verified
    const reported = logs.get(log)
    if (reported === undefined || originOf(evidence) !== reported.origin || evidence.index !== index)
      throw invalid(`${name} is of entry ${evidence.index} of ${originOf(evidence)}`)
    requireOneTree(name, reported, headOf.get(log)!, evidence.checkpoint.checkpoint)
    return { log, evidence }
  })
  for (const { log, evidence } of events) requireOneHistory(log, evidence, report.logs, headOf)
  const lineage = provedLineage(report.question, events)
  if (lineage.truncated && !report.lineage.truncated) throw invalid('it does not say that it was cut off')
  const [told, proved] = [comparable(report.lineage), comparable(lineage)]
  for (const part of ['artifacts', 'events', 'edges'] as const)
    if (JSON.stringify(told[part]) !== JSON.stringify(proved[part]))
      throw invalid(`${difference(told[part], proved[part])} (${part} of report.json)`)
  if (JSON.stringify(told) !== JSON.stringify(proved)) throw invalid('its lineage answers another question')
  // Last, so that what is wrong with the lineage is named as such.
  for (const [name, bytes] of derived) {
    const file = files.get(name)
    if (file === undefined) throw invalid(`${name} is missing`)
    if (!equal(file, bytes))
      throw invalid(`${name} is not what report.json says: it was changed, or made by another version of treeline`)
  }
  return { report, events, heads }
}

/** Names the file that is broken. */
function within<T>(name: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError(error.code, `the report does not verify: ${name}: ${error.message}`, {}, { cause: error })
  }
}

function requireOneTree(
  name: string,
  { log, consistency }: ReportedLog,
  { checkpoint: head }: VerifiedCheckpoint,
  checkpoint: { readonly size: bigint; readonly root: Hash },
): void {
  if (checkpoint.size === head.size) {
    if (!equal(checkpoint.root, head.root)) throw invalid(`${name} is of another tree than ${checkpointName(log)}`)
    return
  }
  const proof = consistency.find(({ size }) => BigInt(size) === checkpoint.size)
  const hashes = proof && hashesOf(proof.hashes)
  if (!hashes || !verifyConsistency(checkpoint.size, head.size, checkpoint.root, head.root, hashes))
    throw invalid(`${name} is not shown to be of the same tree as ${checkpointName(log)}`)
}

/** What the genesis of a log says that it goes on from is a part of the head of that one, where the report has both. */
function requireOneHistory(
  log: string,
  { successorOf }: VerifiedEvidence,
  logs: readonly ReportedLog[],
  heads: ReadonlyMap<string, VerifiedCheckpoint>,
): void {
  const before = successorOf && logs.find(({ origin }) => origin === successorOf.origin)
  if (!before) return
  const { size, root } = successorOf
  requireOneTree(`what ${log} goes on from`, before, heads.get(before.log)!, { size: BigInt(size), root })
}

const comparable = (lineage: Lineage): Lineage => ({
  ...parseLineage(JSON.parse(JSON.stringify({ ...lineage, logs: [] }))),
  truncated: false,
})

/** The first thing that one list has and the other has not. */
function difference(told: readonly object[], proved: readonly object[]): string {
  const [a, b] = [told, proved].map((list) => new Set(list.map((one) => JSON.stringify(one)))) as [
    Set<string>,
    Set<string>,
  ]
  const extra = [...a].find((one) => !b.has(one))
  return extra === undefined
    ? `it leaves out ${[...b].find((one) => !a.has(one))}`
    : `the evidence does not show ${extra}`
}
