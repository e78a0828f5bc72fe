/**
 * Deterministic CBOR, RFC 8949 section 4.2.1, of the few types that our formats use: safe integers, byte strings,
 * text, arrays, maps with integer or text keys, booleans and null. One value has one encoding, and no other decodes.
 *
 * cbor-x alone is not deterministic: it leaves maps in insertion order, writes integers past 32 bits as floats, and
 * decodes duplicate keys, longer integers, tags and bad UTF-8. So we order before it encodes, and look before it
 * decodes. The `no-eval` build because pages with our Content-Security-Policy may not generate code.
 */
import { Encoder, type Options } from 'cbor-x/index-no-eval'
import { compare, equal, toUtf8 } from './bytes.ts'
import { TreelineError } from './errors.ts'

export type Cbor = number | string | boolean | null | Uint8Array | readonly Cbor[] | ReadonlyMap<number | string, Cbor>

/** Room for an evidence file with an addendum of 4 MiB and a long history of policies. */
export const MAX_CBOR_SIZE = 16 * 1024 * 1024
const MAX_DEPTH = 16
/** A value of one byte costs a hundred in memory, so their number has a limit of its own. */
const MAX_ITEMS = 1_000_000

const codec = new Encoder({
  useRecords: false,
  mapsAsObjects: false,
  tagUint8Array: false,
  // Past 2^53 the number is rounded, and then encodes to other bytes than it came from.
  int64AsNumber: true,
} as Options)

/** Throws TypeError for what the format cannot say: that is a bug of the caller, not an answer. */
export const encodeCbor = (value: Cbor): Uint8Array => encode(ordered(value))

/** A copy: cbor-x hands out views of one growing buffer. */
const encode = (value: unknown): Uint8Array => new Uint8Array(codec.encode(value))

/** The value as cbor-x has to see it: maps in the order of their encoded keys, integers past 32 bits as bigints. */
function ordered(value: Cbor): unknown {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not a safe integer`)
    return value > 0xffff_ffff || value < -0x1_0000_0000 ? BigInt(value) : value
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new TypeError('text with a lone surrogate')
    return value
  }
  if (value === null || typeof value === 'boolean' || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(ordered)
  if (value instanceof Map) {
    const members: [number | string, Cbor][] = [...value]
    if (members.some(([key]) => typeof key !== 'number' && typeof key !== 'string')) {
      throw new TypeError('a key is an integer or text')
    }
    members.sort(([a], [b]) => compareKeys(a, b))
    return new Map(members.map(([key, item]) => [ordered(key), ordered(item)]))
  }
  throw new TypeError(`no CBOR for a ${typeof value}`)
}

/** As their encodings compare, bytewise: 0, 1, … then -1, -2, … then text, which begins with its length. */
function compareKeys(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return a < 0 === b < 0 ? Math.abs(a) - Math.abs(b) : b - a
  if (typeof a === 'string' && typeof b === 'string') {
    const [x, y] = [toUtf8(a), toUtf8(b)]
    return x.length - y.length || compare(x, y)
  }
  return typeof a === 'number' ? -1 : 1
}

const malformed = (why: string, cause?: unknown): TreelineError =>
  new TreelineError('MALFORMED_CBOR', `not deterministic CBOR: ${why}`, {}, { cause })

/** Byte strings of the result are views of `bytes`. Throws MALFORMED_CBOR. */
export function decodeCbor(bytes: Uint8Array): Cbor {
  if (bytes.length > MAX_CBOR_SIZE) throw malformed(`more than ${MAX_CBOR_SIZE} bytes`)
  // Attackers choose these bytes, so cbor-x sees them only when every declared length is there to be read.
  if (scan(bytes) !== bytes.length) throw malformed('bytes after the value')
  let value: Cbor
  let again: Uint8Array
  try {
    value = codec.decode(bytes) as Cbor
    again = encodeCbor(value)
  } catch (error) {
    throw malformed('a value that has no deterministic encoding', error)
  }
  // Order and duplicates of keys, longer integers and bad UTF-8 all end here.
  if (!equal(again, bytes)) throw malformed('it would be encoded differently')
  return value
}

/** Where the first value ends: only definite lengths that fit, only our types, limited in depth and number. */
function scan(bytes: Uint8Array): number {
  let items = 0
  let at = 0
  const argument = (info: number): number => {
    if (info < 24) return info
    if (info > 27) throw malformed('an indefinite length')
    const end = at + 2 ** (info - 24)
    if (end > bytes.length) throw malformed('cut off')
    let value = 0
    while (at < end) value = value * 256 + bytes[at++]!
    return value
  }
  const value = (depth: number): void => {
    if (++items > MAX_ITEMS) throw malformed(`more than ${MAX_ITEMS} values`)
    const initial = bytes[at++]
    if (initial === undefined) throw malformed('cut off')
    const major = initial >> 5
    if (major === 7) {
      if (initial < 0xf4 || initial > 0xf6) throw malformed('a float or simple value')
      return
    }
    if (major === 6) throw malformed('a tag')
    const length = argument(initial & 0x1f)
    if (major < 2) return
    if (length > bytes.length - at) throw malformed('cut off')
    if (major < 4) {
      at += length
      return
    }
    if (depth === MAX_DEPTH) throw malformed(`nested deeper than ${MAX_DEPTH}`)
    for (let i = major === 5 ? 2 * length : length; i > 0; i--) value(depth + 1)
  }
  value(0)
  return at
}
