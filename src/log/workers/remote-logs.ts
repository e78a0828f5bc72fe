import type { VerifySignature } from '../../core/signature.ts'
import type { ReadStore } from '../../store/store.ts'
import type { ReadableLog } from '../log.ts'
import { errorOf, type LogState, type ToWorker } from './messages.ts'
import { RemoteEvents } from './remote-events.ts'
import { RemoteLog } from './remote-log.ts'
import { RemoteStore } from './remote-store.ts'
import type { WriterLink } from './writer-link.ts'

interface OpenedLog {
  readonly log: RemoteLog
  readonly events?: RemoteEvents
}

interface RemoteLogsParts {
  readonly link: WriterLink
  readonly verify: VerifySignature
  /** The file of a log, which is not written through it. */
  readonly open: (database: string) => ReadStore
  /** Memory of the batches of each log that are coming in at this thread, bytes. */
  readonly batchMemory: number
}

/** The logs of a serving thread, kept at the state that the thread which writes tells of. */
export class RemoteLogs {
  readonly #parts: RemoteLogsParts
  readonly #logs = new Map<string, OpenedLog>()
  /** Messages that came before the logs were open; undefined from then on. */
  #early: ToWorker[] | undefined = []
  readonly #opened = Promise.withResolvers<ReadonlyMap<string, OpenedLog>>()

  constructor(parts: RemoteLogsParts) {
    this.#parts = parts
  }

  /** Rejects when a file is not what the other thread says. */
  get opened(): Promise<ReadonlyMap<string, OpenedLog>> {
    return this.#opened.promise
  }

  heard(message: ToWorker): void {
    if (message.kind === 'logs') void this.#open(message.logs).catch(this.#opened.reject)
    else if (this.#early !== undefined) this.#early.push(message)
    else this.#apply(message)
  }

  async #open(states: readonly LogState[]): Promise<void> {
    const { link, verify, open, batchMemory } = this.#parts
    for (const state of states) {
      const { name, events } = state
      const log = await RemoteLog.open(state, new RemoteStore(open(state.database), link.find(name)))
      const logOf = (other: string): ReadableLog => this.#logs.get(other)!.log
      const parts = { log, link, verify, logOf, batchMemory }
      this.#logs.set(name, { log, ...(events && { events: new RemoteEvents(parts, events) }) })
    }
    const early = this.#early!
    this.#early = undefined
    for (const message of early) this.#apply(message)
    this.#opened.resolve(this.#logs)
  }

  #apply(message: ToWorker): void {
    if (message.kind === 'outcomes' || message.kind === 'found') {
      this.#parts.link.heard(message)
      return
    }
    if (message.kind === 'logs') throw new Error('the logs are open already')
    const { log, events } = this.#logs.get(message.log)!
    if (message.kind === 'head') log.grow(message.added, message.root, message.note)
    else if (message.kind === 'published') log.publish(message.head)
    else if (message.kind === 'frozen') log.freeze(errorOf(message.why))
    else events!.setPolicy(message.policy)
  }
}
