import fc from 'fast-check'
import t from 'tap'
import { compare, concat, fromHex, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { type Cbor, decodeCbor, encodeCbor, MAX_CBOR_SIZE } from '../../src/core/cbor.ts'
import { CborWriter } from '../../src/core/cbor-writer.ts'

/** RFC 8949 appendix A, those of our types, and our own for the edges. */
const GOLDEN: readonly (readonly [Cbor, string])[] = [
  [0, '00'],
  [23, '17'],
  [24, '1818'],
  [255, '18ff'],
  [256, '190100'],
  [1000, '1903e8'],
  [65_536, '1a00010000'],
  [4_294_967_295, '1affffffff'],
  [4_294_967_296, '1b0000000100000000'],
  [1_700_000_000_000, '1b0000018bcfe56800'],
  [Number.MAX_SAFE_INTEGER, '1b001fffffffffffff'],
  [-1, '20'],
  [-24, '37'],
  [-25, '3818'],
  [-1000, '3903e7'],
  [-2_147_483_649, '3a80000000'],
  [-4_294_967_296, '3affffffff'],
  [-4_294_967_297, '3b0000000100000000'],
  [Number.MIN_SAFE_INTEGER, '3b001ffffffffffffe'],
  [false, 'f4'],
  [true, 'f5'],
  [null, 'f6'],
  ['', '60'],
  ['ü水𐅑', '69c3bce6b0b4f0908591'],
  ['\ufeff', '63efbbbf'],
  [new Uint8Array(0), '40'],
  [fromHex('01020304')!, '4401020304'],
  [[1, [2, 3], [4, 5]], '8301820203820405'],
  [[], '80'],
  [new Map(), 'a0'],
  [
    new Map<string, Cbor>([
      ['b', [2, 3]],
      ['a', 1],
    ]),
    'a26161016162820203',
  ],
  // Sorted as bytes of the encoded keys: 10, 100, -1, "z", "aa".
  [
    new Map<number | string, Cbor>([
      ['aa', 5],
      ['z', 4],
      [-1, 3],
      [100, 2],
      [10, 1],
    ]),
    'a50a011864022003617a0462616105',
  ],
]

t.test('golden encodings', (t) => {
  for (const [value, hex] of GOLDEN) {
    t.equal(toHex(encodeCbor(value)), hex)
    t.same(decodeCbor(fromHex(hex)!), value)
  }
  t.same(encodeCbor(Buffer.from([1])), fromHex('4101'), 'a Buffer is a byte string')
  t.end()
})

const leaf = fc.oneof(
  fc.maxSafeInteger(),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ maxLength: 300 }),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 300 }),
)
const key = fc.oneof(fc.maxSafeInteger(), fc.nat(30), fc.string({ unit: 'binary', maxLength: 20 }))
const { value: anyValue } = fc.letrec<{ value: Cbor }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf as fc.Arbitrary<Cbor>,
    fc.array(tie('value'), { maxLength: 6 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 6 }).map((members) => new Map(members)),
  ),
}))

/** Independent of the code under test: keys in encoded order, everywhere. */
function isSorted(value: Cbor): boolean {
  if (Array.isArray(value)) return value.every(isSorted)
  if (!(value instanceof Map)) return true
  const keys = [...value.keys()].map((k: number | string) => encodeCbor(k))
  return keys.every((k, i) => i === 0 || compare(keys[i - 1]!, k) < 0) && [...value.values()].every(isSorted)
}

t.test('a value decodes from its encoding, in whatever order its maps were built', (t) => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encodeCbor(value)
      const again = decodeCbor(bytes)
      if (!isSorted(again)) return false
      return toHex(encodeCbor(again)) === toHex(bytes)
    }),
    { numRuns: 1000 },
  )
  t.end()
})

