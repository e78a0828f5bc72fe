/**
 * The entries of a log: a deterministic CBOR map, then a C2SP tlog-addenda trailer with one offset, that of key 7.
 *
 *   genesis at 1,700,000,000,000 ms:  a4  00 01  01 00  02 1b0000018bcfe56800  07 5820 <32 bytes>   00000012 01
 */
import { type Artifact, CONSUMED, EXAMINED, MAX_ARTIFACTS, PRODUCED } from './artifact.ts'
import { compare, equal } from './bytes.ts'
import { type Cbor, decodeCbor } from './cbor.ts'
import { CborWriter } from './cbor-writer.ts'
import type { Description } from './describe.ts'
import { MAX_ENVELOPE_SIGNATURES } from './dsse.ts'
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash } from './merkle.ts'
import { MAX_ENTRY_SIZE } from './tile.ts'

export const GENESIS = 0
export const EVENT = 1
export const POLICY = 2
export const REDACTION = 3
export const BATCH = 4

/** As documents for people and programs call them. */
export const KIND_NAMES = {
  [GENESIS]: 'genesis',
  [EVENT]: 'event',
  [POLICY]: 'policy',
  [REDACTION]: 'redaction',
  [BATCH]: 'batch',
} as const

interface Common {
  /** Key 2: when the log accepted it, ms since the Unix epoch. */
  readonly time: number
  /** Key 7: SHA-256 of the addendum. */
  readonly addendum: Hash
}

interface UnderPolicy extends Common {
  /** Key 9: index of the policy in force. */
  readonly policy: number
}

/** Keys 3 to 6 and 11 are what `describe` says of the addendum. */
export interface EventEntry extends UnderPolicy, Description {
  readonly kind: typeof EVENT
  /** Key 8, in events of a signed batch. */
  readonly batch?: { readonly header: number; readonly position: number }
}

interface BatchEntry extends UnderPolicy, Pick<Description, 'keys' | 'payloadType'> {
  readonly kind: typeof BATCH
}

interface RedactionEntry extends UnderPolicy {
  readonly kind: typeof REDACTION
  /** Key 10: the redacted indexes, ascending, and a code that says why. */
  readonly indexes: readonly number[]
  readonly reason: string
}

interface DocumentEntry extends Common {
  readonly kind: typeof GENESIS | typeof POLICY
}

export type Entry = EventEntry | BatchEntry | RedactionEntry | DocumentEntry

const FORMAT_VERSION = 1
/** Offset as four bytes, and the count of offsets. */
const TRAILER_SIZE = 5

// One buffer for all: encoding is synchronous, and 64 KiB of zeros an entry would cost more than the encoding.
const writer = new CborWriter(MAX_ENTRY_SIZE + 9)

/** Trusts its argument but for size. Throws ENTRY_TOO_LARGE. */
export function encodeEntry(entry: Entry): Uint8Array {
  writer.reset()
  try {
    write(entry)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw tooLarge()
  }
  if (writer.length > MAX_ENTRY_SIZE) throw tooLarge()
  return writer.take()
}

const tooLarge = (): TreelineError =>
  new TreelineError('ENTRY_TOO_LARGE', `the entry would have more than ${MAX_ENTRY_SIZE} bytes`)

function write(entry: Entry): void {
  const { kind, time, addendum } = entry
  writer.map(mapSize(entry))
  writer.uint(0)
  writer.uint(FORMAT_VERSION)
  writer.uint(1)
  writer.uint(kind)
  writer.uint(2)
  writer.uint(time)
  if (kind === EVENT || kind === BATCH) {
    writer.uint(3)
    writer.array(entry.keys.length)
    for (const key of entry.keys) writer.bytes(key)
    writer.uint(4)
    writer.text(entry.payloadType)
  }
  if (kind === EVENT) {
    writer.uint(5)
    writer.text(entry.type)
    writer.uint(6)
    writer.array(entry.artifacts.length)
    for (const artifact of entry.artifacts) writeArtifact(writer, artifact)
  }
  writer.uint(7)
  writer.bytes(addendum)
  const offset = writer.length - HASH_SIZE
  if (kind === EVENT && entry.batch !== undefined) {
    writer.uint(8)
    writer.array(2)
    writer.uint(entry.batch.header)
    writer.uint(entry.batch.position)
  }
  if (kind === EVENT || kind === BATCH || kind === REDACTION) {
    writer.uint(9)
    writer.uint(entry.policy)
  }
  if (kind === REDACTION) {
    writer.uint(10)
    writer.array(2)
    writer.array(entry.indexes.length)
    for (const index of entry.indexes) writer.uint(index)
    writer.text(entry.reason)
  }
  if (kind === EVENT && entry.hidden > 0) {
    writer.uint(11)
    writer.uint(entry.hidden)
  }
  writer.raw(Uint8Array.of(0, 0, offset >> 8, offset & 0xff, 1))
}

function mapSize(entry: Entry): number {
  if (entry.kind === EVENT) return 9 + (entry.batch === undefined ? 0 : 1) + (entry.hidden > 0 ? 1 : 0)
  return { [GENESIS]: 4, [POLICY]: 4, [REDACTION]: 6, [BATCH]: 7 }[entry.kind]
}

function writeArtifact(to: CborWriter, { role, algorithm, digest }: Artifact): void {
  to.array(3)
  to.uint(role)
  to.text(algorithm)
  to.bytes(digest)
}

