/** Tells people: a line in the log, a line in a file that is synced, a counter, and a message to a webhook. */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { Agent, request } from 'undici'
import type { Logger } from './http.ts'
import type { Metrics } from './metrics.ts'

/**
 * `stale`, `unverifiable` and `no-snapshot` may be the network's fault; `worm-broken` is that of the store of snapshots; `missing` and `back-dated` are for a
 * person to judge; the last two freeze.
 */
export type AlertKind =
  | 'stale'
  | 'unverifiable'
  | 'no-snapshot'
  | 'worm-broken'
  | 'missing'
  | 'back-dated'
  | 'invalid-entry'
  | 'fork'

export interface Alert {
  readonly origin: string
  readonly kind: AlertKind
  readonly why: string
}

export interface AlertParts {
  /** NDJSON, appended to. */
  readonly file: string
  readonly webhook: string | undefined
  readonly metrics: Metrics
  readonly logger: Logger
  readonly now: () => number
}

export class Alerts {
  readonly #parts: AlertParts
  readonly #agent = new Agent({
    connect: { timeout: 5_000 },
    headersTimeout: 10_000,
    bodyTimeout: 10_000,
    maxResponseSize: 65_536,
  })
  /** What was said last of an origin and kind: the same again would only hide what is new. */
  readonly #said = new Map<string, string>()
  #sending: Promise<void> = Promise.resolve()

  constructor(parts: AlertParts) {
    this.#parts = parts
  }

  raise(alert: Alert): void {
    const key = `${alert.kind} ${alert.origin}`
    if (this.#said.get(key) === alert.why) return
    this.#said.set(key, alert.why)
    const { metrics, logger, file, now } = this.#parts
    metrics.alerted(alert.origin, alert.kind)
    logger.warn(alert, 'alert')
    const line = JSON.stringify({ time: now(), ...alert })
    try {
      append(file, `${line}\n`)
    } catch (err) {
      logger.error({ err }, 'the file of alerts could not be written')
    }
    this.#sending = this.#sending.then(() => this.#send(line))
  }

  /** The trouble has passed; the next one is told again. */
  settle(origin: string, kind: AlertKind): void {
    this.#said.delete(`${kind} ${origin}`)
  }

  async #send(line: string): Promise<void> {
    const { webhook, logger } = this.#parts
    if (webhook === undefined) return
    for (const pause of [0, 1_000, 5_000]) {
      await new Promise((resolve) => setTimeout(resolve, pause))
      try {
        const { statusCode, body } = await request(webhook, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: line,
          dispatcher: this.#agent,
          signal: AbortSignal.timeout(10_000),
        })
        await body.dump()
        if (statusCode < 300) return
        throw new Error(`status ${statusCode}`)
      } catch (err) {
        logger.error({ err }, 'the webhook did not take an alert')
      }
    }
  }

  /** Everything that was raised is told, or given up, when it resolves. */
  async close(): Promise<void> {
    await this.#sending
    await this.#agent.destroy()
  }
}

function append(file: string, line: string): void {
  const handle = openSync(file, 'a', 0o600)
  try {
    writeSync(handle, line)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
