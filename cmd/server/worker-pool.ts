/** The threads that serve, and what they hear of the logs. One that ends is replaced: its clients see their connections close, and ask again. */
import { createServer } from 'node:net'
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Metrics } from '../../src/http/metrics.ts'
import type { EventLog } from '../../src/log/events.ts'
import type { PublishedHead } from '../../src/log/published-heads.ts'
import type { SignedHead } from '../../src/log/sequencer.ts'
import { Gateway, type SharedLog } from '../../src/log/workers/gateway.ts'
import type { FromWorker, ToWorker } from '../../src/log/workers/messages.ts'
import type { Order, Report, WorkerSettings } from './worker.ts'

interface PoolParts {
  readonly count: number
  readonly settings: Omit<WorkerSettings, 'number'>
  readonly logs: ReadonlyMap<string, SharedLog>
  /** Told of a thread that ended by itself, and why. */
  readonly onDeath: (worker: number, error: unknown) => void
  readonly onBug: (error: unknown) => void
}

type Counted = Awaited<ReturnType<Metrics['count']>>

interface Running {
  readonly worker: Worker
  readonly gateway: Gateway
  readonly counting: Map<number, (metrics: Counted | undefined) => void>
  readonly ended: Promise<void>
  /** Whether it ended with every request answered; undefined while it runs, and when it died. */
  inTime: boolean | undefined
}

/** Before a thread that died is replaced, ms: one that cannot live must not keep the process busy. */
const RESTART = 200
/** How often logs are looked at that nobody has told of, ms: a witness can freeze one at any time. */
const LOOK = 200

export class WorkerPool {
  readonly #parts: PoolParts
  readonly #running = new Map<number, Running>()
  readonly #frozen = new Set<string>()
  readonly #look: NodeJS.Timeout
  #next = 0
  #closed = false

  private constructor(parts: PoolParts) {
    this.#parts = parts
    for (const [name, { log }] of parts.logs) if (log.frozen) this.#frozen.add(name)
    this.#look = setInterval(() => this.#tellOfFrozen(), LOOK)
  }

  /** Resolves when all of them listen. Throws what the first one that cannot throws. */
  static async start(parts: PoolParts): Promise<WorkerPool> {
    const pool = new WorkerPool(parts)
    try {
      await Promise.all(Array.from({ length: parts.count }, (_, number) => pool.#start(number)))
    } catch (error) {
      await pool.close(0)
      throw error
    }
    return pool
  }

  head(log: string, head: SignedHead, added: Parameters<Gateway['head']>[2]): void {
    for (const { gateway } of this.#running.values()) gateway.head(log, head, added)
  }

  published(log: string, head: PublishedHead): void {
    for (const { gateway } of this.#running.values()) gateway.published(log, head)
  }

  policy(log: string, events: EventLog): void {
    for (const { gateway } of this.#running.values()) gateway.policy(log, events)
  }

  reload(): void {
    this.#order({ kind: 'reload' })
  }

  /** What each thread has counted; a thread that ends meanwhile is left out. */
  async count(): Promise<Counted[]> {
    const id = this.#next++
    const all = [...this.#running.values()].map(
      ({ worker, counting }) =>
        new Promise<Counted | undefined>((resolve) => {
          counting.set(id, resolve)
          worker.postMessage({ kind: 'count', id } satisfies Order)
        }),
    )
    return (await Promise.all(all)).flatMap((one) => (one ? [one] : []))
  }

  /** No thread is left when it resolves: true when each has answered all its requests within `patience`, ms. */
  async close(patience: number): Promise<boolean> {
    this.#closed = true
    clearInterval(this.#look)
    const running = [...this.#running.values()]
    this.#order({ kind: 'stop', patience })
    // One that hangs gets no say in when the process ends.
    const late = setTimeout(() => {
      for (const { worker } of running) void worker.terminate()
    }, patience + 2_000)
    await Promise.all(running.map(({ ended }) => ended))
    clearTimeout(late)
    return running.every(({ inTime }) => inTime === true)
  }

  #order(order: Order): void {
    for (const { worker } of this.#running.values()) worker.postMessage(order)
  }

  #start(number: number): Promise<void> {
    const { settings, logs, onBug, onDeath } = this.#parts
    // The thread's file ends as this one does: .ts here, .js in a release.
    const worker = new Worker(new URL(`worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: { ...settings, number } satisfies WorkerSettings,
      execArgv: [],
      name: `serves ${number}`,
    })
    const post = (message: ToWorker, transfer: readonly ArrayBuffer[]): void =>
      worker.postMessage(message, transfer as ArrayBuffer[])
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const one: Running = {
      ...{ worker, ended, counting: new Map(), inTime: undefined },
      gateway: new Gateway({ logs, post, onBug }),
    }
    this.#running.set(number, one)
    return new Promise((resolve, reject) => {
      let error: unknown = new Error('the thread ended')
      worker.on('error', (thrown) => {
        error = thrown
      })
      worker.on('message', (message: FromWorker | Report) => {
        if (message.kind === 'listening') resolve()
        else if (message.kind === 'stopped') one.inTime = message.inTime
        else if (message.kind === 'counted') {
          one.counting.get(message.id)?.(message.metrics)
          one.counting.delete(message.id)
        } else one.gateway.heard(message)
      })
      worker.once('exit', () => {
        one.gateway.close()
        for (const give of one.counting.values()) give(undefined)
        this.#running.delete(number)
        end()
        reject(error)
        if (this.#closed) return
        onDeath(number, error)
        void this.#replace(number)
      })
    })
  }

  async #replace(number: number): Promise<void> {
    await sleep(RESTART, undefined, { ref: false })
    // Its own death, if it cannot start, brings the next one.
    if (!this.#closed) await this.#start(number).catch(() => {})
  }

  #tellOfFrozen(): void {
    for (const [name, { log }] of this.#parts.logs) {
      if (log.frozen === undefined || this.#frozen.has(name)) continue
      this.#frozen.add(name)
      for (const { gateway } of this.#running.values()) gateway.frozen(name, log.frozen)
    }
  }
}

/**
 * The port that threads can share, of a free one where it is 0. With SO_REUSEPORT a second server would get half of the connections instead of an
 * error, so it is taken once without.
 */
export function freePort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen({ host, port }, () => {
      const address = probe.address() as { readonly port: number }
      probe.close(() => resolve(address.port))
    })
  })
}
