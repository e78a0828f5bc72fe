/** What cosignatures say about time, when only a full quorum is believed. */
import { type PolicyWitness, quorumMet, type VerifiedCheckpoint, type WitnessPolicy } from '../core/witness-policy.ts'

type Quorum = WitnessPolicy['quorum']

/**
 * The earliest time (ms since the Unix epoch) by which a full quorum had seen the checkpoint. A single witness could lie; that a whole
 * quorum does is what the policy excludes. Undefined when the policy asks for no witness, or too few of them state a time.
 */
export function seenBy(checkpoint: VerifiedCheckpoint, { quorum }: WitnessPolicy): number | undefined {
  return bound(checkpoint, quorum, (a, b) => a - b)
}

/** The latest time at which a full quorum still saw the checkpoint as the newest of its log. Undefined as above. */
export function seenStillAt(checkpoint: VerifiedCheckpoint, { quorum }: WitnessPolicy): number | undefined {
  return bound(checkpoint, quorum, (a, b) => b - a)
}

function bound(
  { cosigners }: VerifiedCheckpoint,
  quorum: Quorum,
  order: (a: number, b: number) => number,
): number | undefined {
  const seen = new Set<PolicyWitness>()
  if (quorumMet(quorum, seen)) return undefined
  const timed = cosigners
    .filter(({ timestamp }) => timestamp > 0n)
    .map(({ witness, timestamp }) => ({ witness, time: 1_000 * Number(timestamp) }))
    .sort((a, b) => order(a.time, b.time))
  return timed.find(({ witness }) => quorumMet(quorum, seen.add(witness)))?.time
}
