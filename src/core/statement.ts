/**
 * in-toto Statements, v1 and v0.1: https://github.com/in-toto/attestation/tree/main/spec
 *
 * The Statement is read strictly. Predicates are not ours: a field of theirs that has another shape than we know
 * holds no artifacts for us, and the statement stays loggable.
 */
import { TreelineError } from './errors.ts'
import { type Digest, isObject, type JsonObject, type Payload } from './payload.ts'
import { parseJson } from './strict-json.ts'

const STATEMENT_TYPES = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1']

/** Prefix of the types that this project defines. */
export const OWN_TYPES = 'urn:treeline:'

/** Statements about an entry: of this log, or of another that the predicate names. */
export const QUARANTINE = `${OWN_TYPES}quarantine:v1`
export const SUPERSEDES = `${OWN_TYPES}supersedes:v1`
const MARK_TYPES: readonly string[] = [QUARANTINE, SUPERSEDES]

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_PAYLOAD', `not an in-toto Statement: ${why}`)

/** Throws MALFORMED_PAYLOAD, DUPLICATE_JSON_KEY, TOO_DEEP. */
export function parseStatement(bytes: Uint8Array): Payload {
  const statement = parseJson(bytes, 'MALFORMED_PAYLOAD')
  if (!isObject(statement)) throw malformed('not an object')
  const { _type, predicateType, subject, predicate } = statement
  if (typeof _type !== 'string' || !STATEMENT_TYPES.includes(_type))
    throw malformed('_type is not Statement v1 or v0.1')
  if (typeof predicateType !== 'string' || predicateType === '') throw malformed('predicateType is not a type')
  if (!Array.isArray(subject)) throw malformed('subject is not an array')
  const subjects: string[] = []
  const subjectDigests: Digest[] = []
  for (const resource of subject as readonly unknown[]) {
    if (!isObject(resource)) throw malformed('a subject is not an object')
    const { name = '', digest } = resource
    if (typeof name !== 'string') throw malformed("a subject's name is not text")
    if (!isObject(digest)) throw malformed('a subject has no digest')
    if (Object.values(digest).some((value) => typeof value !== 'string')) throw malformed('a digest is not text')
    subjects.push(name)
    addDigests(subjectDigests, digest)
  }
  const known = isObject(predicate) ? readPredicate(predicate, predicateType) : NOTHING
  return { type: predicateType, subjects, subjectDigests, examined: [], ...known }
}

type Known = Pick<Payload, 'produced' | 'consumed' | 'origin'>
const NOTHING: Known = { produced: [], consumed: [], origin: undefined }

/** Links, SLSA provenance of all versions, and ours have these in the same few places. */
function readPredicate(predicate: JsonObject, type: string): Known {
  const { materials, byproducts, consumed, buildDefinition, runDetails, origin } = predicate
  const inputs: Digest[] = []
  addResources(inputs, materials)
  addResources(inputs, consumed)
  if (isObject(buildDefinition)) addResources(inputs, buildDefinition.resolvedDependencies)
  // Links before v0.3 map each path to its digests.
  if (isObject(materials)) for (const digest of Object.values(materials)) addDigests(inputs, digest)
  const outputs: Digest[] = []
  addResources(outputs, byproducts)
  if (isObject(runDetails)) addResources(outputs, runDetails.byproducts)
  // A mark names the log that it is about, which may be another: a restored log takes none any more.
  if (MARK_TYPES.includes(type)) return { produced: outputs, consumed: inputs, origin: undefined }
  // Our client writes `origin` beside `consumed` under any type; alone, a foreign type may mean something else by it.
  const ours = type.startsWith(OWN_TYPES) || Array.isArray(consumed)
  return { produced: outputs, consumed: inputs, origin: ours && typeof origin === 'string' ? origin : undefined }
}

/** From an array of ResourceDescriptors; anything else holds none. */
function addResources(digests: Digest[], resources: unknown): void {
  if (!Array.isArray(resources)) return
  for (const resource of resources as readonly unknown[]) {
    if (isObject(resource)) addDigests(digests, resource.digest)
  }
}

function addDigests(digests: Digest[], set: unknown): void {
  if (!isObject(set)) return
  for (const [algorithm, value] of Object.entries(set)) {
    if (typeof value === 'string') digests.push({ algorithm, value })
  }
}
