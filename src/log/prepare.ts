/** What is done with an event before the log is asked: parsed, its signatures verified, brought into the form that is kept. */
import { addendumHash, blinding, joinAddendum } from '../core/addendum.ts'
import { fromHex } from '../core/bytes.ts'
import type { SignedPayload } from '../core/describe.ts'
import { canonicalEnvelope, type Envelope, type KeyRing, parseEnvelope, verifyEnvelope } from '../core/dsse.ts'
import type { Hash } from '../core/merkle.ts'
import type { VerifySignature } from '../core/signature.ts'

export interface PreparedEvent {
  /** As it came. */
  readonly envelope: Envelope
  readonly signed: SignedPayload
  readonly canonical: Uint8Array
  readonly salt: Uint8Array
  readonly addendum: Uint8Array
  /** Of the addendum: what finds duplicates. */
  readonly digest: Hash
}

/** `secret` is that of the log. Throws what `parseEnvelope` and `verifyEnvelope` do, and BODY_TOO_LARGE. */
export function prepareEvent(
  body: Uint8Array,
  ring: KeyRing,
  secret: Uint8Array,
  verify: VerifySignature,
): PreparedEvent {
  const envelope = parseEnvelope(body)
  const verified = verifyEnvelope(envelope, ring, verify)
  const canonical = canonicalEnvelope(envelope, verified)
  const salt = blinding(secret, canonical)
  const addendum = joinAddendum(salt, canonical)
  const { payloadType, payload } = envelope
  const signed = { keys: verified.map(({ key }) => fromHex(key.id)!), payloadType, payload }
  return { envelope, signed, canonical, salt, addendum, digest: addendumHash(addendum) }
}