t.test('what decodes has no other encoding', (t) => {
  fc.assert(
    fc.property(anyValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, position, mask) => {
      const bytes = encodeCbor(value)
      bytes[position % bytes.length]! ^= mask
      let decoded: Cbor
      try {
        decoded = decodeCbor(bytes)
      } catch (error) {
        return (error as { code?: string }).code === 'MALFORMED_CBOR'
      }
      return toHex(encodeCbor(decoded)) === toHex(bytes)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        return toHex(encodeCbor(decodeCbor(bytes))) === toHex(bytes)
      } catch (error) {
        return (error as { code?: string }).code === 'MALFORMED_CBOR'
      }
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('malformed', (t) => {
  for (const [name, hex] of [
    ['empty', ''],
    ['trailing byte', '0000'],
    ['integer in one byte too many', '1817'],
    ['integer in two bytes', '1900ff'],
    ['integer in four bytes', '1a0000ffff'],
    ['integer in eight bytes', '1b00000000ffffffff'],
    ['negative integer too long', '3817'],
    ['2^53', '1b0020000000000000'],
    ['2^64 - 1', '1bffffffffffffffff'],
    ['-2^53', '3b001fffffffffffff'],
    ['length too long', '580101'],
    ['array length too long', '980100'],
    ['map length too long', 'b8010000'],
    ['half float', 'f93c00'],
    ['float', 'fa3f800000'],
    ['double', 'fb3ff0000000000000'],
    ['undefined', 'f7'],
    ['simple value', 'e0'],
    ['simple value in two bytes', 'f820'],
    ['break alone', 'ff'],
    ['indefinite array', '9f00ff'],
    ['indefinite map', 'bf0000ff'],
    ['indefinite byte string', '5f4101ff'],
    ['indefinite text', '7f6161ff'],
    ['reserved length 28', '1c'],
    ['tag', 'c074323031332d30332d32315432303a30343a30305a'],
    ['bignum', 'c249010000000000000000'],
    ['self-described', 'd9d9f700'],
    ['record of cbor-x', 'd9dfff830100a0'],
    ['packed reference of cbor-x', 'c600'],
    ['duplicate key', 'a200010002'],
    ['duplicate text key', 'a2616101616102'],
    ['keys out of order', 'a201000000'],
    ['shorter text key last', 'a262616100617a00'],
    ['array as key', 'a18000'],
    ['bytes as key', 'a1410000'],
    ['boolean as key', 'a1f500'],
    ['null as key', 'a1f600'],
    ['overlong UTF-8', '62c080'],
    ['surrogate in UTF-8', '63eda080'],
    ['UTF-8 cut off', '61c3'],
    ['UTF-8 past U+10FFFF', '64f4908080'],
    ['text cut off', '6261'],
    ['bytes cut off', '4201'],
    ['array cut off', '8200'],
    ['map cut off', 'a100'],
    ['argument cut off', '1901'],
    ['array of 2^32 - 1', '9affffffff'],
    ['array of 2^64 - 1', '9bffffffffffffffff'],
    ['map of 2^32 - 1', 'baffffffff'],
    ['map of 2^63', 'bb8000000000000000'],
    ['bytes of 2^63', '5b8000000000000000'],
    ['text of 4 GiB', '7affffffff'],
  ] as const) {
    t.throws(() => decodeCbor(fromHex(hex)!), { code: 'MALFORMED_CBOR' }, name)
  }
  t.end()
})

t.test('what costs more than its bytes is refused before it is built', (t) => {
  const nested = (depth: number) => concat(new Uint8Array(depth).fill(0x81), Uint8Array.of(0))
  t.doesNotThrow(() => decodeCbor(nested(16)))
  const million = 1_000_000
  for (const [name, bytes] of [
    ['17 levels', nested(17)],
    ['a million levels', nested(million)],
    ['a million levels of maps', concat(new Uint8Array(million).fill(0xa1), Uint8Array.of(0))],
    [
      'arrays that each declare all that is left',
      concat(...Array(15).fill(fromHex('9a00010000')), new Uint8Array(65_536)),
    ],
    ['two million zeros', concat(fromHex('9a001e8480')!, new Uint8Array(2 * million))],
    ['too large', new Uint8Array(MAX_CBOR_SIZE + 1)],
  ] as const) {
    const start = performance.now()
    t.throws(() => decodeCbor(bytes), { code: 'MALFORMED_CBOR' }, name)
    t.ok(performance.now() - start < 1000, `${name}, at once`)
  }
  t.same(decodeCbor(fromHex('01')!), 1, 'a refusal leaves nothing behind in the decoder')
  t.end()
})

t.test('what has no encoding is a bug of the caller', (t) => {
  for (const [name, value] of [
    ['a fraction', 0.5],
    ['2^53', 2 ** 53],
    ['NaN', Number.NaN],
    ['a lone surrogate', '\ud800'],
    ['undefined', undefined],
    ['a bigint', 1n],
    ['an object', {}],
    ['a date', new Date(0)],
    ['a key of another type', new Map([[true, 1]])],
    ['a float array', new Float32Array(1)],
  ] as const) {
    t.throws(() => encodeCbor(value as never), TypeError, name)
  }
  t.end()
})

t.test('an encoding is a copy, not a view of the buffer of the encoder', (t) => {
  const first = encodeCbor('first')
  encodeCbor('other')
  t.same(first, concat(Uint8Array.of(0x65), toUtf8('first')))
  t.equal(first.byteLength, first.buffer.byteLength)
  t.end()
})

t.test('CborWriter writes what encodeCbor does', (t) => {
  const writer = new CborWriter(2000)
  fc.assert(
    fc.property(
      fc.oneof(fc.nat(70_000), fc.maxSafeInteger().map(Math.abs)),
      fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: 'binary', maxLength: 100 })),
      fc.uint8Array({ maxLength: 300 }),
      (number, text, bytes) => {
        writer.reset()
        writer.map(1)
        writer.uint(number)
        writer.array(2)
        writer.text(text)
        writer.bytes(bytes)
        return toHex(writer.written) === toHex(encodeCbor(new Map([[number, [text, bytes]]])))
      },
    ),
    { numRuns: 1000 },
  )
  writer.reset()
  t.throws(() => writer.text('x'.repeat(2000)), RangeError)
  t.throws(() => writer.bytes(new Uint8Array(2000)), RangeError)
  t.end()
})
