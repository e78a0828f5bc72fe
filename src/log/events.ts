/**
 * The `events` profile: signed envelopes in, judged by the write policy that is in the log itself. Long, because events, policies and redactions are judged
 * again at their place in one queue, and share what is in flight.
 */
import { addendumHash, blinding, joinAddendum, splitAddendum } from '../core/addendum.ts'
import { BATCH_HEADER, parseBatchHeader } from '../core/batch.ts'
import { equal, toHex } from '../core/bytes.ts'
import { type Description, describe, parsePayload, type SignedPayload } from '../core/describe.ts'
import { canonicalEnvelope, type Envelope, parseEnvelope, verifyEnvelope } from '../core/dsse.ts'
import { BATCH, decodeEntry, EVENT, encodeEntry, POLICY, REDACTION, stampEntry } from '../core/entry.ts'
import { type JudgingPolicy, judgeBy } from '../core/entry-rules.ts'
import { TreelineError } from '../core/errors.ts'
import { type Hash, leafHash } from '../core/merkle.ts'
import type { Payload } from '../core/payload.ts'
import { judgeEvent, judgeKeys, judgePolicy, type PolicyInForce } from '../core/policy-fold.ts'
import { judgeRedaction, type NamedEntry, parseRedactionRequest } from '../core/redaction.ts'
import type { VerifySignature } from '../core/signature.ts'
import type { Predecessor, WritePolicy } from '../core/write-policy.ts'
import type { BatchBody } from './batch-body.ts'
import { BatchIntake, MAX_BATCH_MEMORY, verifyHeader } from './batch-intake.ts'
import { BatchItems, type JudgedItem, placeItems } from './batch-items.ts'
import type { KeyRates } from './key-rates.ts'
import type { Log, ReadableLog } from './log.ts'
import { foldPolicies } from './policies.ts'
import { checkLogKeys, checkShared } from './policy-rules.ts'
import { prepareEvent } from './prepare.ts'
import type { Candidate, Placed } from './sequencer.ts'

/** The entry that a submission has, new or from before. */
export interface Admitted {
  readonly index: number
  readonly entry: Uint8Array
  /** False when the log knew it already. */
  readonly created: boolean
  /** The blinding of an event; absent where the document is bare. */
  readonly salt?: Uint8Array
  /** The log of before that has it, where it is not this one. */
  readonly elsewhere?: ReadableLog
}

/** An event as a thread that cannot append hands it over: its signatures are verified, and the policy at `policy` allows it. */
export interface JudgedEvent {
  readonly policy: number
  /** Ids of the keys that signed. */
  readonly keys: readonly Uint8Array[]
  readonly addendum: Uint8Array
  readonly digest: Hash
  /** Right in everything but its time, and owned by who takes it. Absent when the event may not be logged, but may be known. */
  readonly entry?: Uint8Array
  /** The envelope as it came, where it had signatures that this log does not count. */
  readonly body?: Uint8Array
}

/** A signed batch as such a thread hands it over; without items it is only asked whether the log knows it. */
export interface JudgedBatch {
  readonly policy: number
  /** Ids of the keys that signed the header. */
  readonly keys: readonly Uint8Array[]
  /** Envelope of the header, in canonical form. */
  readonly document: Uint8Array
  readonly digest: Hash
  /** Owned by who takes them. */
  readonly items?: readonly JudgedItem[]
  /** The envelope as it came, where it had signatures that this log does not count. */
  readonly body?: Uint8Array
}

export interface EventsParts {
  readonly log: Log
  /** Secret of the log that blinds addenda. A restored log may have lost it. */
  readonly blinding?: Uint8Array
  readonly verify: VerifySignature
  /**
   * Policies of the other logs of the server, but for those that this one goes on from: a signer is in one log only, unless both say that the
   * key is shared.
   */
  readonly otherPolicies: () => readonly WritePolicy[]
  /** The logs that this one goes on from, the nearest first, as far as the server has them. They never change. */
  readonly predecessors?: () => readonly EventLog[]
  /** How much one key may submit. */
  readonly rates?: KeyRates
  /** Told when another policy is in force, before whoever changed it. */
  readonly onPolicy?: (events: EventLog) => void
  /** How far a keeper has audited the log: what it has not read is not erased. Absent where no keeper is waited for. */
  readonly audited?: () => Promise<number>
  /** Erases what is derived from these payloads, and says whether nothing is left of it. */
  readonly eraseDerived?: (indexes: readonly number[]) => Promise<boolean>
}

