/** The items of a signed batch while they come in, each judged and described at once; then, at their place in the log, their entries. */
import { addendumHash, BLINDING_SIZE } from '../core/addendum.ts'
import { type BatchHeader, BatchRoot, isWhole } from '../core/batch.ts'
import { encodeUint } from '../core/cbor-writer.ts'
import { type Description, describe, parsePayload } from '../core/describe.ts'
import { decodeEntry, EVENT, encodeEntry, stampItem } from '../core/entry.ts'
import type { JudgingPolicy } from '../core/entry-rules.ts'
import { TreelineError } from '../core/errors.ts'
import type { Hash } from '../core/merkle.ts'
import { judgeKeys, judgeOrigin, judgeStatement } from '../core/policy-fold.ts'
import type { Signer } from '../core/write-policy.ts'

interface Item {
  readonly addendum: Uint8Array
  readonly digest: Hash
  readonly description: Description
}

/** An item with its entry, which is right in everything but time and place. */
export interface JudgedItem {
  readonly addendum: Uint8Array
  readonly entry: Uint8Array
}

/** What an item costs in memory beside its bytes. */
const OVERHEAD = 1_024

export class BatchItems {
  readonly #header: BatchHeader
  readonly #keys: readonly Uint8Array[]
  readonly #root = BatchRoot.empty()
  #items: Item[] = []
  /** The policy that they were judged and described by. */
  #by: JudgingPolicy
  #signers: readonly Signer[]
  #bytes = 0

  /** The keys are judged here, once for all items. Throws what `judgeKeys` does. */
  constructor(header: BatchHeader, keys: readonly Uint8Array[], by: JudgingPolicy, time: number) {
    this.#header = header
    this.#keys = keys
    this.#by = by
    this.#signers = judgeKeys(by.ring, keys, time)
  }

  get count(): number {
    return this.#items.length
  }

  /** What they cost in memory. */
  get bytes(): number {
    return this.#bytes
  }

  /** Throws what `parsePayload` and the judgement of the policy do, and says which item it is about. */
  take(addendum: Uint8Array): void {
    const item = at(this.count, () => this.#judge(addendum))
    this.#root.add(item.digest)
    this.#items.push(item)
    this.#bytes += addendum.length + OVERHEAD
  }

  /** When all are in. Throws BAD_SIGNATURE. */
  requireWhole(): void {
    if (!isWhole(this.#header, this.#root))
      throw new TreelineError('BAD_SIGNATURE', 'the items do not give the root that the header signs')
  }

  /** Their entries behind the header. `by` is the policy in force there. Throws what `take` and the constructor do. */
  place(header: number, time: number, by: JudgingPolicy): JudgedItem[] {
    this.#signers = judgeKeys(by.ring, this.#keys, time)
    if (by !== this.#by) {
      this.#by = by
      this.#items = this.#items.map(({ addendum }, position) => at(position, () => this.#judge(addendum)))
    }
    return this.#items.map(({ addendum, digest, description }, position) => ({
      entry: at(position, () =>
        encodeEntry({
          kind: EVENT,
          time,
          ...description,
          addendum: digest,
          batch: { header, position },
          policy: by.index,
        }),
      ),
      addendum,
    }))
  }

  #judge(addendum: Uint8Array): Item {
    if (addendum.length < BLINDING_SIZE)
      throw new TreelineError(
        'MALFORMED_ENVELOPE',
        `it has ${addendum.length} bytes, and its salt alone has ${BLINDING_SIZE}`,
      )
    const { payloadType } = this.#header
    const payload = addendum.subarray(BLINDING_SIZE)
    const parsed = parsePayload(payloadType, payload)
    judgeOrigin(this.#by.policy, parsed.origin)
    for (const signer of this.#signers) judgeStatement(signer, parsed)
    const description = describe({ keys: this.#keys, payloadType, payload }, this.#by.policy, parsed)
    return { addendum, digest: addendumHash(addendum), description }
  }
}

/** Items whose entries were made for another place or time, which are changed as they stand. */
export function placeItems(items: readonly JudgedItem[], header: number, time: number): JudgedItem[] {
  const place = encodeUint(header)
  return items.map(({ addendum, entry }) => {
    if (stampItem(entry, time, place)) return { entry, addendum }
    const item = decodeEntry(entry)
    if (item.kind !== EVENT || item.batch === undefined) throw new TypeError('not the entry of an item')
    return { entry: encodeEntry({ ...item, time, batch: { header, position: item.batch.position } }), addendum }
  })
}

/** A refusal of one item is one of the batch: it says which. */
export function at<T>(position: number, judge: () => T): T {
  try {
    return judge()
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError(error.code, `item ${position}: ${error.message}`, error.facts, { cause: error })
  }
}
