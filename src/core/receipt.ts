/** What a log answers to whoever submitted an event, and how that is checked against the event itself. */
import { addendumHash, BLINDING_SIZE, joinAddendum } from './addendum.ts'
import { equal, fromHex, toUtf8 } from './bytes.ts'
import { type DescribeRules, describe, parsePayload } from './describe.ts'
import { type Envelope, formatEnvelope } from './dsse.ts'
import { decodeEntry, EVENT, type EventEntry } from './entry.ts'
import { TreelineError } from './errors.ts'
import { type Hash, leafHash } from './merkle.ts'
import type { Payload } from './payload.ts'
import { verifyProof } from './proof-file.ts'
import { type VerifiedCheckpoint, type WitnessPolicy, withoutQuorum } from './witness-policy.ts'

export interface Receipt {
  readonly origin: string
  readonly index: number
  readonly entry: Uint8Array
  /** 16 bytes that blind the envelope. */
  readonly salt: Uint8Array
  /** Inclusion proof, leaf's sibling first. */
  readonly hashes: readonly Hash[]
  /** Signed note. */
  readonly checkpoint: string
  readonly witnessed: boolean
}

export interface VerifiedReceipt {
  readonly entry: EventEntry
  readonly checkpoint: VerifiedCheckpoint
}

/**
 * Checks that the receipt is for `sent`, an envelope in canonical form whose keyids are key ids: its addendum, what the entry says of it,
 * and its place under a checkpoint that the pinned log signed. The quorum of `trust` counts only when `witnessed` says so. `rules` are those of
 * the write policy where the caller knows it; without, roles and private types are taken from the entry. Throws INVALID_PROOF or what `verifyProof` does.
 */
export function verifyReceipt(
  receipt: Receipt,
  sent: Envelope,
  trust: WitnessPolicy,
  rules?: DescribeRules,
): VerifiedReceipt {
  const entry = decodeEntry(receipt.entry)
  if (entry.kind !== EVENT) throw new TreelineError('INVALID_PROOF', 'the receipt is for an entry that is not an event')
  const document = formatEnvelope(sent)
  if (
    receipt.salt.length !== BLINDING_SIZE ||
    !equal(entry.addendum, addendumHash(joinAddendum(receipt.salt, document)))
  ) {
    throw new TreelineError('INVALID_PROOF', 'the receipt is for another event than the one that was sent')
  }
  checkDescription(entry, sent, rules)
  const checkpoint = verifyProof(
    { index: BigInt(receipt.index), hashes: receipt.hashes, checkpoint: toUtf8(receipt.checkpoint) },
    leafHash(receipt.entry),
    receipt.witnessed ? trust : withoutQuorum(trust),
  )
  if (checkpoint.checkpoint.origin !== receipt.origin)
    throw new TreelineError('INVALID_PROOF', 'the receipt names another origin than its checkpoint')
  return { entry, checkpoint }
}

/**
 * Throws INVALID_PROOF when keys 3 to 6 and 11 are not what the envelope gives, and what `parsePayload` does. Returns the payload, so that who
 * needs more of it has to parse it no second time.
 */
export function checkDescription(
  entry: EventEntry,
  { payloadType, payload, signatures }: Envelope,
  rules?: DescribeRules,
): Payload {
  const parsed = parsePayload(payloadType, payload)
  const keys = signatures.map(({ keyid }) => fromHex(keyid) ?? new Uint8Array(0))
  const told = JSON.stringify(comparable(entry))
  // Without the policy its two lists are unknown, but they can change a description in no other way than these.
  const candidates: DescribeRules[] = rules
    ? [rules]
    : [
        { produces: [], private: [] },
        { produces: ['*'], private: [] },
        { produces: [], private: ['*'] },
        { produces: ['*'], private: ['*'] },
      ]
  const same = candidates.some(
    (rule) => JSON.stringify(comparable(describe({ keys, payloadType, payload }, rule, parsed))) === told,
  )
  if (!same) throw new TreelineError('INVALID_PROOF', 'the entry does not say what the event says')
  return parsed
}

const comparable = ({
  keys,
  payloadType,
  type,
  artifacts,
  hidden,
}: Pick<EventEntry, 'keys' | 'payloadType' | 'type' | 'artifacts' | 'hidden'>) => [
  keys.map((key) => key.join()),
  payloadType,
  type,
  artifacts.map(({ role, algorithm, digest }) => [role, algorithm, digest.join()]),
  hidden,
]
