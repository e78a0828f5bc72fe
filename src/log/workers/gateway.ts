/** One serving thread, as the thread that writes sees it: takes its submissions, and tells it of every head before it answers. */
import { concat } from '../../core/bytes.ts'
import { TreelineError } from '../../core/errors.ts'
import type { Hash } from '../../core/merkle.ts'
import type { Admitted, EventLog } from '../events.ts'
import type { Log } from '../log.ts'
import type { PublishedHead } from '../published-heads.ts'
import { addRaw } from '../raw.ts'
import type { SignedHead } from '../sequencer.ts'
import {
  type FromWorker,
  type LogState,
  type Outcome,
  packOutcome,
  problemOf,
  type Submission,
  type ToWorker,
  unpackSubmissions,
} from './messages.ts'
import { PackWriter } from './packed.ts'

/** A log with what a serving thread needs to open it. */
export interface SharedLog {
  readonly log: Log
  readonly events?: EventLog
  readonly database: string
  readonly blinding: Uint8Array | undefined
}

export interface GatewayParts {
  readonly logs: ReadonlyMap<string, SharedLog>
  readonly post: (message: ToWorker, transfer: readonly ArrayBuffer[]) => void
  /** Told of a bug that a submission met. */
  readonly onBug: (error: unknown) => void
}

export class Gateway {
  readonly #parts: GatewayParts
  readonly #outcomes = new PackWriter()
  #scheduled = false
  #closed = false

  /** Posts the state of all logs at once: whoever calls must tell of every change from here on. */
  constructor(parts: GatewayParts) {
    this.#parts = parts
    this.#post({ kind: 'logs', logs: [...parts.logs.values()].map(stateOf) })
  }

  heard(message: FromWorker): void {
    if (message.kind === 'find') void this.#find(message)
    else for (const submission of unpackSubmissions(message.packed)) void this.#submit(submission)
  }

  head(log: string, { tree, note }: SignedHead, added: readonly Hash[]): void {
    this.#post({ kind: 'head', log, added: concat(...added), root: tree.root, note })
  }

  published(log: string, head: PublishedHead): void {
    this.#post({ kind: 'published', log, head })
  }

  frozen(log: string, why: TreelineError): void {
    this.#post({ kind: 'frozen', log, why: problemOf(why) })
  }

  policy(log: string, events: EventLog): void {
    this.#post({ kind: 'policy', log, policy: policyOf(events) })
  }

  /** The thread is gone: what it submitted goes on, and nobody is answered. */
  close(): void {
    this.#closed = true
  }

  #post(message: ToWorker, transfer: readonly ArrayBuffer[] = []): void {
    if (!this.#closed) this.#parts.post(message, transfer)
  }

  async #submit(submission: Submission): Promise<void> {
    const { id } = submission
    try {
      const admitted = await this.#admit(submission)
      this.#answer(admitted === undefined ? { id, kind: 'unknown' } : outcomeOf(id, admitted))
    } catch (error) {
      if (error instanceof TreelineError) return this.#answer({ id, kind: 'refused', problem: problemOf(error) })
      this.#parts.onBug(error)
      this.#answer({ id, kind: 'failed', message: (error as Error).message })
    }
  }

  async #admit(submission: Submission): Promise<Admitted | undefined> {
    const { log, events } = this.#parts.logs.get(submission.log)!
    if (submission.kind === 'event') return events!.admit(submission.event)
    if (submission.kind === 'batch') return events!.admitBatch(submission.batch)
    return { index: await addRaw(log, submission.entry), entry: NOTHING, created: true }
  }

  /** All that one commit answers goes in one message: after the head that covers it, which went out before anybody was answered. */
  #answer(outcome: Outcome): void {
    packOutcome(this.#outcomes, outcome)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const packed = this.#outcomes.take()
      this.#post({ kind: 'outcomes', packed }, [packed])
    })
  }

  async #find({ id, log, what, hash }: FromWorker & { readonly kind: 'find' }): Promise<void> {
    const { store } = this.#parts.logs.get(log)!.log
    const indexes = what === 'addendum' ? await store.findAddendum(hash) : [(await store.findLeaf(hash)) ?? []].flat()
    this.#post({ kind: 'found', id, indexes })
  }
}

/** A raw entry is what its client has sent: nobody needs it back. */
const NOTHING = new Uint8Array(0)

function outcomeOf(id: number, { index, created, entry, salt, elsewhere }: Admitted): Outcome {
  const from = elsewhere && { elsewhere: elsewhere.name }
  return { id, kind: 'admitted', index, created, entry, ...(salt && { salt }), ...from }
}

const policyOf = ({ policy, policyDocument }: EventLog) => ({
  index: policy.index,
  sha256: policy.sha256,
  document: policyDocument,
})

function stateOf({ log, events, database, blinding }: SharedLog): LogState {
  const { name, origin, vkey, restored, head, published, frozen } = log
  const { size, root } = head.tree
  return {
    ...{ name, origin, vkey, restored, database, published },
    head: { size, root, note: head.note },
    witnessed: log.witnesses.length > 0,
    frozen: frozen && problemOf(frozen),
    ...(events && { events: { ...policyOf(events), blinding, succeeds: events.successorOf !== null } }),
  }
}
