/** The parameters that choose events, and what they mean. */
import { ROLE_NAMES } from '../core/artifact.ts'
import { parseSize } from '../core/bytes.ts'
import { KIND_NAMES } from '../core/entry.ts'
import type { EventFilter } from '../log/search.ts'
import { HASH } from './query.ts'

/** Milliseconds since the Unix epoch, or RFC 3339. */
export const TIME = {
  type: 'string',
  maxLength: 40,
  pattern:
    '^(0|[1-9][0-9]{0,14}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))$',
  description: 'ms since the Unix epoch, or RFC 3339',
} as const

const ARTIFACT = {
  type: 'string',
  maxLength: 193,
  pattern: '^([!-~]{1,64}:)?([0-9a-fA-F]{2}){1,64}$',
  description: 'algorithm:hex, or hex for a digest of any algorithm',
} as const

/** In a path, where nothing is escaped: algorithms of other characters are found by the hex alone. */
export const ARTIFACT_IN_PATH = {
  ...ARTIFACT,
  pattern: '^([A-Za-z0-9._~-]{1,64}:)?([0-9a-fA-F]{2}){1,64}$',
  examples: ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
} as const

const names = (of: object, ...more: readonly string[]) =>
  ({ type: 'string', enum: [...Object.values(of), ...more] }) as const

export const FILTERS = {
  signer: { ...HASH, description: 'id of a key that signed' },
  type: {
    type: 'string',
    minLength: 1,
    maxLength: 1_024,
    description: 'predicate type or event type; a prefix where it ends in *',
  },
  artifact: ARTIFACT,
  role: { ...names(ROLE_NAMES, 'file'), description: 'of the artifact, or of any that the entry shows' },
  kind: names(KIND_NAMES),
  since: { ...TIME, description: `accepted by the log at that time or later: ${TIME.description}` },
  until: { ...TIME, description: `accepted by the log before that time: ${TIME.description}` },
  text: {
    type: 'string',
    minLength: 1,
    maxLength: 256,
    pattern: '^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$',
    description: 'words that stand in the payload, each; takes the scope payload',
  },
} as const

export interface FilterQuery {
  readonly signer?: string
  readonly type?: string
  readonly artifact?: string
  readonly role?: NonNullable<EventFilter['role']>
  readonly kind?: NonNullable<EventFilter['kind']>
  readonly since?: string
  readonly until?: string
  readonly text?: string
}

/** Of parameters that fit their schemas. Undefined when nothing is asked for. */
export function filterOf(query: FilterQuery): EventFilter | undefined {
  const { signer, type, artifact, role, kind, since, until, text } = query
  const filter = {
    ...(signer !== undefined && { signer }),
    ...(type !== undefined && { type }),
    ...(artifact !== undefined && { artifact: artifactOf(artifact) }),
    ...(role !== undefined && { role }),
    ...(kind !== undefined && { kind }),
    ...(since !== undefined && { since: timeOf(since) }),
    ...(until !== undefined && { until: timeOf(until) }),
    ...(text !== undefined && { terms: termsOf(text) }),
  }
  return Object.keys(filter).length === 0 ? undefined : filter
}

/** Of a text that fits the pattern. Algorithms may have colons, digests do not. */
export function artifactOf(text: string): { readonly algorithm?: string; readonly digest: string } {
  const colon = text.lastIndexOf(':')
  const digest = text.slice(colon + 1).toLowerCase()
  return colon < 0 ? { digest } : { algorithm: text.slice(0, colon), digest }
}

/** Rounded up: an entry of that millisecond is before what is asked for. */
export function timeOf(text: string): number {
  const ms = parseSize(text)
  if (ms !== undefined) return ms
  const [, whole, fraction = '', zone] = /^(.{19})(?:\.([0-9]+))?(.+)$/.exec(text)!
  const digits = fraction.padEnd(9, '0')
  const below = Number(digits.slice(0, 3)) + (Number(digits.slice(3)) > 0 ? 1 : 0)
  return Math.max(0, Date.parse(`${whole}${zone}`) + below)
}

const termsOf = (text: string): readonly string[] => text.split(/\s+/u).filter((term) => term !== '')
