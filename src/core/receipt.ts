/** What a log answers to whoever submitted an event, and how that is checked against the event itself. */
import { addendumHash, BLINDING_SIZE, joinAddendum } from './addendum.ts'
import { parseBatchHeader } from './batch.ts'
import { equal, fromHex, toUtf8 } from './bytes.ts'
import { type DescribeRules, describe, parsePayload, type SignedPayload } from './describe.ts'
import { type Envelope, formatEnvelope } from './dsse.ts'
import { BATCH, decodeEntry, EVENT, type EventEntry } from './entry.ts'
import { TreelineError } from './errors.ts'
import { type Hash, leafHash } from './merkle.ts'
import type { Payload } from './payload.ts'
import { verifyProof } from './proof-file.ts'
import { type VerifiedCheckpoint, type WitnessPolicy, withoutQuorum } from './witness-policy.ts'

export interface Receipt {
  readonly origin: string
  readonly index: number
  readonly entry: Uint8Array
  /** 16 bytes that blind the envelope; empty where the document is bare. */
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
  checkDescription(entry, signedPayload(sent), rules)
  return { entry, checkpoint: verifyPlace(receipt, trust) }
}

/** What is said of the header of a signed batch beside its receipt. */
export interface BatchReceipt extends Receipt {
  /** Index of the first item. */
  readonly first: number
  readonly size: number
}

/**
 * As `verifyReceipt`, of a batch: that the header which was sent is in the tree, with all of its items behind it. What these say is shown by their own
 * evidence. Throws INVALID_PROOF or what `verifyProof` does.
 */
export function verifyBatchReceipt(receipt: BatchReceipt, sent: Envelope, trust: WitnessPolicy): VerifiedCheckpoint {
  const entry = decodeEntry(receipt.entry)
  const { size } = parseBatchHeader(sent)
  if (entry.kind !== BATCH || !equal(entry.addendum, addendumHash(formatEnvelope(sent))))
    throw new TreelineError('INVALID_PROOF', 'the receipt is for another entry than the header that was sent')
  if (receipt.first !== receipt.index + 1 || receipt.size !== size)
    throw new TreelineError('INVALID_PROOF', 'the receipt places other items than the header has')
  const { keys } = signedPayload(sent)
  if (entry.keys.length !== keys.length || !entry.keys.every((key, i) => equal(key, keys[i]!)))
    throw new TreelineError('INVALID_PROOF', 'the entry does not say who signed the header')
  const checkpoint = verifyPlace(receipt, trust)
  if (checkpoint.checkpoint.size < BigInt(receipt.first + size))
    throw new TreelineError('INVALID_PROOF', 'the tree of the receipt ends before the items do')
  return checkpoint
}

/** Throws INVALID_PROOF or what `verifyProof` does. */
function verifyPlace(receipt: Receipt, trust: WitnessPolicy): VerifiedCheckpoint {
  const checkpoint = verifyProof(
    { index: BigInt(receipt.index), hashes: receipt.hashes, checkpoint: toUtf8(receipt.checkpoint) },
    leafHash(receipt.entry),
    receipt.witnessed ? trust : withoutQuorum(trust),
  )
  if (checkpoint.checkpoint.origin !== receipt.origin)
    throw new TreelineError('INVALID_PROOF', 'the receipt names another origin than its checkpoint')
  return checkpoint
}

/** An envelope in canonical form as `describe` takes it: its keyids are the ids of the keys. */
export const signedPayload = ({ payloadType, payload, signatures }: Envelope): SignedPayload => ({
  keys: signatures.map(({ keyid }) => fromHex(keyid) ?? new Uint8Array(0)),
  payloadType,
  payload,
})

/**
 * Throws INVALID_PROOF when keys 3 to 6 and 11 are not what the payload gives, and what `parsePayload` does. Returns the payload, so that who
 * needs more of it has to parse it no second time.
 */
export function checkDescription(entry: EventEntry, signed: SignedPayload, rules?: DescribeRules): Payload {
  const parsed = parsePayload(signed.payloadType, signed.payload)
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
  const same = candidates.some((rule) => JSON.stringify(comparable(describe(signed, rule, parsed))) === told)
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
