/** The metadata of an event's entry as a pure function of its addendum, so that it is not the log operator's word. */
import { type Artifact, CONSUMED, collectArtifacts, EXAMINED, PRODUCED } from './artifact.ts'
import { parseCloudEvent } from './cloudevents.ts'
import { TreelineError } from './errors.ts'
import { matchAny } from './pattern.ts'
import { CLOUDEVENTS, IN_TOTO, type Payload } from './payload.ts'
import { OWN_TYPES, parseStatement } from './statement.ts'

/** A payload, and who signed it: ids of keys whose signatures verified, sorted. */
export interface SignedPayload {
  readonly keys: readonly Uint8Array[]
  readonly payloadType: string
  readonly payload: Uint8Array
}

/** Keys 3 to 6 and 11 of the entry. */
export interface Description {
  readonly keys: readonly Uint8Array[]
  readonly payloadType: string
  readonly type: string
  readonly artifacts: readonly Artifact[]
  readonly hidden: number
}

/** The two lists of the policy in force that decide what an entry shows. */
export interface DescribeRules {
  /** Types whose subjects were produced, beside those that say so themselves. */
  readonly produces: readonly string[]
  /** Types whose artifacts stand only in the addendum. */
  readonly private: readonly string[]
}

/** Types that by their own definition are about making the subject. */
const PRODUCING = [
  'https://slsa.dev/provenance/*',
  'https://in-toto.io/Link/*',
  'https://in-toto.io/attestation/link/*',
  `${OWN_TYPES}*`,
]

/** Throws MALFORMED_PAYLOAD, DUPLICATE_JSON_KEY, TOO_DEEP. */
export function parsePayload(payloadType: string, payload: Uint8Array): Payload {
  if (payloadType === IN_TOTO) return parseStatement(payload)
  if (payloadType === CLOUDEVENTS) return parseCloudEvent(payload)
  throw new TreelineError('MALFORMED_PAYLOAD', `the payload type is neither ${IN_TOTO} nor ${CLOUDEVENTS}`)
}

/** `parsed` spares a second parse where the caller has one. Throws what `parsePayload` does. */
export function describe(
  { keys, payloadType, payload }: SignedPayload,
  rules: DescribeRules,
  parsed: Payload = parsePayload(payloadType, payload),
): Description {
  const { type } = parsed
  const { artifacts, hidden } = artifactsOf(parsed, rules.produces)
  // Digests of personal data can be personal data: the tree cannot be redacted, so they must not enter it.
  return matchAny(rules.private, type)
    ? { keys, payloadType, type, artifacts: [], hidden: hidden + artifacts.length }
    : { keys, payloadType, type, artifacts, hidden }
}

/** All artifacts of a payload, or the first of them. `produces` is the policy's list. */
export function artifactsOf(
  { type, subjectDigests, produced, consumed, examined }: Payload,
  produces: readonly string[],
  most?: number,
): { artifacts: Artifact[]; hidden: number } {
  const subjectRole = matchAny(PRODUCING, type) || matchAny(produces, type) ? PRODUCED : EXAMINED
  const lists = [
    [subjectRole, subjectDigests],
    [PRODUCED, produced],
    [CONSUMED, consumed],
    [EXAMINED, examined],
  ] as const
  return collectArtifacts(lists, most)
}
