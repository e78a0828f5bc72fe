/**
 * The evidence file: a tlog-proof that any verifier of the format can check, whose `extra` line holds, in deterministic CBOR, what
 * ours checks beyond it: the entry and its addendum, the write policies from the genesis to the one in force, and an earlier
 * witnessed checkpoint. Nothing of it needs the network or the word of the log.
 *
 *   {1: entry, 2: addendum (absent if redacted), 3: [[index, entry, document, hashes] …],
 *    4: [header index, header entry, header document, hashes, path] (of an item of a signed batch), 5: [note, hashes] (absent if none)}
 */
import { addendumHash, splitAddendum } from './addendum.ts'
import { type BatchProof, type PlacedItem, verifyBatch, verifyHeader } from './batch-evidence.ts'
import { equal, fromUtf8, toHex, toUtf8 } from './bytes.ts'
import { type Cbor, decodeCbor, encodeCbor } from './cbor.ts'
import { type Envelope, parseEnvelope } from './dsse.ts'
import { BATCH, decodeEntry, type Entry, EVENT, GENESIS, POLICY } from './entry.ts'
import { judgeBy, requireCanonical } from './entry-rules.ts'
import { TreelineError } from './errors.ts'
import { type Hash, leafHash, verifyConsistency, verifyInclusion } from './merkle.ts'
import { judgeEvent, judgeGenesis, judgePolicy, type PolicyInForce } from './policy-fold.ts'
import { formatProof, parseProof, verifyProof } from './proof-file.ts'
import { checkDescription, signedPayload } from './receipt.ts'
import type { VerifySignature } from './signature.ts'
import {
  quorumMet,
  type VerifiedCheckpoint,
  verifyCheckpoint,
  type WitnessPolicy,
  withoutQuorum,
} from './witness-policy.ts'
import { type Predecessor, parseWritePolicy } from './write-policy.ts'

/** A signed document of the log, with its place under the checkpoint of the evidence. */
export interface PolicyProof {
  readonly index: number
  readonly entry: Uint8Array
  /** The signed document: the entry's addendum. */
  readonly document: Uint8Array
  readonly hashes: readonly Hash[]
}

export interface Evidence {
  readonly index: number
  readonly hashes: readonly Hash[]
  /** Signed note. */
  readonly checkpoint: string
  readonly entry: Uint8Array
  /** Absent when it was redacted. */
  readonly addendum?: Uint8Array
  /** Oldest first, from the genesis to the policy in force. */
  readonly policies: readonly PolicyProof[]
  /** Of an item of a signed batch. */
  readonly batch?: BatchProof
  /** The last witnessed checkpoint that does not cover the index, and its consistency with `checkpoint`. */
  readonly earlier?: { readonly checkpoint: string; readonly hashes: readonly Hash[] }
}

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_PROOF', `not an evidence file: ${why}`)

export function formatEvidence(evidence: Evidence): Uint8Array {
  const { index, hashes, checkpoint, entry, addendum, policies, batch, earlier } = evidence
  const extra = new Map<number, Cbor>([
    [1, entry],
    [3, policies.map((policy) => [policy.index, policy.entry, policy.document, policy.hashes])],
  ])
  if (addendum !== undefined) extra.set(2, addendum)
  if (batch !== undefined) extra.set(4, [batch.index, batch.entry, batch.document, batch.hashes, batch.path])
  if (earlier !== undefined) extra.set(5, [toUtf8(earlier.checkpoint), earlier.hashes])
  return formatProof({ index: BigInt(index), hashes, checkpoint: toUtf8(checkpoint), extra: encodeCbor(extra) })
}

