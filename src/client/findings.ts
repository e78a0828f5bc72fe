/** What verified evidence shows, for programs and for people. */
import { artifactDocument } from '../core/artifact.ts'
import type { PlacedItem } from '../core/batch-evidence.ts'
import { toBase64, toHex } from '../core/bytes.ts'
import { type BatchEntry, EVENT, type EventEntry, KIND_NAMES } from '../core/entry.ts'
import type { VerifiedEvidence } from '../core/evidence.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import { seenBy, seenStillAt } from './witness-times.ts'

/** Times in ms since the Unix epoch, digests and ids in lowercase hex. */
export interface Findings {
  readonly origin: string
  readonly index: number
  /** Of the checkpoint that it is under. */
  readonly size: number
  readonly kind: (typeof KIND_NAMES)[keyof typeof KIND_NAMES]
  /** By the log's clock. */
  readonly time: number
  /** Within which witnesses say that it was logged; null where they do not say. */
  readonly after: number | null
  readonly before: number | null
  readonly witnesses: readonly string[]
  readonly signers: readonly { readonly id: string; readonly name: string }[]
  /** Index of the policy that allowed it. */
  readonly policy: number
  readonly genesis: string
  /** The log that this one goes on from, as its administrators have signed it; the root in base64. */
  readonly successorOf: { readonly origin: string; readonly size: number; readonly root: string } | null
  readonly type: string | null
  readonly artifacts: readonly { readonly role: string; readonly algorithm: string; readonly digest: string }[]
  /** How many artifacts stand only in the payload. */
  readonly hidden: number
  /** The signed batch that it is an item of: index of the header, how many items it has, which of them this is. */
  readonly batch: PlacedItem | null
  /** The evidence is without the payload. Whether that was redacted or lost, it does not say. */
  readonly redacted: boolean
}

/** `trust` is the policy that the evidence was verified with. */
export function findingsOf(evidence: VerifiedEvidence, trust: WitnessPolicy): Findings {
  const { entry, checkpoint, earlier, signers, policy, index, genesis, successorOf, payload, batch } = evidence
  const event = entry.kind === EVENT ? entry : undefined
  return {
    origin: checkpoint.checkpoint.origin,
    index,
    size: Number(checkpoint.checkpoint.size),
    kind: KIND_NAMES[entry.kind],
    time: entry.time,
    after: (earlier && seenStillAt(earlier, trust)) ?? null,
    before: seenBy(checkpoint, trust) ?? null,
    witnesses: checkpoint.cosigners.map(({ witness }) => witness.name),
    signers: signers.map((name, i) => ({ id: toHex((entry as EventEntry | BatchEntry).keys[i]!), name })),
    policy: policy.index,
    genesis: toHex(genesis),
    successorOf: successorOf && { ...successorOf, root: toBase64(successorOf.root) },
    type: event?.type ?? null,
    artifacts: event?.artifacts.map(artifactDocument) ?? [],
    hidden: event?.hidden ?? 0,
    redacted: event !== undefined && payload === undefined,
    batch: batch ?? null,
  }
}

const day = (ms: number): string => new Date(ms).toISOString()

/** As sentences. Names and types are whatever the signers wrote: a terminal is not to be given them as they are. */
export function sayFindings(found: Findings): string[] {
  const { origin, index, size, kind, time, after, before, signers, policy, type, artifacts, hidden, redacted } = found
  const clock = `the log's clock says ${day(time)}`
  const lines = [
    `${kind} at index ${index} of ${origin}, under its checkpoint of size ${size}`,
    before === null
      ? `${clock}; no witness says when`
      : `logged ${after === null ? 'before' : `between ${day(after)} and`} ${day(before)} (witnesses), ${clock}`,
  ]
  if (found.successorOf !== null)
    lines.push(`the log succeeds ${found.successorOf.origin} at size ${found.successorOf.size}`)
  if (kind === 'batch') lines.push(`header of a batch, signed by ${signers.map(({ name }) => name).join(', ')}`)
  if (kind !== 'event') return lines
  lines.push(
    `signer ${signers.map(({ name }) => name).join(', ')}, allowed by the policy at index ${policy}`,
    `type ${type}`,
    ...artifacts.map(({ role, algorithm, digest }) => `${role} ${algorithm}:${digest}`),
  )
  if (found.batch !== null) {
    const { position, size, index: header } = found.batch
    lines.push(
      `item ${position} of ${size} in the signed batch at index ${header}: its path leads to the root that was signed`,
    )
  }
  if (hidden > 0) lines.push(`and ${hidden} artifacts that stand only in the payload`)
  if (redacted) lines.push('the payload was redacted or lost; its signer, type and place are still proved')
  return lines
}
