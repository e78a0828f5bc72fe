/**
 * CloudEvents 1.0 in structured JSON, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md, with three
 * extension attributes of ours: `consumed`, `produced` and `examined` list artifacts as `sha256:0a1b… sha512:2c3d…`.
 * The attributes are ours, so unlike the fields of foreign predicates they must be right: a producer's typing
 * mistake that silently cut lineage would be found when it is needed.
 */
import { isDigest } from './artifact.ts'
import { TreelineError } from './errors.ts'
import { type Digest, isObject, type Payload } from './payload.ts'
import { parseJson } from './strict-json.ts'

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_PAYLOAD', `not a CloudEvent: ${why}`)

/** Throws MALFORMED_PAYLOAD, DUPLICATE_JSON_KEY, TOO_DEEP. */
export function parseCloudEvent(bytes: Uint8Array): Payload {
  const event = parseJson(bytes, 'MALFORMED_PAYLOAD')
  if (!isObject(event)) throw malformed('not an object')
  if (event.specversion !== '1.0') throw malformed('specversion is not 1.0')
  for (const attribute of ['id', 'source', 'type']) {
    if (typeof event[attribute] !== 'string' || event[attribute] === '') throw malformed(`no ${attribute}`)
  }
  const { type, subject } = event
  if (subject !== undefined && (typeof subject !== 'string' || subject === '')) throw malformed('subject is not text')
  return {
    type: type as string,
    subjects: subject === undefined ? [] : [subject],
    subjectDigests: [],
    produced: parseDigests(event, 'produced'),
    consumed: parseDigests(event, 'consumed'),
    examined: parseDigests(event, 'examined'),
    origin: undefined,
  }
}

function parseDigests(event: Readonly<Record<string, unknown>>, attribute: string): Digest[] {
  const list = event[attribute] ?? ''
  if (typeof list !== 'string') throw malformed(`${attribute} is not text`)
  if (list === '') return []
  return list.split(' ').map((item) => {
    const colon = item.indexOf(':')
    const digest = { algorithm: item.slice(0, Math.max(colon, 0)), value: item.slice(colon + 1) }
    if (!isDigest(digest)) throw malformed(`${attribute} is not a list of algorithm:hex, one space between`)
    return digest
  })
}
