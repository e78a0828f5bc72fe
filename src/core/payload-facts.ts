/** What a payload says beyond the entry: artifacts that the entry does not show, their names, marks on other entries, and text to search. */
import { artifactDocument, isDigest } from './artifact.ts'
import { fromUtf8, toHex } from './bytes.ts'
import { artifactsOf, parsePayload } from './describe.ts'
import type { EventEntry } from './entry.ts'
import { TreelineError } from './errors.ts'
import type { LineageMark, LineageStep } from './lineage.ts'
import { MARKS, marksOther } from './mark.ts'
import { isObject, type JsonObject } from './payload.ts'

type NamedArtifact = LineageStep['artifacts'][number]

/** OpenSSF model signing: the subject is the manifest as a whole, `predicate.resources` are its files. */
export const MANIFEST = 'https://model_signing/signature/'

export interface Mark {
  readonly origin: string
  readonly index: number
  readonly kind: LineageMark['kind']
  readonly reason: string
}

/** Whether the payload can say more of artifacts than the entry does. */
export const saysMore = ({ hidden, type }: Pick<EventEntry, 'hidden' | 'type'>): boolean =>
  hidden > 0 || type.startsWith(MANIFEST)

/** Artifacts that stand only in the payload. `produces` is that list of the policy under which the event was logged. */
export function artifactsBeyond(
  entry: Pick<EventEntry, 'type' | 'payloadType' | 'artifacts' | 'hidden'>,
  payload: Uint8Array,
  produces: readonly string[],
): NamedArtifact[] {
  if (!saysMore(entry)) return []
  try {
    const shown = new Set(entry.artifacts.map(({ role, algorithm, digest }) => `${role}${algorithm}:${toHex(digest)}`))
    const all = artifactsOf(parsePayload(entry.payloadType, payload), produces, Number.POSITIVE_INFINITY).artifacts
    return [
      ...all
        .filter(({ role, algorithm, digest }) => !shown.has(`${role}${algorithm}:${toHex(digest)}`))
        .map(artifactDocument),
      ...filesOf(entry.type, payload),
    ]
  } catch (error) {
    if (error instanceof TreelineError) return []
    throw error
  }
}

function filesOf(type: string, payload: Uint8Array): NamedArtifact[] {
  if (!type.startsWith(MANIFEST)) return []
  const { predicate } = readJson(payload) ?? {}
  const resources = isObject(predicate) ? predicate.resources : undefined
  const files = new Map<string, NamedArtifact>()
  for (const { algorithm, value } of (Array.isArray(resources) ? resources : []).flatMap(digestsOf)) {
    const digest = value.toLowerCase()
    if (isDigest({ algorithm, value })) files.set(`${algorithm}:${digest}`, { role: 'file', algorithm, digest })
  }
  return [...files.values()]
}

/** The mark that the payload of an event sets, where it is a statement of such a type and well-formed. */
export function markOf(type: string, payload: Uint8Array): Mark | undefined {
  if (!marksOther(type)) return undefined
  const kind = MARKS[type]!
  const { predicate } = readJson(payload) ?? {}
  if (!isObject(predicate)) return undefined
  const { origin, index, reason = '' } = predicate
  if (typeof origin !== 'string' || !Number.isSafeInteger(index) || (index as number) < 0) return undefined
  return typeof reason === 'string' ? { origin, index: index as number, kind, reason: reason.slice(0, 256) } : undefined
}

const MAX_NAMES = 16
const MAX_NAME_LENGTH = 1_024

/** Names that the payload gives to artifacts, by `algorithm:hex`; at most 16 of each. */
export function namesIn(payload: Uint8Array): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  const add = (name: string, resource: unknown): void => {
    for (const { algorithm, value } of digestsOf(resource)) {
      const id = `${algorithm}:${value.toLowerCase()}`
      const names = found.get(id) ?? new Set()
      if (names.size < MAX_NAMES) found.set(id, names.add(name.slice(0, MAX_NAME_LENGTH)))
    }
  }
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const one of value) visit(one)
    if (!isObject(value)) return
    const name = [value.name, value.uri].find((one) => typeof one === 'string' && one !== '')
    if (name !== undefined) add(name as string, value)
    for (const [key, one] of Object.entries(value)) {
      // Links before v0.3 map each path to its digests.
      if ((key === 'materials' || key === 'products') && isObject(one))
        for (const [path, digest] of Object.entries(one)) add(path, { digest })
      visit(one)
    }
  }
  visit(readJson(payload))
  return found
}

/** Of a ResourceDescriptor, or of a file of a manifest, which has one digest and its algorithm beside each other. */
function digestsOf(resource: unknown): { algorithm: string; value: string }[] {
  if (!isObject(resource)) return []
  const { digest, algorithm } = resource
  if (typeof digest === 'string' && typeof algorithm === 'string') return [{ algorithm, value: digest }]
  if (!isObject(digest)) return []
  return Object.entries(digest).flatMap(([name, value]) =>
    typeof value === 'string' ? [{ algorithm: name, value }] : [],
  )
}

/** Characters of one payload that can be found. */
const MAX_TEXT = 2 ** 18
/** Digests are found as artifacts: as words, each occurs once, and together they would be most of an index. */
const DIGEST = /^[0-9a-fA-F]{32,}$/
/** Members that stand in every payload, and say nothing of one. */
const STRUCTURE = new Set(
  '_type subject name digest sha256 predicateType predicate uri origin consumed specversion id type source'.split(' '),
)

/** All text of a payload, member names included, a line each; '' for what is not JSON. */
export function textOf(payload: Uint8Array): string {
  const lines: string[] = []
  let room = MAX_TEXT
  const add = (line: string): void => {
    if (room <= 0 || (line.length >= 32 && DIGEST.test(line))) return
    lines.push(line.slice(0, room))
    room -= line.length + 1
  }
  const visit = (value: unknown): void => {
    if (typeof value === 'string') add(value)
    else if (typeof value === 'number') add(String(value))
    else if (Array.isArray(value)) for (const one of value) visit(one)
    else if (isObject(value)) {
      for (const key in value) {
        if (!STRUCTURE.has(key)) add(key)
        visit(value[key])
      }
    }
  }
  visit(readJson(payload))
  return lines.join('\n')
}

/** The log has judged it, strictly and not deeper than 64, before it took it. */
function readJson(payload: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(fromUtf8(payload) ?? '')
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
