/** The rules of a log as a fold over its entries, in order, from the genesis on or from where it was put away. */
import { BatchRoot, MAX_BATCH_ITEMS } from './batch.ts'
import {
  batchIn,
  cutBy,
  judgeBatchHeader,
  judgeClaim,
  judgeMember,
  judgeRoot,
  type PlacedBatch,
} from './batch-rules.ts'
import { fromBase64, toBase64 } from './bytes.ts'
import { BATCH, decodeEntry, type Entry, EVENT, GENESIS, POLICY } from './entry.ts'
import {
  type BrokenRule,
  type Item,
  type JudgingPolicy,
  judgeBy,
  judgeBytes,
  judgeItem,
  judgePolicyEntry,
  judgePolicyIndex,
  judgeTime,
  policyIn,
} from './entry-rules.ts'
import { TreelineError } from './errors.ts'
import type { VerifySignature } from './signature.ts'

export interface AuditParts {
  readonly origin: string
  readonly verify: VerifySignature
}

/** A batch whose items are not all in. */
interface OpenBatch {
  readonly item: Item
  readonly placed: PlacedBatch
  readonly items: BatchRoot
}

export class Audit {
  readonly #parts: AuditParts
  #next = 0
  #time = 0
  #policy: { readonly item: Item; readonly inForce: JudgingPolicy } | undefined
  #batch: OpenBatch | undefined
  /** Headers of batches that a person has accepted as broken: their items are not judged, or one fault would be ten thousand. */
  #accepted: readonly number[] = []
  /** What `pass` makes of the entry that was judged last: the batches that it broke, or the batch with it. */
  #broken: readonly number[] = []
  #withIt: OpenBatch | undefined

  private constructor(parts: AuditParts) {
    this.#parts = parts
  }

  static begin(parts: AuditParts): Audit {
    return new Audit(parts)
  }

  /** From what `memory` gave. Throws MALFORMED_ENTRY for anything else. */
  static resume(parts: AuditParts, memory: string): Audit {
    const { next, time, policy, batch, accepted } = JSON.parse(memory) as {
      next: number
      time: number
      policy: StoredItem | null
      // Absent in what earlier versions put away.
      batch?: (StoredItem & { size: number; hashes: string[] }) | null
      accepted?: number[]
    }
    const audit = new Audit(parts)
    audit.#next = next
    audit.#time = time
    if (policy !== null) {
      const item = itemOf(policy)
      const inForce = policyIn(item)
      if (inForce === undefined) throw new TreelineError('MALFORMED_ENTRY', 'the memory of an audit has no policy')
      audit.#policy = { item, inForce: judgeBy(inForce) }
    }
    if (batch != null) {
      const item = itemOf(batch)
      const placed = batchIn(item, decodeEntry(item.bytes))
      if (placed === undefined) throw new TreelineError('MALFORMED_ENTRY', 'the memory of an audit has no batch')
      const hashes = batch.hashes.map((hash) => fromBase64(hash)!)
      audit.#batch = { item, placed, items: BatchRoot.of(batch.size, hashes) }
    }
    audit.#accepted = accepted ?? []
    return audit
  }

  /** Index of the entry that `judge` wants next. */
  get next(): number {
    return this.#next
  }