export interface Redacted extends Admitted {
  readonly indexes: readonly number[]
  /** Whether no byte of the payloads is left on the disk. */
  readonly erased: boolean
}

export interface AdmittedBatch extends Admitted {
  /** How many items follow the header. */
  readonly size: number
}

interface InForce extends JudgingPolicy {
  /** The document as it was signed. */
  readonly payload: Uint8Array
}

const inForce = (current: PolicyInForce, { payload }: Envelope): InForce => ({ ...judgeBy(current), payload })

export class EventLog {
  readonly log: Log
  /** What the genesis of the log says that it goes on from. */
  readonly successorOf: Predecessor | null
  readonly #parts: EventsParts
  #inForce: InForce
  /** Submissions on their way, by digest: what makes duplicates exact while both are in flight. */
  readonly #inFlight = new Map<string, Promise<Admitted>>()
  readonly #intake: BatchIntake

  private constructor(parts: EventsParts, successorOf: Predecessor | null, inForce: InForce) {
    this.log = parts.log
    this.successorOf = successorOf
    this.#parts = parts
    this.#inForce = inForce
    this.#intake = new BatchIntake(parts.log.origin, MAX_BATCH_MEMORY)
  }

  /** Folds the policies of the log, judging each again. Throws INVALID_LOG when one may not be there. */
  static async open(parts: EventsParts): Promise<EventLog> {
    const { current, envelope, successorOf } = await foldPolicies(parts.log.store, parts.verify)
    return new EventLog(parts, successorOf, inForce(current, envelope))
  }

  get policy(): PolicyInForce {
    return this.#inForce
  }

  /** The document of the policy in force, as it was signed. */
  get policyDocument(): Uint8Array {
    return this.#inForce.payload
  }

