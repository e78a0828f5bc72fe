/** Keeps the copies of all logs, and evidence against them, in write-once storage: again and again, one log after the other. */
import { toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { Alerts } from '../alerts.ts'
import type { Logger } from '../http.ts'
import type { LogReader } from '../log-reader.ts'
import type { Metrics } from '../metrics.ts'
import type { WitnessState } from '../state.ts'
import { faultFolder } from './manifest.ts'
import { putNamed } from './section.ts'
import type { Snapshotter } from './snapshot.ts'
import type { WormStore } from './store.ts'

interface CopiedLog {
  readonly origin: string
  readonly snapshotter: Snapshotter
  readonly reader: LogReader
}

interface CopiesParts {
  readonly logs: readonly CopiedLog[]
  readonly state: WitnessState
  readonly store: WormStore
  readonly alerts: Alerts
  readonly metrics: Metrics
  readonly logger: Logger
  /** ms since the Unix epoch. */
  readonly now: () => number
  /** Between the end of one round of snapshots and the next, ms. */
  readonly interval: number
}

/** Evidence of a fault does not wait for the next snapshot: how often it is looked for, ms. */
const EVIDENCE_INTERVAL = 5_000

export class Copies {
  readonly #parts: CopiesParts
  /** Whether the store has shown that it keeps what it is given: nothing is written to it before. */
  #probed = false
  #stopped = false
  #wake: () => void = () => {}
  #running: Promise<void> = Promise.resolve()

  constructor(parts: CopiesParts) {
    this.#parts = parts
  }

  /** Throws WORM_BROKEN, UNREACHABLE and USAGE, as the store's probe. */
  async probe(): Promise<void> {
    await this.#parts.store.probe()
    this.#probed = true
  }

  start(): void {
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    const { logs, interval, now } = this.#parts
    const all = logs.map(({ origin }) => origin)
    for (let due = 0; !this.#stopped; ) {
      // A store that was away when the witness started.
      if (!this.#probed) await this.#watched(all, () => this.probe())
      if (this.#probed) {
        await this.#keepEvidence()
        if (now() >= due) {
          for (const { origin, snapshotter } of logs)
            await this.#watched([origin], () => this.#copy(origin, snapshotter))
          due = now() + interval
        }
      }
      if (!this.#stopped) await this.#pause(Math.min(interval, EVIDENCE_INTERVAL))
    }
  }

  async #keepEvidence(): Promise<void> {
    const { state, store } = this.#parts
    for (const evidence of state.copies.unkeptEvidence()) {
      await this.#watched([evidence.origin], async () => {
        const target = { store, folder: faultFolder(evidence.origin), retainUntil: this.#until() }
        await putNamed(target, 'fault', toUtf8(evidence.evidence))
        // Dies before this: it is put once more, and found there.
        state.copies.keepEvidence(evidence)
      })
    }
  }

  async #copy(origin: string, snapshotter: Snapshotter): Promise<void> {
    const { alerts, metrics, now } = this.#parts
    await snapshotter.step()
    metrics.snapshotted(origin, now() / 1_000)
    alerts.settle(origin, 'no-snapshot')
    alerts.settle(origin, 'worm-broken')
  }

  async #watched(origins: readonly string[], work: () => Promise<void>): Promise<void> {
    if (this.#stopped) return
    try {
      await work()
    } catch (err) {
      // Whoever stops the witness cuts its connections.
      if (this.#stopped) return
      if (!(err instanceof TreelineError)) return this.#parts.logger.error({ err }, 'a snapshot failed')
      const kind = err.code === 'WORM_BROKEN' ? 'worm-broken' : 'no-snapshot'
      for (const origin of origins) this.#parts.alerts.raise({ origin, kind, why: err.message })
    }
  }

  /** Whole seconds, as stores keep them. */
  #until = (): number => 1_000 * Math.ceil((this.#parts.now() + this.#parts.state.retention) / 1_000)

  #pause(ms: number): Promise<void> {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#wake()
    await Promise.all([this.#parts.store.close(), ...this.#parts.logs.map(({ reader }) => reader.close())])
    await this.#running
  }
}