  /** As JSON. */
  memory(): string {
    const batch = this.#batch
    return JSON.stringify({
      next: this.#next,
      time: this.#time,
      policy: this.#policy ? stored(this.#policy.item) : null,
      ...(batch && {
        batch: { ...stored(batch.item), size: batch.items.size, hashes: batch.items.hashes.map(toBase64) },
      }),
      ...(this.#accepted.length > 0 && { accepted: this.#accepted }),
    })
  }

  /** Takes the entry that was judged last in as it is: a person has accepted what is wrong with it. */
  pass(): void {
    this.#accept(this.#broken)
    this.#batch = this.#broken.length > 0 ? undefined : this.#withIt
    this.#next++
  }

  /** Index of the header of a batch whose items are not all in. */
  get openBatch(): number | undefined {
    return this.#batch?.placed.index
  }

  /** A person has accepted that the batch is cut off: what follows is judged as if it had not begun, and its items are not judged. */
  closeBatch(): void {
    if (this.#batch !== undefined) this.#accept([this.#batch.placed.index])
    this.#batch = undefined
  }

  #accept(headers: readonly number[]): void {
    if (headers.length > 0) this.#accepted = [...this.#accepted, ...headers].slice(-MAX_ACCEPTED)
  }

  /**
   * Judges the next entry, and takes it in. `find` gives entries before it. Throws BrokenRule, and UNVERIFIABLE when a document that the rules
   * need is missing or wrong; then nothing is taken in.
   */
  judge(item: Item, find: (index: number) => Uint8Array | undefined): void {
    if (item.index !== this.#next) throw new RangeError(`entry ${item.index} instead of ${this.#next}`)
    const { origin, verify } = this.#parts
    // What is no entry breaks the batch that it stands in; a header that breaks any rule is none to the entries after it.
    this.#broken = this.#batch === undefined ? [] : [this.#batch.placed.index]
    const entry = judgeBytes(item)
    if (entry.kind === BATCH) this.#broken = [...this.#broken, item.index]
    if (this.#isAccepted(item.index, entry)) {
      this.#next++
      return
    }
    this.#withIt = this.#judgeBatch(item.index, entry)
    if (this.#next > 0) judgeTime(entry, { index: this.#next - 1, time: this.#time })
    let policy = this.#policy
    if (entry.kind === GENESIS || entry.kind === POLICY) {
      policy = { item, inForce: judgeBy(judgePolicyEntry(item, entry, policy?.inForce, origin, verify)) }
    } else {
      if (policy === undefined) throw new TreelineError('UNVERIFIABLE', 'there is no policy to judge by')
      judgePolicyIndex(item.index, entry, policy.inForce)
      judgeItem(item, entry, policy.inForce, find, verify)
      if (entry.kind === BATCH)
        this.#withIt = { item, placed: judgeBatchHeader(item, entry, policy.inForce, verify), items: BatchRoot.empty() }
    }
    this.#batch = this.#withIt
    this.#policy = policy
    this.#time = entry.time
    this.#next++
  }

  /** The header of a batch that a signed head ends in, and why that breaks the rules: to be asked when all entries under one were judged. */
  judgeHead(): { readonly accused: Item; readonly broken: BrokenRule } | undefined {
    const broken = this.#batch && cutBy(this.#batch.placed, this.#next)
    return broken && { accused: this.#batch!.item, broken }
  }

  #isAccepted(index: number, entry: Entry): boolean {
    if (this.#batch !== undefined || entry.kind !== EVENT || entry.batch === undefined) return false
    const { header, position } = entry.batch
    return this.#accepted.includes(header) && index === header + 1 + position && position < MAX_BATCH_ITEMS
  }

  /** The batch that is still open after the entry. Throws BrokenRule. */
  #judgeBatch(index: number, entry: Entry): OpenBatch | undefined {
    const open = this.#batch
    if (open === undefined) {
      if (entry.kind === EVENT && entry.batch !== undefined) {
        this.#broken = [entry.batch.header]
        judgeClaim(index, entry, undefined)
      }
      return undefined
    }
    judgeMember(open.placed, index, entry)
    const items = BatchRoot.of(open.items.size, open.items.hashes)
    items.add(entry.addendum)
    const whole = items.size === open.placed.header.size
    if (whole) judgeRoot(open.placed, items)
    // From here on what is wrong with it is its own.
    this.#broken = []
    return whole ? undefined : { ...open, items }
  }
}

/** Headers that are remembered: an entry can break two batches, and then a person looks. */
const MAX_ACCEPTED = 8

interface StoredItem {
  readonly index: number
  readonly bytes: string
  readonly document: string
}

const stored = ({ index, bytes, document }: Item): StoredItem => ({
  index,
  bytes: toBase64(bytes),
  document: toBase64(document!),
})

const itemOf = ({ index, bytes, document }: StoredItem): Item => ({
  index,
  bytes: fromBase64(bytes)!,
  document: fromBase64(document)!,
})
