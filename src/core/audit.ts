/** The rules of a log as a fold over its entries, in order, from the genesis on or from where it was put away. */
import { fromBase64, toBase64 } from './bytes.ts'
import { GENESIS, POLICY } from './entry.ts'
import {
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

export class Audit {
  readonly #parts: AuditParts
  #next = 0
  #time = 0
  #policy: { readonly item: Item; readonly inForce: JudgingPolicy } | undefined

  private constructor(parts: AuditParts) {
    this.#parts = parts
  }

  static begin(parts: AuditParts): Audit {
    return new Audit(parts)
  }

  /** From what `memory` gave. Throws MALFORMED_ENTRY for anything else. */
  static resume(parts: AuditParts, memory: string): Audit {
    const { next, time, policy } = JSON.parse(memory) as {
      next: number
      time: number
      policy: { index: number; bytes: string; document: string } | null
    }
    const audit = new Audit(parts)
    audit.#next = next
    audit.#time = time
    if (policy !== null) {
      const item = { index: policy.index, bytes: fromBase64(policy.bytes)!, document: fromBase64(policy.document)! }
      const inForce = policyIn(item)
      if (inForce === undefined) throw new TreelineError('MALFORMED_ENTRY', 'the memory of an audit has no policy')
      audit.#policy = { item, inForce: judgeBy(inForce) }
    }
    return audit
  }

  /** Index of the entry that `judge` wants next. */
  get next(): number {
    return this.#next
  }

  /** As JSON. */
  memory(): string {
    const item = this.#policy?.item
    return JSON.stringify({
      next: this.#next,
      time: this.#time,
      policy: item ? { index: item.index, bytes: toBase64(item.bytes), document: toBase64(item.document!) } : null,
    })
  }

  /** Takes the next entry in without judging it: a person has accepted what is wrong with it. */
  pass(): void {
    this.#next++
  }

  /**
   * Judges the next entry, and takes it in. `find` gives entries before it. Throws BrokenRule, and UNVERIFIABLE when a document that the rules
   * need is missing or wrong; then nothing is taken in.
   */
  judge(item: Item, find: (index: number) => Uint8Array | undefined): void {
    if (item.index !== this.#next) throw new RangeError(`entry ${item.index} instead of ${this.#next}`)
    const { origin, verify } = this.#parts
    const entry = judgeBytes(item)
    if (this.#next > 0) judgeTime(entry, { index: this.#next - 1, time: this.#time })
    let policy = this.#policy
    if (entry.kind === GENESIS || entry.kind === POLICY) {
      policy = { item, inForce: judgeBy(judgePolicyEntry(item, entry, policy?.inForce, origin, verify)) }
    } else {
      if (policy === undefined) throw new TreelineError('UNVERIFIABLE', 'there is no policy to judge by')
      judgePolicyIndex(item.index, entry, policy.inForce)
      judgeItem(item, entry, policy.inForce, find, verify)
    }
    this.#policy = policy
    this.#time = entry.time
    this.#next++
  }
}
