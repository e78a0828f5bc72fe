/**
 * The report.json of a report folder, held against the evidence beside it: from evidence that verified the same lineage must follow, by the code that
 * made the report. The texts for people that lie beside it are not judged here.
 */
import { sha256 } from '#platform'
import { equal, fromBase64, toHex, toUtf8 } from '../core/bytes.ts'
import type { Checkpoint } from '../core/checkpoint.ts'
import { EVENT } from '../core/entry.ts'
import type { VerifiedEvidence } from '../core/evidence.ts'
import { type Hash, verifyConsistency } from '../core/merkle.ts'
import { isObject, type JsonObject } from '../core/payload.ts'
import { type ProvedEvent, provedLineage, type Question } from '../core/proved-lineage.ts'
import { verifyCheckpoint, withoutQuorum } from '../core/witness-policy.ts'
import type { KnownFile } from './file-kind.ts'
import { type FileReport, type NamedKeys, noKey, signedBy } from './file-report.ts'
import { checkWitnesses } from './head.ts'
import type { Trust } from './trust.ts'
import { many, type Step, sentenceOf, verdictOf } from './verdict.ts'

const objects = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : [])
const idOf = ({ log, index }: JsonObject): string => `${log} ${index}`

/** Finds the file of the same folder. */
const beside = (report: KnownFile, name: string) => `${report.name.slice(0, -'report.json'.length)}${name}`

/** Texts for people in the folder of a report, by name. */
export const textsOf = (report: KnownFile): readonly string[] =>
  ['report.html', 'VERIFY.md'].map((name) => beside(report, name))

export function checkReport(
  file: KnownFile,
  files: readonly KnownFile[],
  reports: readonly FileReport[],
  trust: Trust,
  named: NamedKeys,
): FileReport {
  const { question, lineage, evidence, logs } = file.document ?? {}
  const heads = new Map(objects(logs).map((log) => [String(log.log), checkHead(log, trust, named)]))
  const proved = new Map<string, ProvedEvent>()
  const wrong: string[] = []
  for (const one of objects(evidence)) {
    const name = beside(file, String(one.file))
    const found = files.find((other) => other.name === name)
    const report = reports.find((other) => other.name === name)
    const verified = report?.evidence
    if (found === undefined) wrong.push(`${one.file} is missing`)
    else if (toHex(sha256(found.bytes)) !== one.sha256)
      wrong.push(`${one.file} is another file than the one that is listed`)
    else if (verified === undefined || verdictOf(report!.steps) === 'failed') wrong.push(`${one.file} does not verify`)
    else if (verified.index !== one.index) wrong.push(`${one.file} is of entry ${verified.index}`)
    else {
      const why = underHead(heads.get(String(one.log)), verified)
      if (verified.entry.kind !== EVENT) wrong.push(`${one.file} is of no event`)
      else if (why === undefined) proved.set(idOf(one), { log: String(one.log), evidence: verified })
      else wrong.push(`${one.file} ${why}`)
    }
  }
  const told = isObject(lineage) ? lineage : {}
  const count = objects(told.events).length
  const bare = objects(told.events).filter((event) => !proved.has(idOf(event)))
  wrong.push(...bare.map((event) => `entry ${event.index} of ${event.log} has no evidence`))
  if (wrong.length === 0) wrong.push(...differences(question, told, [...proved.values()]))
  return {
    name: file.name,
    what: 'Report',
    facts: [
      [
        'Not proved',
        'That it is whole, when it was made, and what it says of faults and notices: the word of whoever made it',
      ],
      [
        'Not compared',
        `report.html and VERIFY.md, which are no evidence: read them only where “treeline verify FOLDER” accepts them`,
      ],
    ],
    steps: [...[...heads.values()].flatMap(({ steps }) => steps), lineageStep(wrong, count)],
  }
}

function lineageStep(wrong: readonly string[], count: number): Step {
  const title = 'What it says of events follows from their evidence'
  if (wrong.length > 0) {
    const more = wrong.length > 5 ? `; and ${wrong.length - 5} more` : ''
    return { title, state: 'failed', detail: `${wrong.slice(0, 5).join('; ')}${more}.` }
  }
  if (count === 0)
    return { title, state: 'unverified', detail: 'It lists no events, or is of a form that this page does not know.' }
  const detail = `${many(count, 'event')}, each with evidence of its own under the heads of the report. From these alone the lineage was made again here: artifacts, names, times, signers, marks and edges are those of report.json.`
  return { title, state: 'verified', detail }
}

