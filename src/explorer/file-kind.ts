/** What a dropped file is, by its content alone: names lie. */
import { fromUtf8, toUtf8 } from '../core/bytes.ts'
import { isFault } from '../core/fault.ts'
import { parseNote } from '../core/note.ts'
import { isObject, type JsonObject } from '../core/payload.ts'
import { parseWitnessPolicy } from '../core/witness-policy.ts'

type FileKind = 'evidence' | 'fault' | 'receipt' | 'envelope' | 'trust' | 'checkpoint' | 'report' | 'other'

export interface KnownFile {
  readonly name: string
  readonly kind: FileKind
  readonly bytes: Uint8Array
  /** Where it is JSON. */
  readonly document?: JsonObject
}

/** Evidence of ours is far smaller; what is larger is only hashed. */
export const MAX_EVIDENCE = 64 * 2 ** 20

export function recognise(name: string, bytes: Uint8Array): KnownFile {
  if (isFault(bytes)) return { name, kind: 'fault', bytes }
  const text = bytes.length <= MAX_EVIDENCE ? fromUtf8(bytes) : undefined
  if (text === undefined) return { name, kind: 'other', bytes }
  if (text.startsWith('c2sp.org/tlog-proof@')) return { name, kind: 'evidence', bytes }
  const document = text.trimStart().startsWith('{') ? objectOf(text) : undefined
  if (document !== undefined) return { name, kind: kindOf(document), bytes, document }
  if (/^(log|witness) /m.test(text) && parses(() => parseWitnessPolicy(toUtf8(text))))
    return { name, kind: 'trust', bytes }
  if (/\n\n— /.test(text) && parses(() => parseNote(bytes))) return { name, kind: 'checkpoint', bytes }
  return { name, kind: 'other', bytes }
}

function kindOf(document: JsonObject): FileKind {
  if ('checkpoint' in document && 'hashes' in document && 'entry' in document) return 'receipt'
  if ('payloadType' in document && 'signatures' in document) return 'envelope'
  return typeof document.format === 'string' && document.format.startsWith('treeline.report@') ? 'report' : 'other'
}

function objectOf(text: string): JsonObject | undefined {
  try {
    const document: unknown = JSON.parse(text)
    return isObject(document) ? document : undefined
  } catch {
    return undefined
  }
}

function parses(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch {
    return false
  }
}
