/**
 * What makes an entry of an events log invalid, judged from its bytes, the document behind it, and the entries that it depends on. An auditor
 * runs these rules over a whole log; whoever is shown evidence of one broken rule runs the same rule over the few entries that it needs.
 */
import { addendumHash, splitAddendum } from './addendum.ts'
import { equal } from './bytes.ts'
import { canonicalEnvelope, type Envelope, parseEnvelope, verifyEnvelope } from './dsse.ts'
import { decodeEntry, type Entry, EVENT, type EventEntry, GENESIS, POLICY, REDACTION } from './entry.ts'
import { TreelineError } from './errors.ts'
import { eventPayload } from './event-payload.ts'
import { leafHash } from './merkle.ts'
import { judgeEvent, judgeGenesis, judgePolicy, type PolicyInForce, SignerRing } from './policy-fold.ts'
import { checkDescription, signedPayload } from './receipt.ts'
import { judgeRedaction, type NamedEntry, parseRedactionRequest } from './redaction.ts'
import type { VerifySignature } from './signature.ts'
import { parseWritePolicy } from './write-policy.ts'

/** An entry, and its document where that is known. */
export interface Item {
  readonly index: number
  readonly bytes: Uint8Array
  readonly document?: Uint8Array
}

/** A policy with its signers by id: made once, for all the entries under it. */
export interface JudgingPolicy extends PolicyInForce {
  readonly ring: SignerRing
}

export const judgeBy = (current: PolicyInForce): JudgingPolicy => ({
  ...current,
  ring: new SignerRing(current.policy),
})

export const RULES = [
  'malformed',
  'genesis',
  'batch',
  'time',
  'policy-index',
  'policy-change',
  'not-allowed',
  'signature',
  'description',
  'redaction',
] as const
export type Rule = (typeof RULES)[number]

/** An entry that no honest log has. */
export class BrokenRule extends Error {
  override readonly name = 'BrokenRule'
  readonly rule: Rule
  /** Indexes of the other entries that show it. */
  readonly needs: readonly number[]

  constructor(rule: Rule, why: string, needs: readonly number[] = []) {
    super(why)
    this.rule = rule
    this.needs = needs
  }
}

/** The document does not hash to key 7: whoever handed it out may be at fault, and nothing is proved. */
export function requireDocument({ index, document }: Item, { addendum }: Entry): Uint8Array {
  if (document !== undefined && equal(addendumHash(document), addendum)) return document
  throw new TreelineError('UNVERIFIABLE', `the document of entry ${index} is missing, or is not the one it commits to`)
}

/** Rules that the bytes alone can break. Throws BrokenRule. */
export function judgeBytes({ index, bytes }: Item): Entry {
  let entry: Entry
  try {
    entry = decodeEntry(bytes)
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new BrokenRule('malformed', error.message)
  }
  if ((entry.kind === GENESIS) !== (index === 0))
    throw new BrokenRule('genesis', index === 0 ? 'a log begins with its genesis' : 'a genesis inside of a log')
  return entry
}

/** Time never goes back. Throws BrokenRule. */
export function judgeTime(entry: Entry, before: { readonly index: number; readonly time: number }): void {
  if (entry.time < before.time)
    throw new BrokenRule('time', `its time ${entry.time} is before ${before.time}, that of the entry before`, [
      before.index,
    ])
}

/** A policy that an entry carries, once it has been judged by the one before. Throws BrokenRule, UNVERIFIABLE. */
export function judgePolicyEntry(
  item: Item,
  entry: Entry,
  current: PolicyInForce | undefined,
  origin: string,
  verify: VerifySignature,
): PolicyInForce {
  const document = requireDocument(item, entry)
  const needs = new Set(current === undefined ? [] : [current.index])
  const policy = broken('policy-change', needs, () => {
    const envelope = parseEnvelope(document)
    const { previous } = parseWritePolicy(envelope.payload)
    if (previous !== null && previous.index < item.index) needs.add(previous.index)
    const judged = current === undefined ? judgeGenesis(envelope, verify) : judgePolicy(current, envelope, verify)
    if (judged.policy.origin !== origin)
      throw new TreelineError('WRONG_ORIGIN', `the policy is that of ${judged.policy.origin}`)
    if (!equal(canonicalEnvelope(envelope, judged.verified), document))
      throw new TreelineError('MALFORMED_ENVELOPE', 'its document is not in canonical form')
    return judged.policy
  })
  return { index: item.index, sha256: entry.addendum, policy }
}

/** What the entry of an event shows by itself, under the policy that it names. Throws BrokenRule. */
function judgeEventEntry(entry: EventEntry, current: JudgingPolicy): void {
  broken('not-allowed', [current.index], () =>
    judgeEvent(current, current.ring, { ...entry, subjects: [], origin: undefined }, entry.time),
  )
}

