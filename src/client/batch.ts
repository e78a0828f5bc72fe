/**
 * A signed batch made from a file of payloads, one JSON document a line, each sent as it stands there. The file is read twice, once for the root that is signed
 * and once to be sent. Salts follow from the private key, the line and its place: the same file by the same Ed25519 key is the same batch, which a log
 * knows when it comes again (signatures of P-256 differ each time).
 */
import { createReadStream, readFileSync } from 'node:fs'
import { hmacSha256 } from '#platform'
import { addendumHash, BLINDING_SIZE, joinAddendum } from '../core/addendum.ts'
import {
  BATCH_HEADER,
  type BatchHeader,
  BatchRoot,
  FrameReader,
  formatBatchHeader,
  formatFrame,
  MAX_BATCH_HEADER,
  MAX_BATCH_ITEMS,
  parseBatchHeader,
} from '../core/batch.ts'
import { concat, equal, fromUtf8, u32 } from '../core/bytes.ts'
import { parsePayload } from '../core/describe.ts'
import { type Envelope, parseEnvelope } from '../core/dsse.ts'
import { TreelineError } from '../core/errors.ts'
import { CLOUDEVENTS, IN_TOTO, isObject } from '../core/payload.ts'
import { type SigningKey, signEnvelope } from './signing-key.ts'

/** A batch as it is sent, as often as it takes. */
export interface PreparedBatch {
  /** In canonical form. */
  readonly envelope: Envelope
  readonly header: BatchHeader
  /** Of the body, bytes. */
  readonly length: number
  body(): AsyncIterable<Uint8Array>
}

/** What a log takes in one piece, bytes. */
const MAX_LENGTH = 32 * 2 ** 20
const PIECE = 2 ** 16
const NEWLINE = 0x0a

export interface BatchParts {
  readonly file: string
  /** Of the log. */
  readonly origin: string
  readonly keys: readonly SigningKey[]
  /** Told how many bytes of the file are read. */
  readonly progress?: (done: number) => void
}

/** Judges every line as a log would. Throws USAGE for what no log would take, and names the line. */
export async function prepareBatch({ file, origin, keys, progress }: BatchParts): Promise<PreparedBatch> {
  const [first] = [...keys].sort((a, b) => (a.publicKey.id < b.publicKey.id ? -1 : 1))
  if (first === undefined) throw new TreelineError('USAGE', 'a batch is signed: give a key')
  const secret = first.derive(`treeline batch salt v1\n${origin}`)
  const salted = (payload: Uint8Array, position: number): Uint8Array =>
    joinAddendum(hmacSha256(secret, concat(u32(position), payload)).subarray(0, BLINDING_SIZE), payload)
  const root = BatchRoot.empty()
  let payloadType: string | undefined
  let length = 0
  for await (const line of linesOf(file, progress)) {
    const number = root.size + 1
    payloadType ??= inLine(number, () => payloadTypeOf(line))
    inLine(number, () => parsePayload(payloadType!, line))
    const addendum = inLine(number, () => salted(line, root.size))
    root.add(addendumHash(addendum))
    length += addendum.length + 4
    if (root.size > MAX_BATCH_ITEMS || length > MAX_LENGTH)
      throw usage(
        `${file} is more than one batch: at most ${MAX_BATCH_ITEMS} lines and ${MAX_LENGTH >> 20} MiB, so split it`,
      )
  }
  if (payloadType === undefined) throw usage(`${file} has no lines`)
  const header = { origin, payloadType, size: root.size, root: root.root() }
  const document = signEnvelope(BATCH_HEADER, formatBatchHeader(header), keys)
  const head = formatFrame(document)
  return {
    envelope: parseEnvelope(document),
    header,
    length: head.length + length,
    async *body() {
      yield* inPieces(framesOf(head, file, salted, header))
    },
  }
}

async function* framesOf(
  head: Uint8Array,
  file: string,
  salted: (payload: Uint8Array, position: number) => Uint8Array,
  header: BatchHeader,
): AsyncGenerator<Uint8Array> {
  yield head
  const root = BatchRoot.empty()
  for await (const line of linesOf(file)) {
    const addendum = salted(line, root.size)
    root.add(addendumHash(addendum))
    yield formatFrame(addendum)
  }
  if (root.size !== header.size || !equal(root.root(), header.root))
    throw usage(`${file} has changed since its batch was signed`)
}

/** A write for each frame would cost more than the frames. */
async function* inPieces(frames: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = []
  let length = 0
  for await (const frame of frames) {
    waiting.push(frame)
    length += frame.length
    if (length < PIECE) continue
    yield concat(...waiting)
    waiting = []
    length = 0
  }
  if (length > 0) yield concat(...waiting)
}

/** A body that was spooled. Throws what its parsers do. */
export function readBatch(file: string): PreparedBatch {
  const bytes = new Uint8Array(readFileSync(file))
  const frames = new FrameReader()
  frames.push(bytes)
  const head = frames.next(MAX_BATCH_HEADER, () => usage(`${file} is no batch`))
  if (head === undefined) throw usage(`${file} is no batch`)
  const envelope = parseEnvelope(head)
  return {
    envelope,
    header: parseBatchHeader(envelope),
    length: bytes.length,
    async *body() {
      for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE)
    },
  }
}

/** The bytes between newlines; the last line may lack its own. */
async function* linesOf(file: string, progress?: (done: number) => void): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0)
  let done = 0
  for await (const chunk of chunksOf(file)) {
    done += chunk.length
    // A copy, and no Buffer: the core may keep what it is given.
    const bytes = concat(rest, chunk)
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      yield bytes.subarray(start, end)
      start = end + 1
    }
    rest = bytes.subarray(start)
    if (rest.length > MAX_LENGTH) throw usage(`${file} has a line that is larger than a batch`)
    progress?.(done)
  }
  if (rest.length > 0) yield rest
}

async function* chunksOf(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file, { highWaterMark: 2 ** 18 }) as AsyncIterable<Buffer>
  } catch (error) {
    throw usage(`${file} cannot be read: ${(error as Error).message}`, error)
  }
}

function payloadTypeOf(line: Uint8Array): string {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(line) ?? '')
  } catch {
    value = undefined
  }
  if (isObject(value) && '_type' in value !== 'specversion' in value) return '_type' in value ? IN_TOTO : CLOUDEVENTS
  throw new TreelineError('MALFORMED_PAYLOAD', 'neither an in-toto Statement (_type) nor a CloudEvent (specversion)')
}

function inLine<T>(number: number, judge: () => T): T {
  try {
    return judge()
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw usage(`line ${number}: ${error.message}`, error)
  }
}

const usage = (why: string, cause?: unknown): TreelineError => new TreelineError('USAGE', why, {}, { cause })

/** For a spool: the whole body. */
export async function bodyOf(batch: PreparedBatch): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of batch.body()) pieces.push(piece)
  return concat(...pieces)
}