/** Throws MALFORMED_PROOF. */
export function parseEvidence(file: Uint8Array): Evidence {
  const { index, hashes, checkpoint, extra } = parseProof(file)
  if (extra === undefined) throw malformed('it has no extra line: it is a bare proof')
  let map: Cbor
  try {
    map = decodeCbor(extra)
  } catch (error) {
    throw malformed((error as Error).message)
  }
  if (!(map instanceof Map)) throw malformed('extra is not a map')
  for (const key of map.keys()) if (![1, 2, 3, 4, 5].includes(key)) throw malformed(`extra has the unknown key ${key}`)
  const addendum = map.get(2)
  const batch = map.get(4)
  const earlier = map.get(5)
  if (index > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('no log of ours has so many entries')
  return {
    index: Number(index),
    hashes,
    checkpoint: text(checkpoint),
    entry: bytes(map.get(1)),
    policies: list(map.get(3)).map((item) => {
      const [policy, rest] = documentOf(list(item))
      if (rest.length > 0) throw malformed('more than a policy and its place')
      return policy
    }),
    ...(batch !== undefined && { batch: batchOf(list(batch)) }),
    ...(addendum !== undefined && { addendum: bytes(addendum) }),
    ...(earlier !== undefined && { earlier: earlierOf(list(earlier)) }),
  }
}

function documentOf([at, entry, document, hashes, ...rest]: readonly Cbor[]): [PolicyProof, readonly Cbor[]] {
  if (!Number.isSafeInteger(at) || (at as number) < 0) throw malformed('a document without its index')
  const proof = {
    index: at as number,
    entry: bytes(entry),
    document: bytes(document),
    hashes: list(hashes).map(bytes),
  }
  return [proof, rest]
}

function batchOf(values: readonly Cbor[]): BatchProof {
  const [header, [path, ...rest]] = documentOf(values)
  if (rest.length > 0) throw malformed('more than a header, its place and a path')
  return { ...header, path: list(path).map(bytes) }
}

function earlierOf([checkpoint, hashes, ...rest]: readonly Cbor[]): NonNullable<Evidence['earlier']> {
  if (rest.length > 0) throw malformed('more than a checkpoint and its hashes')
  return { checkpoint: text(bytes(checkpoint)), hashes: list(hashes).map(bytes) }
}

function bytes(value: Cbor | undefined): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed('a byte string is missing')
  return value
}

function list(value: Cbor | undefined): readonly Cbor[] {
  if (!Array.isArray(value)) throw malformed('an array is missing')
  return value
}

function text(value: Uint8Array): string {
  const decoded = fromUtf8(value)
  if (decoded === undefined) throw malformed('a checkpoint is not UTF-8')
  return decoded
}

export interface VerifiedEvidence {
  readonly index: number
  readonly entry: Entry
  readonly checkpoint: VerifiedCheckpoint
  /** Covers a smaller tree, without the entry. */
  readonly earlier: VerifiedCheckpoint | undefined
  /** The policy in force at the index, of a log whose genesis the chain begins with. */
  readonly policy: PolicyInForce
  readonly genesis: Hash
  /** What the genesis says that the log goes on from. */
  readonly successorOf: Predecessor | null
  /** What the event says, of whatever payload type; undefined when it was redacted or lost, or is not an event. */
  readonly payload: Uint8Array | undefined
  readonly payloadType: string | undefined
  /** The signed envelope of a single event that is there. */
  readonly envelope: Envelope | undefined
  readonly batch: PlacedItem | undefined
  /** Names of the signers in the policy. */
  readonly signers: readonly string[]
}

/**
 * Everything that can be verified without the log: its place under a checkpoint that `trust` accepts, that its bytes and metadata
 * are those of the signed event, and that the policy of the log, folded from its genesis, allowed it. Throws MALFORMED_…, UNVERIFIED_NOTE, INVALID_PROOF,
 * and the judgement of the policy where the log admitted what it should not have.
 */
export function verifyEvidence(evidence: Evidence, trust: WitnessPolicy, verify: VerifySignature): VerifiedEvidence {
  const { index, hashes, policies, addendum } = evidence
  const proof = { index: BigInt(index), hashes, checkpoint: toUtf8(evidence.checkpoint) }
  const checkpoint = verifyProof(proof, leafHash(evidence.entry), trust)
  const entry = decodeEntry(evidence.entry)
  const policy = foldPolicies(evidence, checkpoint, verify)
  if ('policy' in entry && entry.policy !== policy.index) {
    throw new TreelineError(
      'INVALID_PROOF',
      `the entry was admitted under the policy at ${entry.policy}, and the one in force is at ${policy.index}`,
    )
  }
  if ((entry.kind === GENESIS || entry.kind === POLICY) && policy.index !== index) {
    throw new TreelineError('INVALID_PROOF', `the policies do not lead to the one of entry ${index}`)
  }
  if (addendum !== undefined && !equal(addendumHash(addendum), entry.addendum)) {
    throw new TreelineError('INVALID_PROOF', 'the addendum is not the one that the entry commits to')
  }
  const current = judgeBy(policy)
  const batch = verifyBatch(evidence.batch, index, entry, checkpoint.checkpoint, current, verify)
  const document = entry.kind === EVENT && addendum !== undefined ? splitAddendum(addendum).document : undefined
  const envelope =
    document !== undefined && batch === undefined
      ? inCanonicalForm(() => requireCanonical(document, current.ring, verify))
      : undefined
  let payload = envelope?.payload
  if (entry.kind === EVENT && document !== undefined) {
    payload ??= document
    const signed = envelope === undefined ? { ...entry, payload } : signedPayload(envelope)
    const { subjects, origin } = checkDescription(entry, signed, policy.policy)
    judgeEvent(policy, current.ring, { ...entry, subjects, origin }, entry.time)
  } else if (entry.kind === EVENT) {
    // Of a redacted event the subjects are gone, so they are not judged; key, type and time still are.
    judgeEvent(policy, current.ring, { ...entry, subjects: [], origin: undefined }, entry.time)
  } else if (entry.kind === BATCH) {
    if (addendum === undefined) throw new TreelineError('INVALID_PROOF', 'the document of the header is missing')
    verifyHeader({ index, bytes: evidence.entry, document: addendum }, entry, current, verify)
  }
  return {
    index,
    entry,
    checkpoint,
    earlier: verifyEarlier(evidence, checkpoint, trust),
    policy,
    genesis: leafHash(policies[0]!.entry),
    successorOf: parseWritePolicy(parseEnvelope(policies[0]!.document).payload).successorOf,
    payload,
    payloadType: payload && entry.kind === EVENT ? entry.payloadType : undefined,
    envelope,
    batch,
    signers:
      entry.kind === EVENT || entry.kind === BATCH
        ? entry.keys.map((key) => current.ring.signer(toHex(key))!.name)
        : [],
  }
}

