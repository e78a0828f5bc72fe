/**
 * JSON as exactly one reading: what two parsers could understand differently is refused. RFC 8259 leaves duplicate
 * keys, lone surrogates and nesting to the parser, and each has been used to show a signer one document and a
 * verifier another.
 */
import { fromUtf8 } from './bytes.ts'
import { type Code, TreelineError } from './errors.ts'

export const MAX_JSON_DEPTH = 64

/**
 * The value of UTF-8 `bytes` without byte order mark. Throws `malformed` for what is not JSON or holds a lone
 * surrogate, DUPLICATE_JSON_KEY, or TOO_DEEP past 64 arrays and objects.
 */
export function parseJson(bytes: Uint8Array, malformed: Code): unknown {
  const text = fromUtf8(bytes)
  if (text === undefined) throw new TreelineError(malformed, 'the JSON is not valid UTF-8')
  const colons = scan(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new TreelineError(malformed, 'the bytes are not one JSON document', {}, { cause: error })
  }
  // Of equal keys JSON.parse keeps one, after unescaping, so a duplicate shows as a member that is missing.
  if (colons > 0 && members(value) !== colons) {
    throw new TreelineError('DUPLICATE_JSON_KEY', 'the JSON has an object with two members of one name')
  }
  // Valid UTF-8 has no surrogates: only an escape can bring one in.
  if (/\\u[dD][89a-fA-F]/.test(text) && !isWellFormed(value)) {
    throw new TreelineError(malformed, 'the JSON has a lone surrogate')
  }
  return value
}

const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c

/**
 * How many colons stand outside of strings, which in valid JSON is the number of members. Judges nothing but depth,
 * and must come first: what follows recurses. Linear: no character is looked at more than twice.
 */
function scan(text: string): number {
  let colons = 0
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i)
        break
      case COLON:
        colons++
        break
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > MAX_JSON_DEPTH) {
          throw new TreelineError('TOO_DEEP', `the JSON is nested deeper than ${MAX_JSON_DEPTH}`)
        }
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth--
    }
  }
  return colons
}

/** Index of the closing quote, or the length. `indexOf` because payloads are one base64 string of kilobytes. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

function members(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) count += members(item)
    return count
  }
  // JSON.parse makes `__proto__` an own property, and Object.keys sees no other kind.
  const object = value as Record<string, unknown>
  const names = Object.keys(object)
  count = names.length
  for (const name of names) count += members(object[name])
  return count
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value)) return value.every(isWellFormed)
  return Object.entries(value).every(([name, item]) => name.isWellFormed() && isWellFormed(item))
}
