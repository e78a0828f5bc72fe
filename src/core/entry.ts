/**
 * The entries of a log: a deterministic CBOR map, then a C2SP tlog-addenda trailer with one offset, that of key 7.
 *
 * Long, because a format's two directions are read side by side.
 *
 *   genesis at 1,700,000,000,000 ms:  a4  00 01  01 00  02 1b0000018bcfe56800  07 5820 <32 bytes>   00000012 01
 */
import { type Artifact, MAX_ARTIFACTS, ROLE_NAMES, type Role } from './artifact.ts'
import { compare, equal } from './bytes.ts'
import { CborReader } from './cbor-reader.ts'
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

export interface BatchEntry extends UnderPolicy, Pick<Description, 'keys' | 'payloadType'> {
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
export const encodeEntry = (entry: Entry): Uint8Array => encoded(entry).slice()

/** A view of the one buffer. */
function encoded(entry: Entry): Uint8Array {
  writer.reset()
  try {
    write(entry)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw tooLarge()
  }
  if (writer.length > MAX_ENTRY_SIZE) throw tooLarge()
  return writer.written
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
  const map = bytes.subarray(0, Math.max(0, bytes.length - TRAILER_SIZE))
  let entry: Entry
  try {
    entry = read(new CborReader(map), map)
  } catch (error) {
    if (error instanceof TreelineError && error.code === 'MALFORMED_CBOR')
      throw malformed('the map is not deterministic CBOR', error)
    throw error
  }
  // Longer numbers, other keys than the kind has, what follows the map, and every fault of the trailer show here.
  if (!equal(encoded(entry), bytes)) throw malformed('it would be encoded differently')
  return entry
}

/** The members in the order of their keys, which is the only one. */
function read(from: CborReader, bytes: Uint8Array): Entry {
  from.map()
  key(from, 0)
  if (from.uint() !== FORMAT_VERSION) throw malformed('an unknown version')
  key(from, 1)
  const kind = from.uint()
  key(from, 2)
  const time = uint(from)
  if (kind === EVENT) return readEvent(from, bytes, time)
  if (kind === BATCH) {
    const signed = readSigned(from)
    const addendum = readAddendum(from)
    return { kind, time, addendum, ...signed, policy: readPolicy(from) }
  }
  const addendum = readAddendum(from)
  if (kind === GENESIS || kind === POLICY) return { kind, time, addendum }
  if (kind !== REDACTION) throw malformed('an unknown kind')
  const policy = readPolicy(from)
  key(from, 10)
  length(from, 2, 2)
  const indexes = ascending(list(length(from, 1), () => uint(from)))
  return { kind, time, addendum, policy, indexes, reason: text(from) }
}

function readEvent(from: CborReader, bytes: Uint8Array, time: number): EventEntry {
  const signed = readSigned(from)
  key(from, 5)
  const type = text(from)
  key(from, 6)
  const artifacts = readArtifacts(from, bytes)
  const addendum = readAddendum(from)
  const batch = from.isNext(8) ? readBatchPosition(from) : undefined
  const policy = readPolicy(from)
  const hidden = from.isNext(11) ? uint(from) : 0
  const entry = { kind: EVENT, time, addendum, ...signed, type, artifacts, hidden, policy } as const
  return batch === undefined ? entry : { ...entry, batch }
}

function readSigned(from: CborReader): { keys: readonly Uint8Array[]; payloadType: string } {
  key(from, 3)
  const keys = list(length(from, 1, MAX_ENVELOPE_SIGNATURES), () => blob(from, HASH_SIZE))
  if (keys.some((id, i) => i > 0 && compare(keys[i - 1]!, id) >= 0)) throw malformed('keys out of order')
  key(from, 4)
  return { keys, payloadType: text(from) }
}

/** Ordered as they are encoded. */
function readArtifacts(from: CborReader, bytes: Uint8Array): readonly Artifact[] {
  let before: Uint8Array | undefined
  return list(length(from, 0, MAX_ARTIFACTS), () => {
    const start = from.at
    length(from, 3, 3)
    const role = from.uint() as Role
    if (!(role in ROLE_NAMES)) throw malformed('an unknown role')
    const artifact = { role, algorithm: text(from), digest: blob(from) }
    const encoded = bytes.subarray(start, from.at)
    if (before !== undefined && compare(before, encoded) >= 0) throw malformed('artifacts out of order')
    before = encoded
    return artifact
  })
}

function readAddendum(from: CborReader): Hash {
  key(from, 7)
  return blob(from, HASH_SIZE)
}

function readBatchPosition(from: CborReader): { header: number; position: number } {
  length(from, 2, 2)
  return { header: uint(from), position: uint(from) }
}

function readPolicy(from: CborReader): number {
  key(from, 9)
  return uint(from)
}

function key(from: CborReader, small: number): void {
  if (!from.isNext(small)) throw malformed(`key ${small} is missing`)
}

function uint(from: CborReader): number {
  const value = from.uint()
  if (!Number.isSafeInteger(value)) throw malformed('a number past 2^53')
  return value
}

function text(from: CborReader): string {
  const value = from.text()
  if (value === '') throw malformed('a text is missing')
  return value
}

function blob(from: CborReader, size?: number): Uint8Array {
  const value = from.bytes()
  if (value.length === 0 || value.length !== (size ?? value.length)) throw malformed('a byte string of another length')
  return value
}

/** Of an array. */
function length(from: CborReader, min: number, max = Number.POSITIVE_INFINITY): number {
  const value = from.array()
  if (value < min || value > max) throw malformed('an array of another length')
  return value
}

function list<T>(count: number, read: () => T): readonly T[] {
  const items: T[] = []
  for (let i = 0; i < count; i++) items.push(read())
  return items
}

function ascending(numbers: readonly number[]): readonly number[] {
  if (numbers.some((n, i) => i > 0 && n <= numbers[i - 1]!)) throw malformed('indexes out of order')
  return numbers
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

/** Behind the digest: key 8, and the head of an array of two. */
const HEADER_OFFSET = HASH_SIZE + 2

/**
 * Puts another time and another index of its header, as `encodeUint` makes it, into the encoded entry of an item of a batch, in place. False, with nothing changed, when
 * that index takes another number of bytes than the one that is there. Throws RangeError for a time before 1970-02-19, MALFORMED_ENTRY.
 */
export function stampItem(entry: Uint8Array, time: number, header: Uint8Array): boolean {
  const at = digestOffset(entry) + HEADER_OFFSET
  if (uintWidth(entry[at]!) !== header.length) return false
  stampEntry(entry, time)
  entry.set(header, at)
  return true
}

/** Of a number whose first byte is this one, bytes. */
const uintWidth = (head: number): number => (head < 24 ? 1 : 1 + 2 ** (head - 24))

/**
 * The digest that the trailer points to, without decoding the map: hot paths read it of entries that are their own.
 * Throws MALFORMED_ENTRY when there is not exactly one, inside of the map.
 */
export function addendumDigest(entry: Uint8Array): Hash {
  const offset = digestOffset(entry)
  return entry.subarray(offset, offset + HASH_SIZE)
}

function digestOffset(entry: Uint8Array): number {
  const trailer = entry.length - TRAILER_SIZE
  if (trailer < 0 || entry.at(-1) !== 1) throw malformed('no trailer with one offset')
  const offset = new DataView(entry.buffer, entry.byteOffset + trailer).getUint32(0)
  if (offset + HASH_SIZE > trailer) throw malformed('the offset points past the map')
  return offset
}
