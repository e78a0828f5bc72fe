/** A serving thread's end of the line to the thread that writes. */
import { TreelineError } from '../../core/errors.ts'
import type { JudgedBatch, JudgedEvent } from '../events.ts'
import {
  errorOf,
  type FromWorker,
  type Outcome,
  packSubmission,
  type Submission,
  type ToWorker,
  unpackOutcomes,
} from './messages.ts'
import { PackWriter } from './packed.ts'
import type { Find } from './remote-store.ts'

export interface LinkLimits {
  /** Submissions, and bytes of them, that may be on their way. */
  readonly entries: number
  readonly bytes: number
}

export type AdmittedOutcome = Outcome & { readonly kind: 'admitted' }

/** Of the two parts of an item, and what a batch has beside its items, bytes: a first guess. */
const LENGTHS = 8
const BATCH_ROOM = 4_096

interface Waiting {
  readonly size: number
  readonly resolve: (outcome: AdmittedOutcome | undefined) => void
  readonly reject: (error: unknown) => void
}

export class WriterLink {
  readonly #post: (message: FromWorker, transfer: readonly ArrayBuffer[]) => void
  readonly #limits: LinkLimits
  readonly #packed = new PackWriter()
  readonly #waiting = new Map<number, Waiting>()
  readonly #finding = new Map<number, (indexes: readonly number[]) => void>()
  #bytes = 0
  #next = 0
  #scheduled = false

  constructor(post: (message: FromWorker, transfer: readonly ArrayBuffer[]) => void, limits: LinkLimits) {
    this.#post = post
    this.#limits = limits
  }

  /** Undefined for an event without an entry that no log knows. Throws what the log does, and QUEUE_FULL. */
  submit(log: string, event: JudgedEvent): Promise<AdmittedOutcome | undefined> {
    return this.#submit({ id: this.#next++, log, kind: 'event', event }, event.addendum.length)
  }

  /** The same for a batch, whose memory is counted where it was gathered: in a message of its own. */
  submitBatch(log: string, batch: JudgedBatch): Promise<AdmittedOutcome | undefined> {
    const { items = [] } = batch
    const bytes = items.reduce((sum, { addendum, entry }) => sum + addendum.length + entry.length + LENGTHS, 0)
    const packed = new PackWriter(bytes + BATCH_ROOM)
    return this.#wait({ id: this.#next++, log, kind: 'batch', batch }, 0, packed, () => this.#send(packed))
  }

  /** Resolves to the index of a raw entry when it is durable. Throws the same. */
  async add(log: string, entry: Uint8Array): Promise<number> {
    const added = await this.#submit({ id: this.#next++, log, kind: 'raw', entry }, entry.length)
    return added!.index
  }

  readonly find =
    (log: string): Find =>
    (what, hash) =>
      new Promise((resolve) => {
        const id = this.#next++
        this.#finding.set(id, resolve)
        this.#post({ kind: 'find', id, log, what, hash }, [])
      })

  heard(message: ToWorker & { readonly kind: 'outcomes' | 'found' }): void {
    if (message.kind === 'found') {
      this.#finding.get(message.id)?.(message.indexes)
      this.#finding.delete(message.id)
    } else for (const outcome of unpackOutcomes(message.packed)) this.#settle(outcome)
  }

  #submit(submission: Submission, size: number): Promise<AdmittedOutcome | undefined> {
    return this.#wait(submission, size, this.#packed, () => {
      if (this.#scheduled) return
      this.#scheduled = true
      // What this turn of the event loop has taken from the sockets goes in one message.
      setImmediate(() => {
        this.#scheduled = false
        this.#send(this.#packed)
      })
    })
  }

  #wait(
    submission: Submission,
    size: number,
    into: PackWriter,
    send: () => void,
  ): Promise<AdmittedOutcome | undefined> {
    if (this.#waiting.size >= this.#limits.entries || this.#bytes + size > this.#limits.bytes)
      return Promise.reject(
        new TreelineError('QUEUE_FULL', 'the log has more to write than it can hold: try again later'),
      )
    return new Promise((resolve, reject) => {
      this.#waiting.set(submission.id, { size, resolve, reject })
      this.#bytes += size
      packSubmission(into, submission)
      send()
    })
  }

  #send(from: PackWriter): void {
    const packed = from.take()
    this.#post({ kind: 'submissions', packed }, [packed])
  }

  #settle(outcome: Outcome): void {
    const waiting = this.#waiting.get(outcome.id)!
    this.#waiting.delete(outcome.id)
    this.#bytes -= waiting.size
    if (outcome.kind === 'admitted') waiting.resolve(outcome)
    else if (outcome.kind === 'unknown') waiting.resolve(undefined)
    else waiting.reject(outcome.kind === 'refused' ? errorOf(outcome.problem) : new Error(outcome.message))
  }
}