/** The envelope, once it is what a log writes of what its signers sent. Throws MALFORMED_…, BAD_SIGNATURE, UNKNOWN_KEY. */
export function requireCanonical(document: Uint8Array, ring: SignerRing, verify: VerifySignature): Envelope {
  const envelope = parseEnvelope(document)
  if (!equal(canonicalEnvelope(envelope, verifyEnvelope(envelope, ring, verify)), document))
    throw new TreelineError('MALFORMED_ENVELOPE', 'the envelope is not in canonical form')
  return envelope
}

/** What only the signed event shows. Throws BrokenRule, UNVERIFIABLE. */
function judgeEventDocument(item: Item, entry: EventEntry, current: JudgingPolicy, verify: VerifySignature): void {
  const document = requireDocument(item, entry)
  const needs = [current.index]
  const { ring } = current
  const signed = broken('signature', needs, () => {
    // Who signed an item of a batch is a matter of its header, and that both say the same one of the rule "batch".
    if (entry.batch !== undefined) return { ...eventPayload(entry, document), keys: entry.keys }
    return signedPayload(requireCanonical(splitAddendum(document).document, ring, verify))
  })
  // From here on the entry is known to say what the event says; what it does not show are the subjects.
  const { subjects, origin } = broken('description', needs, () => checkDescription(entry, signed, current.policy))
  broken('not-allowed', needs, () => judgeEvent(current, ring, { ...entry, subjects, origin }, entry.time))
}

/** `find` gives the entries before it. Throws BrokenRule, UNVERIFIABLE also for a named entry that `find` does not give. */
function judgeRedactionEntry(
  item: Item,
  entry: Entry & { readonly kind: typeof REDACTION },
  current: PolicyInForce,
  find: (index: number) => Uint8Array | undefined,
  verify: VerifySignature,
): void {
  const document = requireDocument(item, entry)
  const needs = [current.index, ...entry.indexes.filter((index) => index < item.index)]
  const named = new Map<number, NamedEntry>()
  for (const index of entry.indexes.filter((one) => one < item.index)) {
    const bytes = find(index)
    if (bytes === undefined) throw new TreelineError('UNVERIFIABLE', `the redacted entry ${index} is missing`)
    named.set(index, { entry: decodeEntry(bytes), leafHash: leafHash(bytes) })
  }
  broken('redaction', needs, () => {
    const envelope = parseEnvelope(document)
    const request = parseRedactionRequest(envelope)
    const indexes = request.entries.map(({ index }) => index)
    if (indexes.join() !== entry.indexes.join() || request.reason !== entry.reason)
      throw new TreelineError('MALFORMED_PAYLOAD', 'the entry names other indexes or another reason than the request')
    judgeRedaction(current, envelope, request, (index) => named.get(index), verify)
  })
}

/** Key 9, for entries that have it, against the policy in force. Throws BrokenRule. */
export function judgePolicyIndex(index: number, entry: Entry, current: PolicyInForce): void {
  if (!('policy' in entry) || entry.policy === current.index) return
  const needs = entry.policy < index ? [entry.policy, current.index] : [current.index]
  throw new BrokenRule(
    'policy-index',
    `it names the policy at ${entry.policy}, and ${current.index} is in force`,
    needs,
  )
}

/** The policy in an entry that is taken for right: those after it are judged by it. */
export function policyIn({ index, bytes, document }: Item): PolicyInForce | undefined {
  const entry = decodeEntry(bytes)
  if ((entry.kind !== GENESIS && entry.kind !== POLICY) || document === undefined) return undefined
  if (!equal(addendumHash(document), entry.addendum)) return undefined
  return { index, sha256: entry.addendum, policy: parseWritePolicy(parseEnvelope(document).payload) }
}

/** What the judges of the server refuse is a rule that the log has broken. */
export function broken<T>(rule: Rule, needs: Iterable<number>, judge: () => T): T {
  try {
    return judge()
  } catch (error) {
    if (error instanceof TreelineError) throw new BrokenRule(rule, error.message, [...needs])
    throw error
  }
}

/** Everything about an entry but its place among the others. Throws BrokenRule, UNVERIFIABLE. */
export function judgeItem(
  item: Item,
  entry: Entry,
  current: JudgingPolicy,
  find: (index: number) => Uint8Array | undefined,
  verify: VerifySignature,
): void {
  if (entry.kind === EVENT) {
    judgeEventEntry(entry, current)
    if (item.document !== undefined) judgeEventDocument(item, entry, current, verify)
  } else if (entry.kind === REDACTION) judgeRedactionEntry(item, entry, current, find, verify)
}
