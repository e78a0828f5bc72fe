/**
 * The write policy in force as a fold over the entries before an index, and its judgements. The server runs it at
 * the index that it gives, and an auditor runs it again over the entries: both must come to the same.
 */
import { equal, toHex } from './bytes.ts'
import type { Description } from './describe.ts'
import { type Envelope, type KeyRing, type VerifiedSignature, verifyEnvelope } from './dsse.ts'
import { TreelineError } from './errors.ts'
import type { PublicKey } from './keys.ts'
import { matchAny } from './pattern.ts'
import type { VerifySignature } from './signature.ts'
import { parseWritePolicy, type Signer, WRITE_POLICY, type WritePolicy } from './write-policy.ts'

/** A policy, where it stands, and key 7 of its entry. */
export interface PolicyInForce {
  readonly index: number
  readonly sha256: Uint8Array
  readonly policy: WritePolicy
}

/** The signers of a policy by id and alias. */
export class SignerRing implements KeyRing {
  readonly #byId: ReadonlyMap<string, Signer>
  readonly #byName: ReadonlyMap<string, Signer>

  constructor({ signers }: WritePolicy) {
    this.#byId = new Map(signers.map((signer) => [signer.key.id, signer]))
    this.#byName = new Map(signers.flatMap((signer) => [signer.key.id, ...signer.keyids].map((name) => [name, signer])))
  }

  signer(id: string): Signer | undefined {
    return this.#byId.get(id)
  }

  find(keyid: string): PublicKey | undefined {
    return this.#byName.get(keyid)?.key
  }

