/**
 * Bytes that are nearly right. Formats here are lines, JSON, CBOR and frames, with base64 of each other inside: so beside what changes bytes blindly
 * there are changes of numbers, of lengths, of lines, of members, and of what base64 stands for.
 */
import { concat, toUtf8 } from '../../../src/core/bytes.ts'
import type { Random } from './random.ts'

/** Larger inputs say nothing more of a parser, but of its time: see `swell`. */
const MOST = 16_384
const SWOLLEN = 65_536

const NUMBERS = [
  ...[
    '0',
    '1',
    '-1',
    '00',
    '007',
    '1.5',
    '1e3',
    '1e400',
    '-0',
    '+1',
    '0x10',
    ' 1',
    '255',
    '256',
    '257',
    '65535',
    '65536',
  ],
  ...['2147483647', '2147483648', '4294967295', '4294967296', '9007199254740991', '9007199254740992'],
  ...['9223372036854775807', '9223372036854775808', '18446744073709551615', '18446744073709551616', '1'.repeat(400)],
]
const TEXTS = [
  ...[
    '"',
    '\\',
    '\n',
    '\r\n',
    '\0',
    ' ',
    '\t',
    '\n\n',
    '—',
    '— ',
    '\u{feff}',
    '\u{1f600}',
    '\\u0000',
    '\\ud800',
    '\\udc00\\ud800',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    'null',
    'true',
    '{}',
    '[]',
    '""',
    '__proto__',
    'constructor',
    'toString',
    '=',
    '==',
    '-',
    '_',
    '+',
    '*',
  ],
]
const RAW = [
  [0xff],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf8],
  [0x80],
  [0x00],
  [0x7f],
  [0xfb, 0x7f, 0xf0],
  [0xa1],
  [0xbf],
  [0x9f],
  [0x5f],
]

type Change = (bytes: Uint8Array, random: Random, corpus: readonly Uint8Array[]) => Uint8Array

const splice = (bytes: Uint8Array, from: number, to: number, put: Uint8Array): Uint8Array =>
  concat(bytes.subarray(0, from), put, bytes.subarray(to))

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))

/** A part of the bytes that matches, replaced. */
function replaceOne(
  bytes: Uint8Array,
  pattern: RegExp,
  random: Random,
  make: (found: string) => Uint8Array,
): Uint8Array {
  const found = [...latin1(bytes).matchAll(pattern)]
  if (found.length === 0) return bytes
  const one = random.of(found)
  return splice(bytes, one.index, one.index + one[0].length, make(one[0]))
}

const CHANGES: readonly Change[] = [
  function flip(bytes, random) {
    const changed = bytes.slice()
    if (bytes.length > 0) changed[random.below(bytes.length)]! ^= 1 << random.below(8)
    return changed
  },
  function insert(bytes, random) {
    const at = random.below(bytes.length + 1)
    return splice(bytes, at, at, random.below(3) === 0 ? Uint8Array.from(random.of(RAW)) : toUtf8(random.of(TEXTS)))
  },
  function remove(bytes, random) {
    const at = random.below(bytes.length)
    return splice(bytes, at, Math.min(bytes.length, at + 1 + random.below(8)), new Uint8Array(0))
  },
  function cut(bytes, random) {
    return bytes.slice(0, random.below(bytes.length + 1))
  },
  function repeat(bytes, random) {
    const from = random.below(bytes.length)
    const to = Math.min(bytes.length, from + 1 + random.below(64))
    return splice(bytes, to, to, bytes.slice(from, to))
  },
  function cross(bytes, random, corpus) {
    const other = random.of(corpus)
    return concat(bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1)))
  },
  function number(bytes, random) {
    return replaceOne(bytes, /[0-9]+/g, random, () => toUtf8(random.of(NUMBERS)))
  },
  function length(bytes, random) {
    if (bytes.length < 4) return bytes
    const changed = bytes.slice()
    const view = new DataView(changed.buffer)
    const at = random.below(bytes.length - 3)
    if (random.below(2) === 0) view.setUint16(at, random.of([0, 1, 255, 256, 65_534, 65_535, view.getUint16(at) + 1]))
    else view.setUint32(at, random.of([0, 1, 65_535, 65_536, 0x7fffffff, 0x80000000, 0xffffffff]))
    return changed
  },
  function line(bytes, random) {
    const lines = latin1(bytes).split('\n')
    const [i, j] = [random.below(lines.length), random.below(lines.length)]
    if (random.below(2) === 0) lines.splice(i, 0, lines[j]!)
    else [lines[i], lines[j]] = [lines[j]!, lines[i]!]
    return bytesOf(lines.join('\n'))
  },
  /** A member again, or with another value. */
  function member(bytes, random) {
    return replaceOne(
      bytes,
      /"(?:[^"\\]|\\.){0,64}":("(?:[^"\\]|\\.){0,4096}"|[0-9.eE+-]+|true|false|null|\[\]|\{\})/g,
      random,
      (found) => {
        if (random.below(2) === 0) return bytesOf(`${found},${found}`)
        return toUtf8(
          `${found.slice(0, found.indexOf('":') + 2)}${random.of(['null', '0', '-1', '""', '[]', '{}', '[[]]', '1e999', 'true'])}`,
        )
      },
    )
  },
  function nest(bytes, random) {
    const depth = random.of([1, 60, 64, 65, 500])
    return replaceOne(bytes, /:(?:"[^"\\]{0,64}"|[0-9]+)/g, random, (found) =>
      bytesOf(`:${'['.repeat(depth)}${found.slice(1)}${']'.repeat(depth)}`),
    )
  },
  function inBase64(bytes, random, corpus) {
    return replaceOne(bytes, /[A-Za-z0-9+/]{12,}={0,2}/g, random, (found) => {
      const inner = new Uint8Array(Buffer.from(found, 'base64'))
      return toUtf8(Buffer.from(mutate(inner, random, corpus)).toString('base64'))
    })
  },
]

/** `bytes` after some changes. */
export function mutate(bytes: Uint8Array, random: Random, corpus: readonly Uint8Array[]): Uint8Array {
  let changed = bytes
  for (let i = 1 + random.below(3); i > 0; i--) changed = random.of(CHANGES)(changed, random, corpus)
  return changed.length > MOST ? changed.slice(0, MOST) : changed
}

/** A part of it so often that the time of a parser shows. */
export function swell(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length === 0) return bytes
  const from = random.below(bytes.length)
  const part = bytes.subarray(from, Math.min(bytes.length, from + 1 + random.below(40)))
  const times = Math.ceil(SWOLLEN / part.length)
  return concat(bytes.subarray(0, from), ...Array.from({ length: times }, () => part), bytes.subarray(from))
}
