/** Audits every log that has a URL, one after the other, again and again. */
import type { Auditor } from './auditor.ts'
import type { Logger } from './http.ts'
import type { LogReader } from './log-reader.ts'

export interface Watched {
  readonly auditor: Auditor
  readonly reader: LogReader
}

export class Watch {
  readonly #logs: readonly Watched[]
  readonly #interval: number
  readonly #logger: Logger
  #stopped = false
  #wake: () => void = () => {}
  #running: Promise<void> = Promise.resolve()

  /** `interval` is between the end of one round and the next, ms. */
  constructor(logs: readonly Watched[], interval: number, logger: Logger) {
    this.#logs = logs
    this.#interval = interval
    this.#logger = logger
  }

  start(): void {
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (const { auditor } of this.#logs) {
        if (this.#stopped) return
        try {
          await auditor.step()
        } catch (err) {
          // A bug, or a state that cannot be written: the next round tries again, and cosigning goes its own way.
          this.#logger.error({ err }, 'an audit failed')
        }
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#interval)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#wake()
    await Promise.all(this.#logs.map(({ reader }) => reader.close()))
    await this.#running
  }
}