/** What the lineage that its evidence gives has, and the one that is told has not, or the other way. */
function differences(asked: unknown, told: JsonObject, events: readonly ProvedEvent[]): string[] {
  const question = questionOf(asked)
  if (question === undefined) return ['it does not say what was asked']
  const proved = provedLineage(question, events) as unknown as JsonObject
  if (proved.truncated === true && told.truncated !== true) return ['it does not say that it was cut off']
  const other = ['start', 'direction', 'depth'].filter((part) => canonical(told[part]) !== canonical(proved[part]))
  if (other.length > 0) return ['its lineage answers another question']
  return [
    ...differing(told.artifacts, proved.artifacts, ({ id }) => String(id)),
    ...differing(told.events, proved.events, ({ log, index }) => `entry ${index} of ${log}`),
    ...differing(
      told.edges,
      proved.edges,
      (edge) => `that entry ${edge.index} of ${edge.log} ${edge.role} ${edge.artifact}`,
    ),
  ]
}

/** In words: what is told and not proved, proved and not told, or told of the same thing and not so. */
function differing(told: unknown, proved: unknown, nameOf: (one: JsonObject) => string): string[] {
  const [has, should] = [told, proved].map((list) => new Map(objects(list).map((one) => [nameOf(one), one]))) as [
    Map<string, JsonObject>,
    Map<string, JsonObject>,
  ]
  const extra = [...has].filter(([name]) => !should.has(name)).map(([name]) => `the evidence does not show ${name}`)
  const missing = [...should].filter(([name]) => !has.has(name)).map(([name]) => `it leaves out ${name}`)
  const changed = [...has].flatMap(([name, one]) => {
    const other = should.get(name) ?? one
    const members = [...new Set([...Object.keys(one), ...Object.keys(other)])]
    const wrong = members.filter((member) => canonical(one[member]) !== canonical(other[member]))
    return wrong.length === 0 ? [] : [`the evidence shows other ${wrong.join(', ')} of ${name}`]
  })
  const found = [...extra, ...missing, ...changed]
  return found.length === 0 && canonical(told) !== canonical(proved) ? ['its lists are in another order'] : found
}

/** With the members of all objects in order. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_name, one: unknown) =>
    isObject(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one,
  ) ?? ''

function questionOf(value: unknown): Question | undefined {
  if (!isObject(value)) return undefined
  const { artifact, signer, direction, depth, limit, since, until } = value
  const numbers = [depth, limit, since ?? 0, until ?? 0].every(
    (one) => Number.isSafeInteger(one) && (one as number) >= 0,
  )
  const one = (typeof artifact === 'string') !== (typeof signer === 'string')
  const known = direction === 'up' || direction === 'down' || direction === 'both'
  return numbers && one && known ? (value as unknown as Question) : undefined
}

interface ReportHead {
  readonly steps: readonly Step[]
  readonly checkpoint?: Checkpoint
  readonly consistency: ReadonlyMap<number, readonly Hash[]>
}

function checkHead({ log, origin, checkpoint, consistency }: JsonObject, trust: Trust, named: NamedKeys): ReportHead {
  const steps = (...some: readonly Step[]) =>
    some.map((step) => ({ ...step, title: `${log}: ${step.title.replace('in it ', '')}` }))
  const proofs = new Map(
    objects(consistency).map(({ size, hashes }) => [
      Number(size),
      (Array.isArray(hashes) ? hashes : []).map((hash) => fromBase64(String(hash)) ?? new Uint8Array(0)),
    ]),
  )
  const pinned = trust.of(String(origin), named(String(origin)))
  if (pinned.policy.logs.length === 0) return { steps: steps(noKey(String(origin))), consistency: proofs }
  try {
    const verified = verifyCheckpoint(toUtf8(String(checkpoint)), withoutQuorum(pinned.policy))
    return {
      steps: steps(signedBy(pinned, String(origin), 'this server'), checkWitnesses(pinned, verified)),
      checkpoint: verified.checkpoint,
      consistency: proofs,
    }
  } catch (error) {
    return {
      steps: steps({ title: 'The head is signed by the log', state: 'failed', detail: sentenceOf(error) }),
      consistency: proofs,
    }
  }
}

/** Why the evidence is not of the history that the head of the report is of. */
function underHead(
  head: ReportHead | undefined,
  { checkpoint: { checkpoint: own } }: VerifiedEvidence,
): string | undefined {
  if (head?.checkpoint === undefined)
    return head === undefined ? 'is of a log that the report does not have' : undefined
  const { origin, size, root } = head.checkpoint
  if (own.origin !== origin) return `is of ${own.origin}`
  if (own.size === size && equal(own.root, root)) return undefined
  const hashes = head.consistency.get(Number(own.size))
  const part = hashes !== undefined && verifyConsistency(own.size, size, own.root, root, hashes)
  return part ? undefined : 'is under a head that is not proved to be a part of the one of the report'
}
