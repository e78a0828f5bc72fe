/**
 * Signed batches: one signature over many events. The header is a DSSE envelope of `{"origin","payloadType","size","root"}`; the root is that of an RFC 6962
 * tree over the digests (key 7) of the items. An item is 16 bytes of blinding, which the client chooses, and the raw payload. In the log the items follow their
 * header, so that the path of one is computed from the entries beside it, also when those were redacted.
 *
 * A worked example is in docs/formats.md.
 */
import { concat, equal, fromBase64, toBase64, toUtf8, u32 } from './bytes.ts'
import { CompactRange } from './compact-range.ts'
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash, inclusionRanges, leafHash, nodeHash, proveRanges, verifyInclusion } from './merkle.ts'
import { CLOUDEVENTS, IN_TOTO, isObject } from './payload.ts'
import { parseJson } from './strict-json.ts'

/** Payload type of the envelope that is the header. */
export const BATCH_HEADER = 'application/vnd.treeline.batch.v1+json'
/** Media type of a header and its items on their way to a log. */
export const BATCH_BODY = 'application/vnd.treeline.batch'
export const MAX_BATCH_ITEMS = 10_000
/** Of the frame that is the header, bytes: an envelope of few members with 16 signatures. */
export const MAX_BATCH_HEADER = 65_535

export interface BatchHeader {
  /** Of the log that it is made for. */
  readonly origin: string
  /** Of every item. */
  readonly payloadType: string
  readonly size: number
  readonly root: Hash
}

const MEMBERS = ['origin', 'payloadType', 'size', 'root']

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_PAYLOAD', `not the header of a batch: ${why}`)

export const formatBatchHeader = ({ origin, payloadType, size, root }: BatchHeader): Uint8Array =>
  toUtf8(JSON.stringify({ origin, payloadType, size, root: toBase64(root) }))

/** Takes the payload of an envelope. Throws MALFORMED_PAYLOAD, DUPLICATE_JSON_KEY, TOO_DEEP. */
export function parseBatchHeader({
  payloadType: type,
  payload,
}: {
  readonly payloadType: string
  readonly payload: Uint8Array
}): BatchHeader {
  if (type !== BATCH_HEADER) throw malformed(`its payload type is not ${BATCH_HEADER}`)
  const document = parseJson(payload, 'MALFORMED_PAYLOAD')
  if (!isObject(document)) throw malformed('not an object')
  for (const name of Object.keys(document))
    if (!MEMBERS.includes(name)) throw malformed(`it has the unknown member ${JSON.stringify(name.slice(0, 64))}`)
  const { origin, payloadType, size, root } = document
  if (typeof origin !== 'string' || origin === '') throw malformed('origin is not a text')
  if (payloadType !== IN_TOTO && payloadType !== CLOUDEVENTS)
    throw malformed(`payloadType is neither ${IN_TOTO} nor ${CLOUDEVENTS}`)
  if (!Number.isSafeInteger(size) || (size as number) < 1 || (size as number) > MAX_BATCH_ITEMS)
    throw malformed(`size is not a number from 1 to ${MAX_BATCH_ITEMS}`)
  const hash = typeof root === 'string' ? fromBase64(root) : undefined
  if (hash?.length !== HASH_SIZE) throw malformed('root is not base64 of 32 bytes')
  return { origin, payloadType, size: size as number, root: hash }
}

/** The tree of a batch while its digests come in; a leaf is the digest of an item. */
export class BatchRoot {
  readonly #range: CompactRange

  private constructor(range: CompactRange) {
    this.#range = range
  }

  static empty(): BatchRoot {
    return new BatchRoot(CompactRange.empty())
  }

  /** From what `hashes` gave. Throws RangeError when their number is not that of a tree of `size`. */
  static of(size: number, hashes: readonly Hash[]): BatchRoot {
    return new BatchRoot(CompactRange.of(size, hashes))
  }

  get size(): number {
    return this.#range.size
  }

  get hashes(): readonly Hash[] {
    return this.#range.hashes
  }

  add(digest: Hash): void {
    this.#range.append(leafHash(digest))
  }

  root(): Hash {
    return this.#range.root()
  }
}

/** The whole tree of a batch, for paths. */
export class BatchTree {
  readonly #levels: Hash[][]
  readonly size: number

  constructor(digests: readonly Hash[]) {
    this.size = digests.length
    this.#levels = [digests.map(leafHash)]
    for (let below = this.#levels[0]!; below.length > 1; below = this.#levels.at(-1)!)
      this.#levels.push(Array.from({ length: below.length >> 1 }, (_, i) => nodeHash(below[2 * i]!, below[2 * i + 1]!)))
  }

  /** Leaf's sibling first. */
  path(position: number): Hash[] {
    return proveRanges(inclusionRanges(position, this.size), ({ height, index }) => this.#levels[height]![index]!)
  }
}

/** Whether the item with this digest stands at `position` of the batch. */
export const verifyBatchPath = (
  { size, root }: BatchHeader,
  position: number,
  digest: Hash,
  path: readonly Hash[],
): boolean => verifyInclusion(BigInt(position), BigInt(size), leafHash(digest), path, root)

/** Frames of a body: a length of four bytes, then as many: the envelope of the header first, then the addendum of each item. */
export const formatFrame = (bytes: Uint8Array): Uint8Array => concat(u32(bytes.length), bytes)

const LENGTH = 4

/** Takes frames out of the chunks of a body. What it holds of an unfinished frame is bounded by the chunk it came in and by the frame's limit. */
export class FrameReader {
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  /** Chunks of a frame that is larger than one. */
  #more: Uint8Array[] = []
  #held = 0

  push(chunk: Uint8Array): void {
    if (this.#held === 0 && this.#at === this.#bytes.length) {
      this.#bytes = chunk
      this.#at = 0
    } else {
      this.#more.push(chunk)
      this.#held += chunk.length
    }
  }

  /** Whether bytes are left that were not taken. */
  get rest(): boolean {
    return this.#available > 0
  }

  get #available(): number {
    return this.#bytes.length - this.#at + this.#held
  }

  /** The next frame, or undefined until more bytes come; a view of the chunk that it came in where it came in one. Throws what `tooLarge` makes of a longer one. */
  next(most: number, tooLarge: (length: number) => TreelineError): Uint8Array | undefined {
    if (this.#available < LENGTH) return undefined
    if (this.#bytes.length - this.#at < LENGTH) this.#join()
    const bytes = this.#bytes
    const at = this.#at
    const length = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
    if (length > most) throw tooLarge(length)
    if (this.#available < LENGTH + length) return undefined
    if (bytes.length - at < LENGTH + length) this.#join()
    const start = this.#at + LENGTH
    this.#at = start + length
    return this.#bytes.subarray(start, this.#at)
  }

  #join(): void {
    this.#bytes = concat(this.#bytes.subarray(this.#at), ...this.#more)
    this.#at = 0
    this.#more = []
    this.#held = 0
  }
}

/** Whether the tree of the items is the one that was signed. */
export const isWhole = ({ size, root }: BatchHeader, items: BatchRoot): boolean =>
  items.size === size && equal(items.root(), root)
