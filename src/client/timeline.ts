/** One verified entry, for programs and for people. */
import { artifactDocument } from '../core/artifact.ts'
import { fromUtf8, toBase64, toHex } from '../core/bytes.ts'
import { formatEnvelope } from '../core/dsse.ts'
import { EVENT, KIND_NAMES, REDACTION } from '../core/entry.ts'
import type { EventPayload } from '../core/event-payload.ts'
import { leafHash } from '../core/merkle.ts'
import type { ScannedEntry } from './scan.ts'

/** As the event document of the API, without what only a server says. */
export interface EntryLine {
  readonly origin: string
  readonly index: number
  readonly kind: (typeof KIND_NAMES)[keyof typeof KIND_NAMES]
  /** By the log's clock, ms since the Unix epoch. */
  readonly time: number
  readonly keys: readonly string[]
  readonly signers: readonly string[]
  readonly payloadType: string | null
  readonly type: string | null
  readonly artifacts: readonly { readonly role: string; readonly algorithm: string; readonly digest: string }[]
  readonly hidden: number
  /** What a redaction names. */
  readonly redacts: readonly number[]
  readonly reason: string | null
  readonly leafHash: string
  readonly entry: string
  readonly addendum: string
  /** Where payloads were asked for; null where it is not there. */
  readonly envelope?: object | null
  /** Of an item of a signed batch: its header and place; and, where payloads were asked for, its payload in base64 in the place of an envelope. */
  readonly batch?: { readonly header: number; readonly position: number }
  readonly payload?: string
  /** False where only a payload that is not there could say whether the entry is one of those asked for. */
  readonly sure: boolean
  /** Why: the payload is not there (gone), or the token does not open it (closed). */
  readonly unread?: 'gone' | 'closed'
}

export interface LineParts {
  readonly origin: string
  readonly signers: readonly string[]
  readonly sure: boolean
  /** Where payloads were asked for; null where it is not there. */
  readonly document?: EventPayload | null
}

export function entryLine(
  { index, bytes, entry, unread }: ScannedEntry & Pick<EntryLine, 'unread'>,
  parts: LineParts,
): EntryLine {
  const { origin, signers, sure, document } = parts
  const event = entry.kind === EVENT ? entry : undefined
  return {
    ...{ origin, index, kind: KIND_NAMES[entry.kind], time: entry.time },
    keys: 'keys' in entry ? entry.keys.map(toHex) : [],
    signers,
    payloadType: 'payloadType' in entry ? entry.payloadType : null,
    type: event?.type ?? null,
    artifacts: event?.artifacts.map(artifactDocument) ?? [],
    hidden: event?.hidden ?? 0,
    redacts: entry.kind === REDACTION ? entry.indexes : [],
    reason: entry.kind === REDACTION ? entry.reason : null,
    ...{ leafHash: toHex(leafHash(bytes)), entry: toBase64(bytes), addendum: toHex(entry.addendum) },
    ...(event?.batch && { batch: event.batch }),
    ...(document !== undefined && payloadMembers(document)),
    sure,
    ...(unread && { unread }),
  }
}

function payloadMembers(document: EventPayload | null): Pick<EntryLine, 'envelope' | 'payload'> {
  if (document === null) return { envelope: null }
  const { envelope, payload } = document
  if (envelope === undefined) return { envelope: null, payload: toBase64(payload) }
  return { envelope: JSON.parse(fromUtf8(formatEnvelope(envelope))!) as object }
}

/** A line, and a line for each artifact below it. Types and names are whatever the signers wrote. */
export function sayEntry({
  index,
  kind,
  time,
  signers,
  type,
  artifacts,
  hidden,
  redacts,
  reason,
  sure,
  unread,
}: EntryLine): string[] {
  const what = [kind, type, signers.length > 0 ? `by ${signers.join(', ')}` : null].filter(Boolean).join(' ')
  const about = redacts.length > 0 ? ` of ${redacts.join(', ')}: ${reason}` : ''
  return [
    `${new Date(time).toISOString()} ${String(index).padStart(8)}  ${what}${about}${sure ? '' : ` (it may be: ${unread === 'closed' ? 'the token does not open its payload' : 'its payload is not there'})`}`,
    ...artifacts.map(({ role, algorithm, digest }) => `${''.padStart(35)}${role.padEnd(8)} ${algorithm}:${digest}`),
    ...(hidden > 0 ? [`${''.padStart(35)}and ${hidden} that stand only in the payload`] : []),
  ]
}
