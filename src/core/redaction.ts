/** The request to erase addenda: signed by those whom the policy names, logged before anything is erased. */
import { equal, fromHex, toHex } from './bytes.ts'
import { type Envelope, verifyEnvelope } from './dsse.ts'
import { type Entry, EVENT } from './entry.ts'
import { TreelineError } from './errors.ts'
import type { PublicKey } from './keys.ts'
import type { Hash } from './merkle.ts'
import { isObject } from './payload.ts'
import { type PolicyInForce, requireThreshold, type SignedDocument } from './policy-fold.ts'
import type { VerifySignature } from './signature.ts'
import { parseJson } from './strict-json.ts'

export const REDACTION_REQUEST = 'application/vnd.treeline.redaction.v1+json'
/** Keeps the entry, which lists the indexes, within its limit. */
const MAX_REDACTED = 1_000

export interface RedactionRequest {
  readonly origin: string
  /** Ascending by index. The leaf hash says that the signer saw the entry that it names. */
  readonly entries: readonly { readonly index: number; readonly leafHash: Hash }[]
  /** A short code, such as `personal-data`: it stays in the tree for ever. */
  readonly reason: string
}

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_PAYLOAD', `not a redaction request: ${why}`)

/** `{"origin":"…","entries":[{"index":7,"leafHash":"hex"}],"reason":"code"}`. Throws MALFORMED_PAYLOAD, DUPLICATE_JSON_KEY, TOO_DEEP. */
export function parseRedactionRequest({ payloadType, payload }: Envelope): RedactionRequest {
  if (payloadType !== REDACTION_REQUEST) throw malformed(`the payload type is not ${REDACTION_REQUEST}`)
  const document = parseJson(payload, 'MALFORMED_PAYLOAD')
  if (!isObject(document)) throw malformed('not an object')
  for (const key of Object.keys(document)) {
    if (!['origin', 'entries', 'reason'].includes(key))
      throw malformed(`unknown member ${JSON.stringify(key.slice(0, 64))}`)
  }
  const { origin, entries, reason } = document
  if (typeof origin !== 'string') throw malformed('origin is not a text')
  if (typeof reason !== 'string' || !/^[a-z0-9][a-z0-9-]{0,63}$/.test(reason)) {
    throw malformed('reason is not a code of up to 64 of a-z, 0-9 and "-"')
  }
  if (!Array.isArray(entries) || entries.length === 0 || entries.length > MAX_REDACTED) {
    throw malformed(`entries are not 1 to ${MAX_REDACTED}`)
  }
  const parsed = entries.map((entry: unknown) => {
    if (!isObject(entry)) throw malformed('an entry is not an object')
    const { index, leafHash: _, ...rest } = entry
    if (Object.keys(rest).length > 0) throw malformed('an entry has more than index and leafHash')
    const leafHash = typeof entry.leafHash === 'string' ? fromHex(entry.leafHash) : undefined
    if (!Number.isSafeInteger(index) || (index as number) < 0) throw malformed('an index is not a whole number')
    if (leafHash?.length !== 32) throw malformed('a leafHash is not hex of 32 bytes')
    return { index: index as number, leafHash }
  })
  if (parsed.some(({ index }, i) => i > 0 && index <= parsed[i - 1]!.index))
    throw malformed('indexes are not ascending')
  return { origin, entries: parsed, reason }
}

/** What the log holds at an index that a request names. */
export interface NamedEntry {
  readonly entry: Entry
  readonly leafHash: Hash
}

/**
 * Whether the request may erase the entries that it names. Throws WRONG_ORIGIN, UNKNOWN_INDEX (no such event, or another than the
 * signers saw), BAD_SIGNATURE, UNKNOWN_KEY.
 */
export function judgeRedaction(
  { policy }: PolicyInForce,
  envelope: Envelope,
  request: RedactionRequest,
  find: (index: number) => NamedEntry | undefined,
  verify: VerifySignature,
): SignedDocument {
  if (request.origin !== policy.origin) {
    throw new TreelineError('WRONG_ORIGIN', `the request is for ${request.origin}, this log is ${policy.origin}`)
  }
  const authors = new Set<string>()
  for (const { index, leafHash } of request.entries) {
    const named = find(index)
    if (named === undefined) throw new TreelineError('UNKNOWN_INDEX', `the log has no entry ${index}`)
    if (named.entry.kind !== EVENT)
      throw new TreelineError('UNKNOWN_INDEX', `entry ${index} is not an event: only events can be redacted`)
    if (!equal(named.leafHash, leafHash))
      throw new TreelineError('UNKNOWN_INDEX', `entry ${index} has another leaf hash: look at it again`)
    for (const key of named.entry.keys) authors.add(toHex(key))
  }
  const { keys, threshold } = redactorsOf(policy)
  const ring = { find: (keyid: string) => keys.find(({ id }) => id === keyid), all: () => keys }
  const verified = verifyEnvelope(envelope, ring, verify)
  // Nobody takes back alone what they signed: the evidence against a signer is often the signer's own event.
  requireThreshold(
    verified.filter(({ key }) => !authors.has(key.id)).length,
    threshold,
    'redactors who did not sign the events',
  )
  return { envelope, verified }
}

function redactorsOf({ administrators, redactors, signers }: PolicyInForce['policy']): {
  readonly keys: readonly PublicKey[]
  readonly threshold: number
} {
  if (redactors === null) return administrators
  const all = [...administrators.keys, ...signers.filter(({ suspended }) => suspended === null).map(({ key }) => key)]
  return {
    threshold: redactors.threshold,
    keys: redactors.keys.flatMap((id) => all.find((key) => key.id === id) ?? []),
  }
}
