/** Audits every log that has a URL, again and again, each by itself: one that answers slowly holds up no other. */
import { setTimeout } from 'node:timers/promises'
import type { Auditor } from './auditor.ts'
import type { Logger } from './http.ts'
import type { LogReader } from './log-reader.ts'

export interface Watched {
  readonly auditor: Pick<Auditor, 'step'>
  readonly reader: Pick<LogReader, 'close'>
}

/** Audits that run at once: each holds requests and answers in memory. */
const AT_ONCE = 4

export class Watch {
  readonly #logs: readonly Watched[]
  readonly #interval: number
  readonly #logger: Logger
  readonly #stopping = new AbortController()
  #audits = 0
  /** Those whose audit is due, in the order in which it came to be. */
  readonly #due: (() => void)[] = []
  #following: Promise<unknown> = Promise.resolve()

  /** `interval` is between the end of one audit of a log and its next, ms. */
  constructor(logs: readonly Watched[], interval: number, logger: Logger) {
    this.#logs = logs
    this.#interval = interval
    this.#logger = logger
  }

  start(): void {
    this.#following = Promise.all(this.#logs.map((log) => this.#follow(log)))
  }

  async #follow({ auditor }: Watched): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await this.#turn()
      try {
        if (!signal.aborted) await auditor.step()
      } catch (err) {
        // A bug, or a state that cannot be written: the next audit tries again, and cosigning goes its own way.
        this.#logger.error({ err }, 'an audit failed')
      }
      this.#pass()
      await setTimeout(this.#interval, undefined, { signal }).catch(() => {})
    }
  }

  async #turn(): Promise<void> {
    if (this.#audits < AT_ONCE) this.#audits++
    else await new Promise<void>((resolve) => this.#due.push(resolve))
  }

  /** Whoever waits longest takes the place over, so that nobody who comes now is before them. */
  #pass(): void {
    const next = this.#due.shift()
    if (next === undefined) this.#audits--
    else next()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#logs.map(({ reader }) => reader.close()))
    await this.#following
  }
}
