import fc from 'fast-check'
import t from 'tap'
import { addendumHash, blinding, joinAddendum, splitAddendum } from '../../src/core/addendum.ts'
import type { Artifact } from '../../src/core/artifact.ts'
import { compare, concat, equal, fromHex, toHex, toUtf8, u32 } from '../../src/core/bytes.ts'
import { type Cbor, decodeCbor, encodeCbor } from '../../src/core/cbor.ts'
import { encodeUint } from '../../src/core/cbor-writer.ts'
import { describe } from '../../src/core/describe.ts'
import {
  addendumDigest,
  BATCH,
  decodeEntry,
  type Entry,
  EVENT,
  encodeEntry,
  GENESIS,
  POLICY,
  REDACTION,
  stampItem,
} from '../../src/core/entry.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { canonicalOf, ed25519Signer } from './signers.ts'

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
const index = fc.oneof(fc.nat(300), fc.maxSafeInteger().map(Math.abs))
const text = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }),
  fc.string({ minLength: 1, maxLength: 300 }),
)

function sortedBy<T>(
  arbitrary: fc.Arbitrary<T>,
  encode: (item: T) => Uint8Array,
  minLength: number,
  maxLength: number,
) {
  return fc
    .uniqueArray(arbitrary, { minLength, maxLength, selector: (item) => toHex(encode(item)) })
    .map((items) => items.sort((a, b) => compare(encode(a), encode(b))))
}
const artifact: fc.Arbitrary<Artifact> = fc.record({
  role: fc.constantFrom(1, 2, 3),
  algorithm: fc.oneof(fc.constantFrom('sha256', 'gitCommit'), text),
  digest: fc.uint8Array({ minLength: 1, maxLength: 64 }),
})
const common = { time: index, addendum: hash }
const signed = { ...common, keys: sortedBy(hash, (id) => id, 1, 16), payloadType: text, policy: index }
const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constantFrom(GENESIS, POLICY), ...common }),
  fc.record(
    {
      kind: fc.constant(EVENT),
      ...signed,
      type: text,
      artifacts: sortedBy(artifact, ({ role, algorithm, digest }) => encodeCbor([role, algorithm, digest]), 0, 64),
      hidden: index,
      batch: fc.record({ header: index, position: index }),
    },
    { requiredKeys: ['kind', 'time', 'addendum', 'keys', 'payloadType', 'policy', 'type', 'artifacts', 'hidden'] },
  ),
  fc.record({ kind: fc.constant(BATCH), ...signed }),
  fc.record({
    kind: fc.constant(REDACTION),
    ...common,
    policy: index,
    indexes: fc.uniqueArray(index, { minLength: 1, maxLength: 20 }).map((all) => all.sort((a, b) => a - b)),
    reason: text,
  }),
) as fc.Arbitrary<Entry>

/** The map as section "Entries" has it, without the hand-written encoder. */
function toMap(entry: Entry): Map<number, Cbor> {
  const map = new Map<number, Cbor>([
    [0, 1],
    [1, entry.kind],
    [2, entry.time],
    [7, entry.addendum],
  ])
  if (entry.kind === EVENT || entry.kind === BATCH) map.set(3, entry.keys).set(4, entry.payloadType)
  if (entry.kind === EVENT) {
    map.set(5, entry.type)
    map.set(
      6,
      entry.artifacts.map(({ role, algorithm, digest }) => [role, algorithm, digest]),
    )
    if (entry.batch) map.set(8, [entry.batch.header, entry.batch.position])
    if (entry.hidden > 0) map.set(11, entry.hidden)
  }
  if (entry.kind === REDACTION) map.set(10, [entry.indexes, entry.reason])
  if (entry.kind === EVENT || entry.kind === BATCH || entry.kind === REDACTION) map.set(9, entry.policy)
  return map
}

t.test('an entry is the deterministic CBOR of its map and a trailer', (t) => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      const bytes = encodeEntry(entry)
      const map = bytes.subarray(0, -5)
      const offset = Buffer.from(map).indexOf(Buffer.concat([fromHex('075820')!, entry.addendum])) + 3
      return (
        equal(map, encodeCbor(toMap(entry))) &&
        equal(addendumDigest(bytes), entry.addendum) &&
        // Elsewhere in the map the same bytes can stand by chance only.
        equal(bytes.subarray(-5), concat(u32(offset), Uint8Array.of(1)))
      )
    }),
    { numRuns: 500 },
  )
  t.end()
})