/** What is not in canonical form is another document than the log may hold, whatever it says. */
function inCanonicalForm<T>(judge: () => T): T {
  try {
    return judge()
  } catch (error) {
    if (error instanceof TreelineError && error.code === 'MALFORMED_ENVELOPE')
      throw new TreelineError('INVALID_PROOF', error.message, {}, { cause: error })
    throw error
  }
}

function foldPolicies(
  { index, policies }: Evidence,
  { checkpoint }: VerifiedCheckpoint,
  verify: VerifySignature,
): PolicyInForce {
  let current: PolicyInForce | undefined
  for (const one of policies) {
    const entry = decodeEntry(one.entry)
    const first = current === undefined
    if (entry.kind !== (first ? GENESIS : POLICY) || (first && one.index !== 0)) {
      throw new TreelineError('INVALID_PROOF', `entry ${one.index} is not the ${first ? 'genesis' : 'next policy'}`)
    }
    if (!equal(addendumHash(one.document), entry.addendum)) {
      throw new TreelineError('INVALID_PROOF', `the policy at ${one.index} is not the one that its entry commits to`)
    }
    if (!verifyInclusion(BigInt(one.index), checkpoint.size, leafHash(one.entry), one.hashes, checkpoint.root)) {
      throw new TreelineError('INVALID_PROOF', `the policy at ${one.index} is not in the tree`)
    }
    const envelope = parseEnvelope(one.document)
    const { policy } = current === undefined ? judgeGenesis(envelope, verify) : judgePolicy(current, envelope, verify)
    // The genesis or policy entry that the evidence is about is under itself; any other stands before it.
    if (one.index > index)
      throw new TreelineError('INVALID_PROOF', `the policy at ${one.index} came after entry ${index}`)
    current = { index: one.index, sha256: entry.addendum, policy }
  }
  if (current === undefined) throw new TreelineError('INVALID_PROOF', 'the evidence has no policy')
  if (current.policy.origin !== checkpoint.origin)
    throw new TreelineError('INVALID_PROOF', 'the policy is that of another log')
  return current
}

function verifyEarlier(
  { earlier, index }: Evidence,
  later: VerifiedCheckpoint,
  trust: WitnessPolicy,
): VerifiedCheckpoint | undefined {
  if (earlier === undefined) return undefined
  const verified = verifyCheckpoint(toUtf8(earlier.checkpoint), withoutQuorum(trust))
  const { checkpoint: old } = verified
  const { checkpoint: now } = later
  if (old.origin !== now.origin || old.size > BigInt(index)) {
    throw new TreelineError('INVALID_PROOF', 'the earlier checkpoint is of another log or covers the entry')
  }
  if (!verifyConsistency(old.size, now.size, old.root, now.root, earlier.hashes)) {
    throw new TreelineError('INVALID_PROOF', 'the earlier checkpoint is not a prefix of the later one')
  }
  // The log had other witnesses then: it says nothing about time to this reader, and the evidence is as good without.
  return quorumMet(trust.quorum, new Set(verified.cosigners.map(({ witness }) => witness))) ? verified : undefined
}
