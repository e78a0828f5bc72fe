/** Signed batches before they have a place in a log: the header judged by itself, then the items while they come in. */
import { addendumHash } from '../core/addendum.ts'
import { type BatchHeader, parseBatchHeader } from '../core/batch.ts'
import { fromHex } from '../core/bytes.ts'
import { canonicalEnvelope, type Envelope, type KeyRing, parseEnvelope, verifyEnvelope } from '../core/dsse.ts'
import type { JudgingPolicy } from '../core/entry-rules.ts'
import { TreelineError } from '../core/errors.ts'
import type { Hash } from '../core/merkle.ts'
import type { VerifySignature } from '../core/signature.ts'
import type { BatchBody } from './batch-body.ts'
import { at, BatchItems } from './batch-items.ts'

/** Memory of all batches of a log that are coming in or waiting, bytes: past it, QUEUE_FULL. */
export const MAX_BATCH_MEMORY = 256 * 2 ** 20

/** A header whose signatures are verified. */
export interface SignedHeader {
  /** As it came. */
  readonly envelope: Envelope
  readonly header: BatchHeader
  /** Ids of the keys that signed. */
  readonly keys: readonly Uint8Array[]
  /** The envelope in canonical form, which is what is kept. */
  readonly document: Uint8Array
  /** Of the document: what finds duplicates. */
  readonly digest: Hash
}

/** Throws what `parseEnvelope`, `verifyEnvelope` and `parseBatchHeader` do. */
export function verifyHeader(bytes: Uint8Array, ring: KeyRing, verify: VerifySignature): SignedHeader {
  const envelope = parseEnvelope(bytes)
  const verified = verifyEnvelope(envelope, ring, verify)
  const header = parseBatchHeader(envelope)
  const document = canonicalEnvelope(envelope, verified)
  const keys = verified.map(({ key }) => fromHex(key.id)!)
  return { envelope, header, keys, document, digest: addendumHash(document) }
}

/** The batches of one log that one thread has in memory. */
export class BatchIntake {
  readonly #origin: string
  readonly #most: number
  #bytes = 0

  /** `most`: bytes of memory of all of them. */
  constructor(origin: string, most: number) {
    this.#origin = origin
    this.#most = most
  }

  /**
   * Reads the items and judges each by the policy; `use` gets them when all are there, and until it ends they count. Throws WRONG_ORIGIN, what the
   * judgement does, BAD_SIGNATURE, QUEUE_FULL, and what `use` does.
   */
  async gather<T>(
    body: BatchBody,
    { header, keys }: SignedHeader,
    by: JudgingPolicy,
    use: (items: BatchItems) => Promise<T>,
  ): Promise<T> {
    if (header.origin !== this.#origin)
      throw new TreelineError('WRONG_ORIGIN', `the batch is made for ${header.origin}, this log is ${this.#origin}`)
    const items = new BatchItems(header, keys, by, Date.now())
    try {
      while (items.count < header.size) {
        const { count, bytes } = items
        items.take(at(count, () => body.ready()) ?? (await body.item(count)))
        this.#bytes += items.bytes - bytes
        if (this.#bytes > this.#most)
          throw new TreelineError('QUEUE_FULL', 'the log takes more batches now than it can hold: try again later')
      }
      await body.end()
      items.requireWhole()
      return await use(items)
    } finally {
      this.#bytes -= items.bytes
    }
  }
}