t.test('an entry decodes from its encoding', (t) => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      const bytes = encodeEntry(entry)
      const again = decodeEntry(bytes)
      t.same(again, entry)
      t.same(encodeEntry(again), bytes)
    }),
    { numRuns: 200 },
  )
  t.end()
})

const EXAMPLE: Entry = {
  kind: EVENT,
  time: 1_700_000_000_000,
  addendum: new Uint8Array(32).fill(0xdd),
  keys: [new Uint8Array(32).fill(0x11), new Uint8Array(32).fill(0x22)],
  payloadType: 'application/vnd.in-toto+json',
  type: 'urn:treeline:training:v1',
  artifacts: [{ role: 1, algorithm: 'sha256', digest: new Uint8Array(32).fill(0xaa) }],
  hidden: 2,
  policy: 0,
}

t.test('golden entries', (t) => {
  t.equal(
    toHex(encodeEntry(EXAMPLE)),
    'aa' +
      '0001' + // format version
      '0101' + // event
      '021b0000018bcfe56800' + // time
      `0382${`5820${'11'.repeat(32)}`}${`5820${'22'.repeat(32)}`}` +
      '04781c6170706c69636174696f6e2f766e642e696e2d746f746f2b6a736f6e' +
      '05781875726e3a747265656c696e653a747261696e696e673a7631' +
      `068183${'01'}${'66736861323536'}5820${'aa'.repeat(32)}` +
      `075820${'dd'.repeat(32)}` +
      '0900' + // policy
      '0b02' + // hidden
      '000000bf' +
      '01',
  )
  t.equal(
    toHex(encodeEntry({ kind: GENESIS, time: 1_700_000_000_000, addendum: EXAMPLE.addendum })),
    `a400010100021b0000018bcfe56800075820${'dd'.repeat(32)}0000001201`,
  )
  t.equal(
    toHex(
      encodeEntry({
        kind: REDACTION,
        time: 256,
        addendum: EXAMPLE.addendum,
        policy: 3,
        indexes: [7, 300],
        reason: 'personal-data',
      }),
    ),
    `a60001010302190100075820${'dd'.repeat(32)}09030a82820719012c6d706572736f6e616c2d646174610000000c01`,
  )
  t.end()
})

