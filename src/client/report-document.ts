/** report.json: the one file of a report from which the others but the evidence follow. */
import { toBase64 } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import type { Lineage } from '../core/lineage.ts'
import { isObject } from '../core/payload.ts'
import { parseJson } from '../core/strict-json.ts'
import { hashesOf, indexOf, textOf } from './answer.ts'
import { parseLineage, type Question } from './lineage-answer.ts'

export const FORMAT = 'treeline.report@v1'

export interface ReportedLog {
  readonly log: string
  readonly origin: string
  /** Signed note. */
  readonly checkpoint: string
  /** How many entries were read, where the log was read whole; null where the server was asked. */
  readonly scanned: number | null
  /** Of each smaller checkpoint that evidence is under; hashes in base64. */
  readonly consistency: readonly { readonly size: number; readonly hashes: readonly string[] }[]
}

export interface Report {
  readonly format: typeof FORMAT
  readonly question: Question
  /** ms since the Unix epoch, by the clock of whoever made it. */
  readonly made: number
  readonly logs: readonly ReportedLog[]
  readonly lineage: Lineage
  readonly evidence: readonly {
    readonly log: string
    readonly index: number
    readonly file: string
    /** Lowercase hex. */
    readonly sha256: string
  }[]
  /** Where a server did not say what was proved: the word of whoever made the report. */
  readonly faults: readonly string[]
  readonly notices: readonly string[]
}

/** Begins a notice of what was found and could not be proved, for lack of a key or of a right. */
export const NOT_SHOWN = 'not shown: '

export const evidenceName = (log: string, index: number): string => `evidence/${log}-${index}.tlog-proof`
export const checkpointName = (log: string): string => `checkpoints/${log}.txt`

export const invalid = (why: string): TreelineError =>
  new TreelineError('INVALID_PROOF', `the report does not verify: ${why}`)

/** Throws INVALID_PROOF, TOO_DEEP, DUPLICATE_JSON_KEY. */
export function parseReport(bytes: Uint8Array): Report {
  const document = parseJson(bytes, 'INVALID_PROOF')
  if (!isObject(document) || document.format !== FORMAT) throw invalid(`report.json is no ${FORMAT}`)
  const { made, logs, lineage, evidence, faults, notices } = document
  if (!isObject(lineage)) throw invalid('report.json has no lineage')
  // Names of logs become names of files, and are checked as in the answer of a server.
  const { logs: _, ...parsed } = parseLineage({ ...lineage, logs: [] })
  return {
    format: FORMAT,
    question: parseQuestion(document.question),
    made: indexOf(made, 'made'),
    logs: list(logs).map((one) => ({
      log: logName(one.log),
      origin: textOf(one.origin, 'origin'),
      checkpoint: textOf(one.checkpoint, 'checkpoint'),
      scanned: one.scanned === null ? null : indexOf(one.scanned, 'scanned'),
      consistency: list(one.consistency).map(({ size, hashes }) => ({
        size: indexOf(size, 'size'),
        hashes: hashesOf(hashes).map(toBase64),
      })),
    })),
    lineage: parsed,
    evidence: list(evidence).map((one) => {
      const [log, index] = [logName(one.log), indexOf(one.index, 'index')]
      const file = evidenceName(log, index)
      if (one.file !== file) throw invalid(`the evidence of ${index} of ${log} is not called ${file}`)
      return { log, index, file, sha256: textOf(one.sha256, 'sha256') }
    }),
    faults: texts(faults),
    notices: texts(notices),
  }
}

function parseQuestion(value: unknown): Question {
  if (!isObject(value)) throw invalid('report.json has no question')
  const { artifact, signer, direction, depth, limit, since, until } = value
  if (direction !== 'up' && direction !== 'down' && direction !== 'both') throw invalid('it asks in no direction')
  if ((artifact === undefined) === (signer === undefined)) throw invalid('it asks for neither an artifact nor a signer')
  const common = {
    direction,
    depth: indexOf(depth, 'depth'),
    limit: indexOf(limit, 'limit'),
    ...(since !== undefined && { since: indexOf(since, 'since') }),
    ...(until !== undefined && { until: indexOf(until, 'until') }),
  } as const
  if (artifact !== undefined && !/^[!-~]{1,64}:[0-9a-f]{2,128}$/.test(textOf(artifact, 'artifact')))
    throw invalid('it asks for no artifact')
  return signer === undefined
    ? { artifact: artifact as string, ...common }
    : { signer: textOf(signer, 'signer'), ...common }
}

function list(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value) || !value.every(isObject)) throw invalid('report.json lacks a list')
  return value
}

function texts(value: unknown): string[] {
  if (!Array.isArray(value)) throw invalid('report.json lacks a list')
  return value.map((one) => textOf(one, 'a sentence'))
}

function logName(value: unknown): string {
  if (typeof value !== 'string' || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(value)) throw invalid('a log has no name of a log')
  return value
}
