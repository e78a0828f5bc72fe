import { decodeBase64, encodeBase64 } from '#platform'

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Lexicographic by unsigned byte; a prefix sorts first. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

/** Values of the characters 0-9 and a-f, else -1. */
const DIGITS = Int8Array.from({ length: 128 }, (_, code) => '0123456789abcdef'.indexOf(String.fromCharCode(code)))

/** Lowercase hex of an even length, or undefined. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) {
    const high = DIGITS[text.charCodeAt(2 * i)] ?? -1
    const low = DIGITS[text.charCodeAt(2 * i + 1)] ?? -1
    if (high < 0 || low < 0) return undefined
    bytes[i] = (high << 4) | low
  }
  return bytes
}

export const toBase64 = encodeBase64

/** Standard alphabet, padded, canonical (RFC 4648 section 3.5): the one spelling of its bytes, or undefined. */
export function fromBase64(text: string): Uint8Array | undefined {
  const bytes = decodeBase64(text)
  // Runtimes accept junk, missing padding and stray bits: encoding again is the only complete check.
  return bytes !== undefined && encodeBase64(bytes) === text ? bytes : undefined
}

const encoder = new TextEncoder()
// ignoreBOM keeps a leading U+FEFF in the text instead of swallowing three signed bytes.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const toUtf8 = (text: string): Uint8Array => encoder.encode(text)

/** The text of well-formed UTF-8, or undefined. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const NEWLINE = 0x0a

/** The lines before the first empty one, and the bytes after it. Undefined when there is none, or the lines are not UTF-8. */
export function splitAtEmptyLine(bytes: Uint8Array): { lines: string[]; rest: Uint8Array } | undefined {
  let end = bytes.indexOf(NEWLINE)
  while (end !== -1 && bytes[end + 1] !== NEWLINE) end = bytes.indexOf(NEWLINE, end + 1)
  const header = end === -1 ? undefined : fromUtf8(bytes.subarray(0, end))
  return header === undefined ? undefined : { lines: header.split('\n'), rest: bytes.subarray(end + 2) }
}

/** Big-endian. */
export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value)
  return bytes
}

/** Big-endian. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

/** Decimal digits without sign or leading zero, below 2^64, or undefined. */
export function parseU64(text: string): bigint | undefined {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(text)) return undefined
  const value = BigInt(text)
  return value < 1n << 64n ? value : undefined
}

/** The same, for sizes and indexes of a tree of ours: below 2^53. */
export function parseSize(text: string): number | undefined {
  const value = parseU64(text)
  return value !== undefined && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined
}