t.test('malformed entries', (t) => {
  const trailed = (map: ReadonlyMap<number | string, Cbor>, change = 0, count = 1): Uint8Array => {
    const bytes = encodeCbor(map)
    const offset = Buffer.from(bytes).indexOf(fromHex('075820')!) + 3
    return concat(bytes, u32(offset + change), Uint8Array.of(count))
  }
  const changed = (entry: Entry, ...members: readonly (readonly [number | string, Cbor | undefined])[]) => {
    const map = new Map<number | string, Cbor>(toMap(entry))
    for (const [key, value] of members) {
      if (value === undefined) map.delete(key)
      else map.set(key, value)
    }
    return trailed(map)
  }
  const genesis: Entry = { kind: GENESIS, time: 5, addendum: EXAMPLE.addendum }
  const redaction: Entry = {
    kind: REDACTION,
    time: 5,
    addendum: EXAMPLE.addendum,
    policy: 0,
    indexes: [1, 2],
    reason: 'r',
  }
  const batched: Entry = { ...EXAMPLE, batch: { header: 4, position: 0 } }
  for (const entry of [EXAMPLE, genesis, redaction, batched]) t.same(decodeEntry(changed(entry)), entry)
  const id = (byte: number) => new Uint8Array(32).fill(byte)
  const bytes = encodeEntry(EXAMPLE)
  for (const [name, entry] of [
    ['empty', new Uint8Array(0)],
    ['no map', concat(encodeCbor([1]), fromHex('0000000001')!)],
    ['too large', new Uint8Array(65_536)],
    ['trailing byte', concat(bytes, Uint8Array.of(0))],
    ['no trailer', bytes.subarray(0, -5)],
    ['another offset', trailed(toMap(EXAMPLE), 1)],
    ['two offsets', concat(bytes.subarray(0, -1), bytes.subarray(-5, -1), Uint8Array.of(2))],
    ['no offset', concat(bytes.subarray(0, -5), Uint8Array.of(0))],
    ['count 2', trailed(toMap(EXAMPLE), 0, 2)],
    ['version 2', changed(EXAMPLE, [0, 2])],
    ['no version', changed(EXAMPLE, [0, undefined])],
    ['kind 5', changed(EXAMPLE, [1, 5])],
    ['no kind', changed(EXAMPLE, [1, undefined])],
    ['negative time', changed(EXAMPLE, [2, -1])],
    ['no time', changed(EXAMPLE, [2, undefined])],
    ['no keys', changed(EXAMPLE, [3, []])],
    ['17 keys', changed(EXAMPLE, [3, Array.from({ length: 17 }, (_, i) => id(i))])],
    ['keys out of order', changed(EXAMPLE, [3, [id(2), id(1)]])],
    ['a key twice', changed(EXAMPLE, [3, [id(1), id(1)]])],
    ['a short key', changed(EXAMPLE, [3, [id(1).subarray(1)]])],
    ['a key of text', changed(EXAMPLE, [3, ['x']])],
    ['no payload type', changed(EXAMPLE, [4, undefined])],
    ['empty payload type', changed(EXAMPLE, [4, ''])],
    ['no type', changed(EXAMPLE, [5, undefined])],
    ['type of bytes', changed(EXAMPLE, [5, id(1)])],
    ['no artifacts', changed(EXAMPLE, [6, undefined])],
    ['65 artifacts', changed(EXAMPLE, [6, Array.from({ length: 65 }, (_, i) => [1, 'sha256', id(i)])])],
    ['role 4', changed(EXAMPLE, [6, [[4, 'sha256', id(1)]]])],
    ['artifact of two', changed(EXAMPLE, [6, [[1, 'sha256']]])],
    [
      'artifacts out of order',
      changed(EXAMPLE, [
        6,
        [
          [2, 'sha256', id(1)],
          [1, 'sha256', id(1)],
        ],
      ]),
    ],
    [
      'an artifact twice',
      changed(EXAMPLE, [
        6,
        [
          [1, 'sha256', id(1)],
          [1, 'sha256', id(1)],
        ],
      ]),
    ],
    ['empty digest', changed(EXAMPLE, [6, [[1, 'sha256', new Uint8Array(0)]]])],
    ['no addendum', changed(EXAMPLE, [7, undefined])],
    ['addendum of 31 bytes', changed(EXAMPLE, [7, id(1).subarray(1)])],
    ['batch of one', changed(batched, [8, [4]])],
    ['batch null', changed(batched, [8, null])],
    ['no policy', changed(EXAMPLE, [9, undefined])],
    ['hidden 0', changed(EXAMPLE, [11, 0])],
    ['hidden null', changed(EXAMPLE, [11, null])],
    ['hidden negative', changed(EXAMPLE, [11, -1])],
    ['redaction in an event', changed(EXAMPLE, [10, [[1], 'r']])],
    ['key 12', changed(EXAMPLE, [12, 0])],
    ['a text key', changed(EXAMPLE, ['x', 0])],
    ['policy in a genesis', changed(genesis, [9, 0])],
    ['type in a batch header', changed({ ...EXAMPLE, kind: BATCH } as unknown as Entry, [5, 'x'])],
    ['keys in a redaction', changed(redaction, [3, [id(1)]])],
    ['nothing redacted', changed(redaction, [10, [[], 'r']])],
    ['indexes out of order', changed(redaction, [10, [[2, 1], 'r']])],
    ['an index twice', changed(redaction, [10, [[2, 2], 'r']])],
    ['no reason', changed(redaction, [10, [[2]]])],
    ['empty reason', changed(redaction, [10, [[2], '']])],
  ] as const) {
    t.throws(() => decodeEntry(entry), { code: 'MALFORMED_ENTRY' }, name)
  }
  t.end()
})

t.test('a flipped bit makes another entry or none', (t) => {
  const bytes = encodeEntry(EXAMPLE)
  const wrong: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = new Uint8Array(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    try {
      if (!equal(encodeEntry(decodeEntry(flipped)), flipped)) wrong.push(bit)
    } catch (error) {
      if ((error as { code?: string }).code !== 'MALFORMED_ENTRY') wrong.push(bit)
    }
  }
  t.same(wrong, [])
  t.end()
})

t.test('size', (t) => {
  const sized = (length: number): Entry => ({ ...EXAMPLE, type: 'x'.repeat(length) })
  const room = 65_535 - encodeEntry(sized(40_000)).length + 40_000
  t.equal(encodeEntry(sized(room)).length, 65_535)
  t.same(decodeEntry(encodeEntry(sized(room))), sized(room))
  for (const length of [room + 1, room + 9, room + 10, 70_000, 5_000_000]) {
    t.throws(() => encodeEntry(sized(length)), { code: 'ENTRY_TOO_LARGE' }, `${length}`)
  }
  const most = Array.from({ length: 64 }, (_, i) => ({
    role: 3 as const,
    algorithm: 'a'.repeat(64),
    digest: new Uint8Array(64).fill(i),
  }))
  t.ok(encodeEntry({ ...EXAMPLE, artifacts: most }).length < 10_000, 'no artifacts are too many')
  t.end()
})

