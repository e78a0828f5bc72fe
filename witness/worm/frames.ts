/**
 * What stands in the objects of a snapshot, entry after entry.
 *
 * Entries: each after its length in two bytes, as in a tile bundle of C2SP. Documents: one frame for each entry, which is a byte that says
 * what it is, a length in four bytes, and so many bytes:
 *
 *     00 00000000                 nothing: erased, never there, or not for this witness to read
 *     01 00000002 7b7d            a document as it is: of a genesis, a policy, a redaction, which nobody may erase
 *     02 00000013 ‹19 bytes›      the addendum of an event, sealed
 */
import { u32 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'

export const ABSENT = 0
export const CLEAR = 1
export const SEALED = 2

export interface DocumentFrame {
  readonly kind: typeof ABSENT | typeof CLEAR | typeof SEALED
  readonly bytes: Uint8Array
}

export const NOTHING: DocumentFrame = { kind: ABSENT, bytes: new Uint8Array(0) }

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_SNAPSHOT', `not an object of a snapshot: ${why}`)

/** The parts of an entry's frame, to be joined. */
export const formatEntryFrame = (entry: Uint8Array): readonly Uint8Array[] => [
  Uint8Array.of(entry.length >> 8, entry.length & 0xff),
  entry,
]

/** Exactly `count` entries, as views. Throws MALFORMED_SNAPSHOT. */
export function parseEntryFrames(bytes: Uint8Array, count: number): Uint8Array[] {
  return frames(bytes, count, 2, (view, at) => view.getUint16(at)).map(({ from, to }) => bytes.subarray(from, to))
}

export const formatDocumentFrame = ({ kind, bytes }: DocumentFrame): readonly Uint8Array[] => [
  Uint8Array.of(kind),
  u32(bytes.length),
  bytes,
]

/** Exactly `count` frames, their bytes as views. Throws MALFORMED_SNAPSHOT. */
export function parseDocumentFrames(bytes: Uint8Array, count: number): DocumentFrame[] {
  return frames(bytes, count, 5, (view, at) => view.getUint32(at + 1)).map(({ at, from, to }) => {
    const kind = bytes[at]
    if (kind !== ABSENT && kind !== CLEAR && kind !== SEALED) throw malformed(`a frame of kind ${kind}`)
    if (kind === ABSENT && to > from) throw malformed('a frame of nothing that has bytes')
    return { kind, bytes: bytes.subarray(from, to) }
  })
}

function frames(bytes: Uint8Array, count: number, header: number, length: (view: DataView, at: number) => number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const found: { at: number; from: number; to: number }[] = []
  let at = 0
  while (found.length < count) {
    const from = at + header
    if (from > bytes.length) throw malformed(`${found.length} frames, not ${count}`)
    const to = from + length(view, at)
    if (to > bytes.length) throw malformed(`frame ${found.length} is cut off`)
    found.push({ at, from, to })
    at = to
  }
  if (at !== bytes.length) throw malformed(`more than ${count} frames`)
  return found
}
