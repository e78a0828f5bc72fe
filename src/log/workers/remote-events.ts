import { describe, parsePayload } from '../../core/describe.ts'
import { EVENT, encodeEntry } from '../../core/entry.ts'
import { type JudgingPolicy, judgeBy } from '../../core/entry-rules.ts'
import { TreelineError } from '../../core/errors.ts'
import { judgeEvent, type PolicyInForce } from '../../core/policy-fold.ts'
import type { VerifySignature } from '../../core/signature.ts'
import { parseWritePolicy } from '../../core/write-policy.ts'
import type { BatchBody } from '../batch-body.ts'
import { BatchIntake, verifyHeader } from '../batch-intake.ts'
import type { Admitted, AdmittedBatch } from '../events.ts'
import type { ReadableLog } from '../log.ts'
import { type PreparedEvent, prepareEvent } from '../prepare.ts'
import type { LogState, PolicyState } from './messages.ts'
import type { AdmittedOutcome, WriterLink } from './writer-link.ts'

export interface RemoteEventsParts {
  readonly log: ReadableLog
  readonly link: WriterLink
  readonly verify: VerifySignature
  /** A log of the same process, by name. */
  readonly logOf: (name: string) => ReadableLog
  /** Memory of the batches of a log that are coming in at this thread, bytes. */
  readonly batchMemory: number
}

/** An `events` log that another thread writes: all that costs time is done here, and handed over with the entry ready but for its time. */
export class RemoteEvents {
  readonly log: ReadableLog
  readonly #parts: RemoteEventsParts
  readonly #blinding: Uint8Array | undefined
  readonly #succeeds: boolean
  readonly #intake: BatchIntake
  #policy: JudgingPolicy

  constructor(parts: RemoteEventsParts, { blinding, succeeds, ...policy }: NonNullable<LogState['events']>) {
    this.log = parts.log
    this.#parts = parts
    this.#blinding = blinding
    this.#succeeds = succeeds
    this.#intake = new BatchIntake(parts.log.origin, parts.batchMemory)
    this.#policy = inForce(policy)
  }

  get policy(): PolicyInForce {
    return this.#policy
  }

  setPolicy(policy: PolicyState): void {
    this.#policy = inForce(policy)
  }

  /** Throws what `EventLog.submit` does. */
  async submit(body: Uint8Array): Promise<Admitted> {
    const { frozen, name } = this.log
    if (frozen !== undefined) throw frozen
    const event = prepareEvent(body, this.#policy.ring, this.#blinding!, this.#parts.verify)
    const { addendum, digest, salt } = event
    const described = this.#describe(event)
    const known = await this.#parts.link.submit(name, {
      ...{ policy: this.#policy.index, keys: event.signed.keys, addendum, digest },
      ...(described instanceof Uint8Array && { entry: described }),
      // One signature is counted by every log that knows its key; of several, a log of before may count others.
      ...(this.#succeeds && event.envelope.signatures.length > 1 && { body }),
    })
    // Whoever may not log it may have logged it before.
    if (known === undefined) throw described
    return { ...this.#admitted(known), salt: known.salt ?? salt }
  }

  /** Throws what `EventLog.submitBatch` does. */
  async submitBatch(body: BatchBody): Promise<AdmittedBatch> {
    const { frozen, name } = this.log
    if (frozen !== undefined) throw frozen
    const { link, verify } = this.#parts
    const by = this.#policy
    const bytes = await body.header()
    const signed = verifyHeader(bytes, by.ring, verify)
    const { keys, document, digest, envelope, header } = signed
    const batch = {
      ...{ policy: by.index, keys, document, digest },
      ...(this.#succeeds && envelope.signatures.length > 1 && { body: bytes }),
    }
    const known = await link.submitBatch(name, batch)
    if (known !== undefined) return { ...this.#admitted(known), size: header.size }
    return this.#intake.gather(body, signed, by, async (items) => {
      // Where the log is now: an index of nearly always as many bytes as the one that it gets.
      const placed = items.place(this.log.head.tree.size, Date.now(), by)
      const admitted = await link.submitBatch(name, { ...batch, items: placed })
      return { ...this.#admitted(admitted!), size: header.size }
    })
  }

  #admitted({ index, entry, created, elsewhere }: AdmittedOutcome): Admitted {
    return { index, entry, created, ...(elsewhere !== undefined && { elsewhere: this.#parts.logOf(elsewhere) }) }
  }

  /** The entry, right in everything but its time; or why the policy does not allow it. */
  #describe({ signed, digest }: PreparedEvent): Uint8Array | TreelineError {
    const { policy, index, ring } = this.#policy
    try {
      const { payloadType, payload } = signed
      const parsed = parsePayload(payloadType, payload)
      const time = Date.now()
      judgeEvent(this.#policy, ring, { ...signed, ...parsed }, time)
      return encodeEntry({ kind: EVENT, time, ...describe(signed, policy, parsed), addendum: digest, policy: index })
    } catch (error) {
      if (error instanceof TreelineError) return error
      throw error
    }
  }
}

const inForce = ({ index, sha256, document }: PolicyState): JudgingPolicy =>
  judgeBy({ index, sha256, policy: parseWritePolicy(document) })
