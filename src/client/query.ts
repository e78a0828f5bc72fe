/** What somebody looks for among the entries of a log: the filters of `GET v1/events`, judged by the client itself. */
import { ROLE_NAMES } from '../core/artifact.ts'
import { equal, fromHex, toHex, toUtf8 } from '../core/bytes.ts'
import { type Entry, EVENT, KIND_NAMES } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import type { LineageRole, LineageStep } from '../core/lineage.ts'
import { isPattern, matchPattern } from '../core/pattern.ts'

export interface Query {
  /** Id of a key. */
  readonly signer?: Uint8Array
  /** Exact, or a prefix that ends in `*`. */
  readonly type?: string
  /** Of any algorithm where none is given. */
  readonly artifact?: { readonly algorithm?: string; readonly digest: Uint8Array }
  /** In which the event names the artifact; without one, in which its entry shows any. `file` is one of a manifest, and stands in payloads only. */
  readonly role?: LineageRole
  readonly kind?: Entry['kind']
  /** Half-open span of entry times, ms since the Unix epoch. */
  readonly since?: number
  readonly until?: number
  /** Stands in the payload, in whatever case. */
  readonly text?: string
}

/** As people and URLs give it. */
export type QueryTexts = { readonly [Name in keyof Query]?: string | undefined }

const wrong = (name: string, takes: string, text: string): TreelineError =>
  new TreelineError('USAGE', `${name} takes ${takes}, not "${text}"`)

/** Throws USAGE. */
export function parseQuery(texts: QueryTexts): Query {
  const { signer, type, artifact, role, kind, since, until, text } = texts
  if (type !== undefined && !isPattern(type)) throw wrong('type', 'a type, or the beginning of one and a *', type)
  if (text === '') throw wrong('text', 'some text', text)
  return {
    ...(signer !== undefined && { signer: keyId(signer) }),
    ...(type !== undefined && { type }),
    ...(artifact !== undefined && { artifact: parseArtifact(artifact) }),
    ...(role !== undefined && { role: parseRole(role) }),
    ...(kind !== undefined && { kind: parseKind(kind) }),
    ...(since !== undefined && { since: parseTime('since', since) }),
    ...(until !== undefined && { until: parseTime('until', until) }),
    ...(text !== undefined && { text }),
  }
}

/** Parameters of `GET v1/events` for it. */
export function queryParameters({ signer, artifact, role, kind, since, until, type, text }: Query): URLSearchParams {
  const prefix = artifact?.algorithm === undefined ? '' : `${artifact.algorithm}:`
  const all: Readonly<Record<string, string | undefined>> = {
    signer: signer && toHex(signer),
    type,
    artifact: artifact && `${prefix}${toHex(artifact.digest)}`,
    role,
    kind: kind === undefined ? undefined : KIND_NAMES[kind],
    since: since?.toString(),
    until: until?.toString(),
    text,
  }
  return new URLSearchParams(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

function keyId(text: string): Uint8Array {
  const id = fromHex(text)
  if (id?.length !== 32) throw wrong('signer', 'the id of a key, 64 hex digits', text)
  return id
}

/** `alg:hex`, or hex alone. Throws USAGE. */
function parseArtifact(text: string): NonNullable<Query['artifact']> {
  // Algorithms may have colons, digests do not.
  const at = text.lastIndexOf(':')
  const digest = fromHex(text.slice(at + 1).toLowerCase())
  if (digest === undefined || digest.length === 0 || digest.length > 64 || at === 0)
    throw wrong('artifact', 'a digest such as sha256:0a1b…, or its hex', text)
  return at === -1 ? { digest } : { algorithm: text.slice(0, at), digest }
}

const ROLES: readonly LineageRole[] = [...Object.values(ROLE_NAMES), 'file']

function parseRole(text: string): LineageRole {
  const role = ROLES.find((one) => one === text)
  if (role === undefined) throw wrong('role', `one of ${ROLES.join(', ')}`, text)
  return role
}

function parseKind(text: string): Entry['kind'] {
  const found = Object.entries<string>(KIND_NAMES).find(([, name]) => name === text)
  if (found === undefined) throw wrong('kind', `one of ${Object.values(KIND_NAMES).join(', ')}`, text)
  return Number(found[0]) as Entry['kind']
}

/** RFC 3339, or ms since the Unix epoch; parts of a millisecond are rounded up, as an entry of that millisecond is before. Throws USAGE. */
export function parseTime(name: string, text: string): number {
  const moment = /^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})$/.test(text)
  const below = /\.[0-9]{3}[0-9]*[1-9]/.test(text) ? 1 : 0
  const time = moment ? Date.parse(text) + below : /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(time)) throw wrong(name, 'a time such as 2026-01-31T12:00:00Z, or ms since 1970', text)
  return time
}

/** All that can be said without the artifacts and the payload. */
export function matchesEntry({ signer, type, kind, since, until, role, artifact, text }: Query, entry: Entry): boolean {
  if (kind !== undefined && entry.kind !== kind) return false
  if (since !== undefined && entry.time < since) return false
  if (until !== undefined && entry.time >= until) return false
  if (signer !== undefined && !('keys' in entry && entry.keys.some((key) => equal(key, signer)))) return false
  if (entry.kind === EVENT) return type === undefined || matchPattern(type, entry.type)
  return type === undefined && role === undefined && artifact === undefined && text === undefined
}

/** Whether the entry shows such an artifact; true where the query asks for none. */
export const matchesShown = ({ role, artifact }: Query, entry: Entry): boolean =>
  (role === undefined && artifact === undefined) ||
  (entry.kind === EVENT &&
    entry.artifacts.some(
      (one) =>
        (role === undefined || ROLE_NAMES[one.role] === role) &&
        (artifact === undefined ||
          (equal(one.digest, artifact.digest) &&
            (artifact.algorithm === undefined || one.algorithm === artifact.algorithm))),
    ))

/** The same for artifacts that stand only in the payload. */
export const matchesBeyond = ({ role, artifact }: Query, beyond: LineageStep['artifacts']): boolean =>
  artifact !== undefined &&
  beyond.some(
    (one) =>
      (role === undefined || one.role === role) &&
      one.digest === toHex(artifact.digest) &&
      (artifact.algorithm === undefined || one.algorithm === artifact.algorithm),
  )

/** Bytes that stand in every entry that matches: an entry is deterministic, so an id or a text has one spelling. The artifact may stand elsewhere. */
export const needlesOf = ({ signer, type }: Query): readonly Uint8Array[] =>
  [signer, type === undefined ? undefined : toUtf8(type.replace(/\*$/, ''))].filter(
    (needle) => needle !== undefined && needle.length > 0,
  ) as Uint8Array[]