  /** Throws what `prepareEvent` and `describe` do, the judgements of the policy, REDACTED, and what `append` does. */
  async submit(body: Uint8Array): Promise<Admitted> {
    this.#requireSigning()
    // A log that signs has its secret: it is opened with it.
    const event = prepareEvent(body, this.#inForce.ring, this.#parts.blinding!, this.#parts.verify)
    const { envelope, signed, canonical, salt, addendum, digest } = event
    const admitted = await this.#once(digest, async () => {
      const before = await this.#knownBefore(envelope, canonical)
      if (before !== undefined) return before
      const parsed = parsePayload(signed.payloadType, signed.payload)
      // Only an early no: the judgement that counts is made at the index and time of the entry.
      this.#judge({ ...signed, type: parsed.type }, parsed, Date.now())
      const source = this.#countKeys(signed.keys, 1)
      return this.#append({ size: addendum.length, source, place: this.#placer(signed, parsed, addendum, digest) })
    })
    return { salt, ...admitted }
  }

  /**
   * The same for an event that another thread has prepared, judged and described. Undefined when it has no entry, because it may not be logged,
   * and the log does not know it from before. Throws REDACTED, the judgements of the policy, and what `append` does.
   */
  async admit(event: JudgedEvent): Promise<Admitted | undefined> {
    const { keys, addendum, digest, entry } = event
    this.#requireSigning()
    if (entry === undefined) return this.#find(event)
    return this.#once(digest, async () => {
      const before = await this.#findBefore(event)
      if (before !== undefined) return before
      let place = (_index: number, time: number): Placed => {
        if (event.policy === this.#inForce.index && time >= 2 ** 32) {
          judgeKeys(this.#inForce.ring, keys, time)
          stampEntry(entry, time)
          return { entry, addendum }
        }
        // The policy changed on the way: it is judged and described as if it came now.
        const { payloadType, payload } = parseEnvelope(splitAddendum(addendum).document)
        const parsed = parsePayload(payloadType, payload)
        place = this.#placer({ keys, payloadType, payload }, parsed, addendum, digest)
        return place(_index, time)
      }
      const source = this.#countKeys(keys, 1)
      return this.#append({ size: addendum.length, source, place: (index, time) => place(index, time) })
    })
  }

  /** The entry of an event at the place that it is given, judged and described by the policy in force there. */
  #placer(signed: SignedPayload, parsed: Payload, addendum: Uint8Array, digest: Hash): Candidate['place'] {
    let described: { by: InForce; description: Description } | undefined
    return (_index, time) => {
      this.#judge({ ...signed, type: parsed.type }, parsed, time)
      if (described?.by !== this.#inForce)
        described = { by: this.#inForce, description: describe(signed, this.#inForce.policy, parsed) }
      const { description } = described
      const policy = this.#inForce.index
      return { entry: encodeEntry({ kind: EVENT, time, ...description, addendum: digest, policy }), addendum }
    }
  }

  /**
   * A header and all of its items, or nothing. The signature is checked before an item is taken into memory, and a header that is known is answered at once. It is in
   * flight only when the items are there: whoever has a copy of the header and sends slowly keeps nobody waiting. Throws what `submit` does.
   */
  async submitBatch(body: BatchBody): Promise<AdmittedBatch> {
    this.#requireSigning()
    const signed = verifyHeader(await body.header(), this.#inForce.ring, this.#parts.verify)
    const { size } = signed.header
    const before = await this.#batchKnown(signed, signed.envelope)
    if (before !== undefined) return { ...before, size }
    const admitted = await this.#intake.gather(body, signed, this.#inForce, (items) =>
      this.#appendBatch(signed, items, (header, time) => items.place(header, time, this.#inForce)),
    )
    return { ...admitted, size }
  }

  /** The same for a batch that another thread has gathered. Undefined when it came without items, and the log does not know it. Throws what `submitBatch` does. */
  async admitBatch(batch: JudgedBatch): Promise<Admitted | undefined> {
    const { keys, document, body, items } = batch
    this.#requireSigning()
    if (items === undefined) return this.#batchKnown(batch, parseEnvelope(body ?? document))
    const bytes = items.reduce((sum, { addendum, entry }) => sum + addendum.length + entry.length, 0)
    return this.#appendBatch(batch, { count: items.length, bytes }, (header, time) => {
      if (batch.policy === this.#inForce.index && time >= 2 ** 32) {
        judgeKeys(this.#inForce.ring, keys, time)
        return placeItems(items, header, time)
      }
      // The policy changed on the way: they are judged and described as if they came now.
      const again = new BatchItems(parseBatchHeader(parseEnvelope(document)), keys, this.#inForce, time)
      for (const { addendum } of items) again.take(addendum)
      return again.place(header, time, this.#inForce)
    })
  }

  #appendBatch(
    { keys, document, digest }: Pick<JudgedBatch, 'keys' | 'document' | 'digest'>,
    { count, bytes }: { readonly count: number; readonly bytes: number },
    items: (header: number, time: number) => readonly JudgedItem[],
  ): Promise<Admitted> {
    const place = (index: number, time: number): Placed => {
      const policy = this.#inForce.index
      return {
        entry: encodeEntry({ kind: BATCH, time, keys, payloadType: BATCH_HEADER, addendum: digest, policy }),
        addendum: document,
        items: items(index, time),
      }
    }
    return this.#once(digest, () =>
      this.#append({ size: bytes, entries: count + 1, source: this.#countKeys(keys, count), place }),
    )
  }

  /** What was there before costs nothing: only what is about to wait for its place is counted. Returns whose it is. Throws RATE_LIMITED. */
  #countKeys(keys: readonly Uint8Array[], count: number): string {
    const ids = keys.map(toHex)
    this.#parts.rates?.take(ids, count)
    return ids[0]!
  }

  /** The header, if it is known here or before. Throws REDACTED. */
  async #batchKnown(
    { document, digest }: Pick<JudgedBatch, 'document' | 'digest'>,
    envelope: Envelope,
  ): Promise<Admitted | undefined> {
    const here = await this.#known(digest)
    if (here !== undefined) return here
    for (const predecessor of this.#parts.predecessors?.() ?? []) {
      const there = envelope.signatures.length === 1 ? document : predecessor.#canonical(envelope)
      const known = there && (await predecessor.#known(addendumHash(there)))
      if (known !== undefined) return { ...known, elsewhere: predecessor.log }
    }
    return undefined
  }

  /** Changes the write policy. Throws what `judgePolicy` does, and POLICY_CONFLICT for a signer of another log. */
  async submitPolicy(body: Uint8Array): Promise<Admitted> {
    this.#requireSigning()
    const envelope = parseEnvelope(body)
    // Asked again after an answer was lost: the change has been made.
    const { index, payload } = this.#inForce
    if (equal(envelope.payload, payload)) return { index, entry: (await this.#entryAt(index))!, created: false }
    const { verified, policy } = judgePolicy(this.#inForce, envelope, this.#parts.verify)
    checkLogKeys(policy, this.log.vkey)
    checkShared(policy, this.#parts.otherPolicies())
    const document = canonicalEnvelope(envelope, verified)
    const digest = addendumHash(document)
    return this.#once(digest, () =>
      this.#append({
        size: document.length,
        // What follows in the queue is judged by the new policy, so it waits for the next batch.
        last: true,
        place: (index, time) => {
          judgePolicy(this.#inForce, envelope, this.#parts.verify)
          return {
            entry: encodeEntry({ kind: POLICY, time, addendum: digest }),
            addendum: document,
            policy: true,
            committed: () => {
              this.#inForce = inForce({ index, sha256: digest, policy }, envelope)
              this.#parts.onPolicy?.(this)
            },
          }
        },
      }),
    )
  }

  /**
   * Logs a redaction and erases what it names. Asked again, it tries again to erase what readers held. Throws what `judgeRedaction`
   * does, MORE_INDEXES, and REDACTED when another request erased everything before.
   */
  async redact(body: Uint8Array): Promise<Redacted> {
    this.#requireSigning()
    const envelope = parseEnvelope(body)
    const request = parseRedactionRequest(envelope)
    const indexes = request.entries.map(({ index }) => index)
    const named = new Map<number, NamedEntry>()
    for (const index of indexes) {
      const entry = await this.#entryAt(index)
      if (entry !== undefined) named.set(index, { entry: decodeEntry(entry), leafHash: leafHash(entry) })
    }
    const judge = () =>
      judgeRedaction(this.#inForce, envelope, request, (index) => named.get(index), this.#parts.verify)
    const document = canonicalEnvelope(envelope, judge().verified)
    const digest = addendumHash(document)
    const admitted = await this.#once(digest, async () => {
      await this.#requireAllIndexes(named)
      await this.#requireSomethingLeft(indexes)
      await this.#requireAudited(indexes)
      return this.#append({
        size: document.length,
        place: (_index, time) => {
          judge()
          const { reason } = request
          const policy = this.#inForce.index
          return {
            entry: encodeEntry({ kind: REDACTION, time, addendum: digest, policy, indexes, reason }),
            addendum: document,
            redacts: indexes,
          }
        },
      })
    })
    return { ...admitted, indexes, erased: await this.#erase(indexes) }
  }

  /** Otherwise an entry could be forged and erased before anyone could see that nobody signed it. */
  async #requireAudited(indexes: readonly number[]): Promise<void> {
    const { audited } = this.#parts
    if (audited === undefined) return
    const size = await audited()
    const early = indexes.find((index) => index >= size)
    if (early === undefined) return
    throw new TreelineError(
      'NOT_YET_AUDITED',
      `entry ${early} is erased when the keeper has audited it, and it is at ${size}: send the same request again`,
      { index: early },
    )
  }

  async #requireSomethingLeft(indexes: readonly number[]): Promise<void> {
    for (const index of indexes) if ((await this.log.store.redactedBy(index)) === undefined) return
    throw new TreelineError('REDACTED', 'all that the request names is redacted already', { index: indexes[0] })
  }

  /** A payload that stands at several indexes is erased from all of them or not at all. */
  async #requireAllIndexes(named: ReadonlyMap<number, NamedEntry>): Promise<void> {
    for (const { entry } of named.values()) {
      const all = await this.log.store.findAddendum(entry.addendum)
      const missing = all.filter((index) => !named.has(index))
      if (missing.length > 0) {
        throw new TreelineError(
          'MORE_INDEXES',
          `the same event stands also at ${missing.join(', ')}: name every index`,
          { indexes: all },
        )
      }
    }
  }

  /** Waits for readers that hold old pages, up to two seconds; the same request asked again tries again. */
  async #erase(indexes: readonly number[]): Promise<boolean> {
    let derived = false
    for (let attempt = 0; attempt < 20; attempt++) {
      derived ||= (await this.#parts.eraseDerived?.(indexes)) ?? true
      if ((await this.log.store.erase()) && derived) return true
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return false
  }

  #judge(event: { keys: readonly Uint8Array[]; type: string }, { subjects, origin }: Payload, time: number): void {
    judgeEvent(this.#inForce, this.#inForce.ring, { ...event, subjects, origin }, time)
  }

  /**
   * Throws FROZEN. Then not even what is known is answered: on a disk that was rolled back no receipt for it would verify under the note that was
   * published; and what a restored log has, the log that succeeds it answers.
   */
  #requireSigning(): void {
    if (this.log.frozen !== undefined) throw this.log.frozen
  }

  /**
   * The entry with this digest: the one that is there, the one on its way, or a new one. Exact, because the first to come registers
   * before it looks. Throws REDACTED, FROZEN.
   */
  async #once(digest: Uint8Array, append: () => Promise<Admitted>): Promise<Admitted> {
    this.#requireSigning()
    const name = toHex(digest)
    const before = this.#inFlight.get(name)
    if (before !== undefined) return { ...(await before), created: false }
    const work = this.#lookUpOr(digest, append)
    this.#inFlight.set(name, work)
    try {
      return await work
    } finally {
      this.#inFlight.delete(name)
    }
  }

  async #lookUpOr(digest: Uint8Array, append: () => Promise<Admitted>): Promise<Admitted> {
    return (await this.#known(digest)) ?? append()
  }

  async #append(candidate: Candidate): Promise<Admitted> {
    const { index, entry } = await this.log.append(candidate)
    return { index, entry, created: true }
  }

  /** The event, if it is known here or before, or on its way. */
  async #find(event: JudgedEvent): Promise<Admitted | undefined> {
    const onItsWay = this.#inFlight.get(toHex(event.digest))
    if (onItsWay !== undefined) return { ...(await onItsWay), created: false }
    return (await this.#known(event.digest)) ?? this.#findBefore(event)
  }

  async #findBefore({ addendum, body }: JudgedEvent): Promise<Admitted | undefined> {
    if ((this.#parts.predecessors?.() ?? []).length === 0) return undefined
    const canonical = splitAddendum(addendum).document
    return this.#knownBefore(parseEnvelope(body ?? canonical), canonical)
  }

  /** Exact without a lock: a log of before has no writer. Throws REDACTED. */
  async #knownBefore(envelope: Envelope, canonical: Uint8Array): Promise<Admitted | undefined> {
    for (const predecessor of this.#parts.predecessors?.() ?? []) {
      const known = await predecessor.#knownAs(envelope, canonical)
      if (known !== undefined) return { ...known, elsewhere: predecessor.log }
    }
    return undefined
  }

  /**
   * What this log would say if it still answered writers. It blinds with a secret of its own, and counts the signatures of its own policy: a single one
   * has the same canonical form everywhere, several need not. Without its secret it knows nothing.
   */
  async #knownAs(envelope: Envelope, canonicalElsewhere: Uint8Array): Promise<Admitted | undefined> {
    if (this.#parts.blinding === undefined) return undefined
    const canonical = envelope.signatures.length === 1 ? canonicalElsewhere : this.#canonical(envelope)
    if (canonical === undefined) return undefined
    const salt = blinding(this.#parts.blinding, canonical)
    const known = await this.#known(addendumHash(joinAddendum(salt, canonical)))
    return known && { ...known, salt }
  }

  #canonical(envelope: Envelope): Uint8Array | undefined {
    try {
      return canonicalEnvelope(envelope, verifyEnvelope(envelope, this.#inForce.ring, this.#parts.verify))
    } catch (error) {
      if (error instanceof TreelineError) return undefined
      throw error
    }
  }

  async #known(digest: Uint8Array): Promise<Admitted | undefined> {
    for (const index of await this.log.store.findAddendum(digest)) {
      const entry = (await this.#entryAt(index))!
      // An item of a signed batch is no duplicate of an event that somebody signed by itself.
      const decoded = decodeEntry(entry)
      if (decoded.kind === EVENT && decoded.batch !== undefined) continue
      const by = await this.log.store.redactedBy(index)
      if (by !== undefined)
        throw new TreelineError(
          'REDACTED',
          `the event was logged at ${index} of ${this.log.origin} and redacted by ${by}`,
          { index },
        )
      return { index, entry, created: false }
    }
    return undefined
  }

  async #entryAt(index: number): Promise<Uint8Array | undefined> {
    return index < this.log.head.tree.size ? this.log.store.entry(index) : undefined
  }
}
