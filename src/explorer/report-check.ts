/**
 * The report.json of a report folder, held against the evidence beside it: whatever it says of an event must stand in evidence that verified.
 * The pages for people that lie beside it are not judged here.
 */
import { sha256 } from '#platform'
import { equal, fromBase64, toHex, toUtf8 } from '../core/bytes.ts'
import type { Checkpoint } from '../core/checkpoint.ts'
import { EVENT } from '../core/entry.ts'
import type { VerifiedEvidence } from '../core/evidence.ts'
import { type Hash, verifyConsistency } from '../core/merkle.ts'
import { isObject, type JsonObject } from '../core/payload.ts'
import { verifyCheckpoint, withoutQuorum } from '../core/witness-policy.ts'
import type { KnownFile } from './file-kind.ts'
import { type FileReport, type NamedKeys, noKey, signedBy } from './file-report.ts'
import { checkWitnesses } from './head.ts'
import { statedBy } from './stated.ts'
import type { Trust } from './trust.ts'
import { messageOf, type Step, verdictOf } from './verdict.ts'

const objects = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : [])
const idOf = ({ log, index }: JsonObject): string => `${log} ${index}`

/** Finds the file of the same folder. */
const beside = (report: KnownFile, name: string) => `${report.name.slice(0, -'report.json'.length)}${name}`

export function checkReport(
  file: KnownFile,
  files: readonly KnownFile[],
  reports: readonly FileReport[],
  trust: Trust,
  named: NamedKeys,
): FileReport {
  const { lineage, evidence, logs } = file.document ?? {}
  const heads = new Map(objects(logs).map((log) => [String(log.log), checkHead(log, trust, named)]))
  const proved = new Map<string, VerifiedEvidence>()
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
      if (why === undefined) proved.set(idOf(one), verified)
      else wrong.push(`${one.file} ${why}`)
    }
  }
  const told = isObject(lineage) ? lineage : {}
  const bare = objects(told.events).filter((event) => !proved.has(idOf(event)))
  wrong.push(...bare.map((event) => `entry ${event.index} of ${event.log} has no evidence`))
  const invented = objects(told.edges).filter((edge) => !shows(proved.get(idOf(edge)), edge))
  wrong.push(
    ...invented.map(
      ({ log, index, role, artifact }) => `entry ${index} of ${log} does not say that it ${role} ${artifact}`,
    ),
  )
  const title = 'What it says of events stands in their evidence'
  const count = objects(told.events).length
  const step: Step =
    wrong.length > 0
      ? {
          title,
          state: 'failed',
          detail: `${wrong.slice(0, 5).join('; ')}${wrong.length > 5 ? `; and ${wrong.length - 5} more` : ''}.`,
        }
      : count === 0
        ? { title, state: 'unverified', detail: 'It lists no events, or is of a form that this page does not know.' }
        : {
            title,
            state: 'verified',
            detail: `${count} events, each with evidence of its own under the heads of the report, and every edge between them.`,
          }
  return {
    name: file.name,
    what: 'Report',
    facts: [
      [
        'Not checked here',
        'report.html and VERIFY.md, which are texts for people: “treeline verify FOLDER” compares them too',
      ],
    ],
    steps: [...[...heads.values()].flatMap(({ steps }) => steps), step],
  }
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
      steps: steps({ title: 'The head is signed by the log', state: 'failed', detail: `${messageOf(error)}.` }),
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

function shows(verified: VerifiedEvidence | undefined, { artifact, role }: JsonObject): boolean {
  if (verified?.entry.kind !== EVENT) return false
  return statedBy(verified.entry, verified).has(`${role} ${artifact}`)
}