const malformed = (why: string, cause?: unknown): TreelineError =>
  new TreelineError('MALFORMED_ENTRY', `not an entry: ${why}`, {}, { cause })

/** Byte strings of the result are views of `bytes`. Throws MALFORMED_ENTRY. */
export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes.length > MAX_ENTRY_SIZE) throw malformed(`more than ${MAX_ENTRY_SIZE} bytes`)
  let map: Cbor
  try {
    map = decodeCbor(bytes.subarray(0, Math.max(0, bytes.length - TRAILER_SIZE)))
  } catch (error) {
    throw malformed('the map is not deterministic CBOR', error)
  }
  if (!(map instanceof Map)) throw malformed('no map')
  const entry = read(map)
  // Keys that the kind does not have, and every fault of the trailer, show here.
  if (!equal(encodeEntry(entry), bytes)) throw malformed('it would be encoded differently')
  return entry
}

function read(map: ReadonlyMap<number | string, Cbor>): Entry {
  if (map.get(0) !== FORMAT_VERSION) throw malformed('an unknown version')
  const kind = map.get(1)
  const common = { time: uint(map.get(2)), addendum: blob(map.get(7), HASH_SIZE) }
  if (kind === GENESIS || kind === POLICY) return { kind, ...common }
  const policy = uint(map.get(9))
  if (kind === REDACTION) {
    const [indexes, reason] = list(map.get(10), 2, 2) as [Cbor, Cbor]
    return { kind, ...common, policy, indexes: ascending(list(indexes, 1).map(uint)), reason: text(reason) }
  }
  const signed = {
    keys: sorted(
      list(map.get(3), 1, MAX_ENVELOPE_SIGNATURES).map((id) => blob(id, HASH_SIZE)),
      (id) => id,
    ),
    payloadType: text(map.get(4)),
  }
  if (kind === BATCH) return { kind, ...common, ...signed, policy }
  if (kind !== EVENT) throw malformed('an unknown kind')
  const batch = map.get(8)
  return {
    kind,
    ...common,
    ...signed,
    type: text(map.get(5)),
    artifacts: sorted(list(map.get(6), 0, MAX_ARTIFACTS).map(artifact), encodeArtifact),
    hidden: uint(map.get(11) ?? 0),
    ...(batch === undefined ? {} : { batch: batchPosition(batch) }),
    policy,
  }
}

function batchPosition(value: Cbor): { header: number; position: number } {
  const [header, position] = list(value, 2, 2) as [Cbor, Cbor]
  return { header: uint(header), position: uint(position) }
}

function artifact(value: Cbor): Artifact {
  const [role, algorithm, digest] = list(value, 3, 3) as [Cbor, Cbor, Cbor]
  if (role !== PRODUCED && role !== CONSUMED && role !== EXAMINED) throw malformed('an unknown role')
  return { role, algorithm: text(algorithm), digest: blob(digest) }
}

function encodeArtifact(artifact: Artifact): Uint8Array {
  writer.reset()
  writeArtifact(writer, artifact)
  return writer.take()
}

function uint(value: Cbor | undefined): number {
  if (typeof value !== 'number' || value < 0) throw malformed('a number is missing')
  return value
}

function text(value: Cbor | undefined): string {
  if (typeof value !== 'string' || value === '') throw malformed('a text is missing')
  return value
}

function blob(value: Cbor | undefined, size?: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed('a byte string is missing')
  if (value.length === 0 || value.length !== (size ?? value.length)) throw malformed('a byte string of another length')
  return value
}

function list(value: Cbor | undefined, min: number, max = Number.POSITIVE_INFINITY): readonly Cbor[] {
  if (!Array.isArray(value) || value.length < min || value.length > max) throw malformed('an array is missing')
  return value
}

function ascending(numbers: readonly number[]): readonly number[] {
  if (numbers.some((n, i) => i > 0 && n <= numbers[i - 1]!)) throw malformed('indexes out of order')
  return numbers
}

function sorted<T>(items: readonly T[], encode: (item: T) => Uint8Array): readonly T[] {
  const encoded = items.map(encode)
  if (encoded.some((bytes, i) => i > 0 && compare(encoded[i - 1]!, bytes) >= 0)) throw malformed('items out of order')
  return items
}

/** Behind the head of the map, the version, the kind, key 2, and the head of eight bytes. */
const TIME_OFFSET = 7
const EIGHT_BYTES = 0x1b

/**
 * Puts another time into an encoded entry, in place: all times since 1970-02-19 take the same eight bytes. Throws RangeError for one
 * before that, there or here.
 */
export function stampEntry(entry: Uint8Array, time: number): void {
  if (entry[TIME_OFFSET - 1] !== EIGHT_BYTES || time < 2 ** 32) throw new RangeError(`a time of less than 2^32 ms`)
  new DataView(entry.buffer, entry.byteOffset).setBigUint64(TIME_OFFSET, BigInt(time))
}

/**
 * The digest that the trailer points to, without decoding the map: hot paths read it of entries that are their own.
 * Throws MALFORMED_ENTRY when there is not exactly one, inside of the map.
 */
export function addendumDigest(entry: Uint8Array): Hash {
  const trailer = entry.length - TRAILER_SIZE
  if (trailer < 0 || entry.at(-1) !== 1) throw malformed('no trailer with one offset')
  const offset = new DataView(entry.buffer, entry.byteOffset + trailer).getUint32(0)
  if (offset + HASH_SIZE > trailer) throw malformed('the offset points past the map')
  return entry.subarray(offset, offset + HASH_SIZE)
}