t.test('addendumDigest trusts nothing but the trailer', (t) => {
  const bytes = encodeEntry(EXAMPLE)
  t.same(addendumDigest(bytes), EXAMPLE.addendum)
  t.same(addendumDigest(concat(Uint8Array.of(1), bytes).subarray(1)), EXAMPLE.addendum, 'in a view of a bundle')
  const at = (offset: number, count = 1) => concat(new Uint8Array(40), u32(offset), Uint8Array.of(count))
  t.same(addendumDigest(at(8)), new Uint8Array(32))
  for (const [name, entry] of [
    ['past the map', at(9)],
    ['far past', at(0xffff_ffff)],
    ['count 0', at(8, 0)],
    ['count 2', at(8, 2)],
    ['only a trailer', fromHex('0000000001')!],
    ['four bytes', fromHex('00000001')!],
    ['empty', new Uint8Array(0)],
  ] as const) {
    t.throws(() => addendumDigest(entry), { code: 'MALFORMED_ENTRY' }, name)
  }
  t.end()
})

t.test('an item that gets its place late is what it would have been', (t) => {
  const time = fc.integer({ min: 2 ** 32, max: 2 ** 45 })
  const header = fc.oneof(fc.nat(300), fc.nat(70_000), fc.maxSafeInteger().map(Math.abs))
  const items = anyEntry.filter((entry) => entry.kind === EVENT)
  fc.assert(
    fc.property(items, time, time, header, header, index, (entry, guessed, at, first, second, position) => {
      const placed = (when: number, where: number) =>
        encodeEntry({ ...entry, time: when, batch: { header: where, position } } as Entry)
      const bytes = placed(guessed, first)
      const before = bytes.slice()
      const stamped = stampItem(bytes, at, encodeUint(second))
      const alike = encodeUint(first).length === encodeUint(second).length
      return stamped === alike && equal(bytes, alike ? placed(at, second) : before)
    }),
  )
  const item = encodeEntry({ ...EXAMPLE, time: 2 ** 32, batch: { header: 1, position: 0 } } as Entry)
  t.throws(() => stampItem(item, 2 ** 32 - 1, encodeUint(2)), RangeError)
  t.end()
})

t.test('from a signed statement to its entry, golden', (t) => {
  const { key, sign } = ed25519Signer(1)
  const payload = toUtf8(
    `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"${'ab'.repeat(32)}"}}],` +
      '"predicateType":"urn:treeline:training:v1","predicate":{"origin":"example.com/log","consumed":[],"parameters":{}}}',
  )
  const canonical = canonicalOf(IN_TOTO, payload, [{ key, sign }])
  const salt = blinding(new Uint8Array(32).fill(7), canonical)
  const addendum = joinAddendum(salt, canonical)
  t.same(splitAddendum(addendum), { salt, document: canonical })
  t.equal(toHex(salt), 'fca9f067ee5875db7c8e848dcf8304e3')
  t.equal(toHex(addendumHash(addendum)), '5b9ca300641210dcf9109347496756f184dff8de1b87e76d6b4999b72d44f040')
  const description = describe(
    { keys: [fromHex(key.id)!], payloadType: IN_TOTO, payload },
    { produces: [], private: [] },
  )
  const entry = encodeEntry({
    kind: EVENT,
    time: 1_700_000_000_000,
    addendum: addendumHash(addendum),
    policy: 0,
    ...description,
  })
  t.equal(
    toHex(entry),
    'a900010101021b0000018bcfe5680003815820fd110d301d2f077de1414b8f99f441b1403fab207b2052fbd2c065e4ee8e7dc204781c6170706c69636174696f6e2f766e642e696e2d746f746f2b6a736f6e05781875726e3a747265656c696e653a747261696e696e673a763106818301667368613235365820abababababababababababababababababababababababababababababababab0758205b9ca300641210dcf9109347496756f184dff8de1b87e76d6b4999b72d44f04009000000009d01',
  )
  t.same(decodeCbor(entry.subarray(0, -5)) instanceof Map, true)
  t.throws(() => joinAddendum(salt, new Uint8Array(4 * 1024 * 1024 - 15)), { code: 'BODY_TOO_LARGE' })
  t.throws(() => joinAddendum(salt.subarray(1), canonical), TypeError)
  t.throws(() => splitAddendum(salt.subarray(1)), { code: 'INVALID_LOG' })
  t.end()
})