  *all(): Iterable<PublicKey> {
    for (const { key } of this.#byId.values()) yield key
  }
}

const ringOf = (keys: readonly PublicKey[]): KeyRing => ({
  find: (keyid) => keys.find(({ id }) => id === keyid),
  all: () => keys,
})

/**
 * Whether every key that signed may say this, here and now. Throws UNKNOWN_KEY, KEY_SUSPENDED, KEY_EXPIRED, TYPE_NOT_ALLOWED,
 * SUBJECT_NOT_ALLOWED, WRONG_ORIGIN.
 */
export function judgeEvent(
  { policy }: PolicyInForce,
  ring: SignerRing,
  event: Pick<Description, 'keys' | 'type'> & {
    readonly subjects: readonly string[]
    readonly origin: string | undefined
  },
  time: number,
): void {
  judgeOrigin(policy, event.origin)
  for (const signer of judgeKeys(ring, event.keys, time)) judgeStatement(signer, event)
}

/** Throws WRONG_ORIGIN. */
export function judgeOrigin(policy: WritePolicy, origin: string | undefined): void {
  if (origin !== undefined && origin !== policy.origin)
    throw new TreelineError('WRONG_ORIGIN', `the statement is made for ${origin}, this log is ${policy.origin}`)
}

/** Whether the keys may sign anything here and now; the signers that they are. Throws UNKNOWN_KEY, KEY_SUSPENDED, KEY_EXPIRED. */
export function judgeKeys(ring: SignerRing, keys: readonly Uint8Array[], time: number): Signer[] {
  return keys.map((bytes) => {
    const id = toHex(bytes)
    const signer = ring.signer(id)
    if (signer === undefined) throw new TreelineError('UNKNOWN_KEY', `the policy has no signer ${id}`)
    judgeSigner(signer, time)
    return signer
  })
}

function judgeSigner({ name, suspended, notBefore, notAfter }: Signer, time: number): void {
  if (suspended !== null) {
    throw new TreelineError(
      'KEY_SUSPENDED',
      `the key of ${name} is suspended: an administrator must restore or replace it`,
    )
  }
  if (time < (notBefore ?? 0) || time >= (notAfter ?? Number.POSITIVE_INFINITY)) {
    throw new TreelineError('KEY_EXPIRED', `the key of ${name} is not valid now: an administrator must renew it`)
  }
}

/** Whether a signer may say this, of whatever key and time. Throws TYPE_NOT_ALLOWED, SUBJECT_NOT_ALLOWED. */
export function judgeStatement(
  { name, types, subjects }: Signer,
  event: { readonly type: string; readonly subjects: readonly string[] },
): void {
  if (!matchAny(types, event.type)) {
    throw new TreelineError('TYPE_NOT_ALLOWED', `${name} may not submit events of type ${event.type}`)
  }
  const foreign = event.subjects.find((subject) => !matchAny(subjects, subject))
  if (foreign !== undefined) {
    throw new TreelineError('SUBJECT_NOT_ALLOWED', `${name} may not submit events about ${JSON.stringify(foreign)}`)
  }
}

/** An administrator's or redactor's envelope, with the signatures that count. */
export interface SignedDocument {
  readonly envelope: Envelope
  readonly verified: readonly VerifiedSignature[]
}

/** The first policy of a log, signed by its own administrators. Throws POLICY_CONFLICT, BAD_SIGNATURE, UNKNOWN_KEY, MALFORMED_…. */
export function judgeGenesis(
  envelope: Envelope,
  verify: VerifySignature,
): SignedDocument & { readonly policy: WritePolicy } {
  const policy = policyOf(envelope)
  if (policy.sequence !== 0) throw new TreelineError('POLICY_CONFLICT', 'the first policy of a log has sequence 0')
  const verified = verifyEnvelope(envelope, ringOf(policy.administrators.keys), verify)
  requireThreshold(verified.length, policy.administrators.threshold, 'administrators')
  return { envelope, verified, policy }
}

/**
 * A change of the policy in force. It takes the threshold of the administrators before the change, but one of them is enough to
 * suspend signers and do nothing else. Throws WRONG_ORIGIN, POLICY_CONFLICT, BAD_SIGNATURE, UNKNOWN_KEY, MALFORMED_….
 */
export function judgePolicy(
  current: PolicyInForce,
  envelope: Envelope,
  verify: VerifySignature,
): SignedDocument & { readonly policy: WritePolicy } {
  const policy = policyOf(envelope)
  const { policy: before } = current
  if (policy.origin !== before.origin) {
    throw new TreelineError('WRONG_ORIGIN', `the policy is for ${policy.origin}, this log is ${before.origin}`)
  }
  const { previous, sequence } = policy
  if (
    sequence !== before.sequence + 1 ||
    previous === null ||
    previous.index !== current.index ||
    !equal(previous.sha256, current.sha256)
  ) {
    throw new TreelineError(
      'POLICY_CONFLICT',
      `the policy in force has sequence ${before.sequence} and stands at ${current.index}: make the new one from it`,
      { index: current.index, sequence: before.sequence, sha256: toHex(current.sha256) },
    )
  }
  // Distinct keys: verifyEnvelope gives one signature for each.
  const verified = verifyEnvelope(envelope, ringOf(before.administrators.keys), verify)
  const needed = onlySuspends(before, policy) ? 1 : before.administrators.threshold
  requireThreshold(verified.length, needed, 'administrators')
  return { envelope, verified, policy }
}

function policyOf({ payloadType, payload }: Envelope): WritePolicy {
  if (payloadType !== WRITE_POLICY) {
    throw new TreelineError('MALFORMED_PAYLOAD', `the payload type of a policy is ${WRITE_POLICY}`)
  }
  return parseWritePolicy(payload)
}

/** Whether `after` differs from `before` only in suspensions that were not there, and in what follows from its place in the chain. */
function onlySuspends(before: WritePolicy, after: WritePolicy): boolean {
  const added = after.signers.map((signer, i) =>
    before.signers[i]?.suspended === null && signer.suspended !== null ? { ...signer, suspended: null } : signer,
  )
  const plain = (policy: WritePolicy) =>
    JSON.stringify({ ...policy, sequence: 0, previous: null, successorOf: null }, (_, value) =>
      value instanceof Uint8Array ? toHex(value) : value,
    )
  return plain(before) === plain({ ...after, signers: added }) && plain(before) !== plain(after)
}

export function requireThreshold(have: number, need: number, who: string): void {
  if (have >= need) return
  throw new TreelineError(
    'BAD_SIGNATURE',
    `${have} of the ${who} signed, and it takes ${need}: collect more signatures`,
  )
}
