/**
 * Search and lineage of the logs of a server: two threads beside the one that appends. One follows the heads and writes the indexes, the other
 * answers. Whatever becomes of the threads or of their files, the logs go on.
 */
import { extname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { TreelineError } from '../core/errors.ts'
import type { IndexReport, IndexRequest } from './index-worker.ts'
import { type IndexedLog, isCorrupt } from './indexer.ts'
import type { LineageAnswer, LineageQuestion } from './lineage-source.ts'
import type { QueryReport, QueryRequest, Question } from './query-worker.ts'
import type { ListAnswer, ListQuestion } from './search.ts'

export interface ProjectionsParts {
  readonly logs: readonly IndexedLog[]
  /** Told of what broke; nothing of the log is broken by that. */
  readonly onFailure: (error: unknown, log: string) => void
  /** Told when an index is made again from nothing, and why. */
  readonly onRenewed: (log: string, why: string) => void
}

/** Questions that may wait for the thread that answers. */
const MAX_WAITING = 64
/** For the thread that writes to open the indexes, ms. */
const START = 10_000
/** Before a thread that ended is started again, ms. */
const RESTART = 2_000

interface Waiting {
  readonly ask: Question
  readonly resolve: (answer: never) => void
  readonly reject: (error: unknown) => void
}

export class Projections {
  readonly #parts: ProjectionsParts
  readonly #names: ReadonlySet<string>
  readonly #sizes = new Map<string, number>()
  /** Logs whose thread has not yet said that it is idle: it looks at the head again by itself. */
  readonly #awake = new Set<string>()
  /** Heads that came meanwhile. */
  readonly #stale = new Set<string>()
  readonly #erasures = new Map<number, (erased: boolean) => void>()
  readonly #queue: Waiting[] = []
  #current: Waiting | undefined
  #writer: Worker | undefined
  #reader: Worker | undefined
  #next = 0
  #closed = false

  constructor(parts: ProjectionsParts) {
    this.#parts = parts
    this.#names = new Set(parts.logs.map(({ name }) => name))
    this.#startWriter()
  }

  /** Entries of a log that are in its index. */
  size(log: string): number {
    return this.#sizes.get(log) ?? 0
  }

  /** Says that the log has a new head. Costs the log a message at most, and none while the thread is at work. */
  wake(log: string): void {
    if (this.#awake.has(log)) this.#stale.add(log)
    else if (this.#names.has(log)) {
      this.#awake.add(log)
      this.#tell({ kind: 'wake', log })
    }
  }

  /** Whether nothing that came from the payloads of these entries is left in the index of the log. */
  erase(log: string, indexes: readonly number[]): Promise<boolean> {
    if (!this.#names.has(log)) return Promise.resolve(true)
    if (this.#writer === undefined) return Promise.resolve(false)
    const id = this.#next++
    return new Promise((resolve) => {
      this.#erasures.set(id, resolve)
      this.#tell({ kind: 'erase', log, indexes, id })
    })
  }

  /** Throws RATE_LIMITED when too many wait, and STORAGE_FAILED while the index cannot be read. */
  async list(question: ListQuestion): Promise<ListAnswer> {
    await this.#ready([question.log])
    return this.#ask({ kind: 'list', question })
  }

  /** Throws the same. */
  async lineage(question: LineageQuestion): Promise<LineageAnswer> {
    await this.#ready(question.logs.map(({ name }) => name))
    return this.#ask({ kind: 'lineage', question })
  }

  /** At the start a file may be of another log, or of another history: nobody is answered from it before that is known. */
  async #ready(logs: readonly string[]): Promise<void> {
    const deadline = performance.now() + START
    while (!logs.every((log) => this.#sizes.has(log))) {
      if (this.#closed || performance.now() > deadline) throw unreadable(new Error('the index is not open yet'))
      await setTimeout(20)
    }
  }

  #ask<T>(ask: Question): Promise<T> {
    if (this.#queue.length >= MAX_WAITING)
      return Promise.reject(new TreelineError('RATE_LIMITED', 'too many searches wait for an answer: try again later'))
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ ask, resolve, reject })
      this.#pump()
    })
  }

  /** One question at a time, and none while something is erased: what a question reads cannot be taken out of the journal. */
  #pump(): void {
    if (this.#current !== undefined || this.#erasures.size > 0) return
    this.#current = this.#queue.shift()
    if (this.#current === undefined) return
    this.#reader ??= this.#startReader()
    this.#reader.postMessage({ kind: 'ask', ask: this.#current.ask } satisfies QueryRequest)
  }

  #settle(): Waiting | undefined {
    const settled = this.#current
    this.#current = undefined
    // After the answer has been given.
    queueMicrotask(() => this.#pump())
    return settled
  }

  #tell(request: IndexRequest): void {
    this.#writer?.postMessage(request)
  }

  #startWriter(): void {
    const { logs } = this.#parts
    // It looks at every head as it starts.
    for (const { name } of logs) this.#awake.add(name)
    this.#writer = start('index-worker', logs, {
      onMessage: (report: IndexReport) => this.#heard(report),
      onEnd: (error) => {
        this.#writer = undefined
        for (const resolve of this.#erasures.values()) resolve(false)
        this.#erasures.clear()
        this.#pump()
        if (this.#closed) return
        this.#parts.onFailure(error, logs[0]!.name)
        void setTimeout(RESTART, undefined, { ref: false }).then(() => this.#closed || this.#startWriter())
      },
    })
  }

  #heard(report: IndexReport): void {
    if (report.kind === 'erased') {
      this.#erasures.get(report.id)?.(report.erased)
      this.#erasures.delete(report.id)
      this.#pump()
    } else if (report.kind === 'failed') this.#parts.onFailure(thrown(report), report.log)
    else if (report.kind === 'renewed') {
      this.#parts.onRenewed(report.log, report.why)
      this.#reader?.postMessage({ kind: 'reopen', log: report.log } satisfies QueryRequest)
    } else {
      this.#sizes.set(report.log, report.size)
      if (!report.idle) return
      this.#awake.delete(report.log)
      // It may have looked just before.
      if (this.#stale.delete(report.log)) this.wake(report.log)
    }
  }

  #startReader(): Worker {
    return start('query-worker', this.#parts.logs, {
      onMessage: (report: QueryReport) => this.#answered(report),
      onEnd: (error) => {
        // The next question starts another one.
        this.#reader = undefined
        this.#settle()?.reject(unreadable(error))
        if (!this.#closed) this.#parts.onFailure(error, this.#parts.logs[0]!.name)
      },
    })
  }

  #answered(report: QueryReport): void {
    const waiting = this.#settle()
    if ('answer' in report) {
      waiting?.resolve(report.answer as never)
      return
    }
    waiting?.reject(unreadable(thrown(report)))
    const { broken, code, message } = report
    this.#parts.onFailure(thrown(report), broken ?? this.#parts.logs[0]!.name)
    // Whatever else it was, a new index would not help.
    if (broken !== undefined && isCorrupt(code)) this.#tell({ kind: 'renew', log: broken, why: message })
  }

  /** Nothing is written to an index any more when it resolves. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { reject } of this.#queue.splice(0)) reject(unreadable(new Error('the server stops')))
    const ended = [this.#writer, this.#reader].map(
      (worker) => worker && new Promise((resolve) => worker.once('exit', resolve)),
    )
    this.#tell({ kind: 'close' })
    this.#reader?.postMessage({ kind: 'close' } satisfies QueryRequest)
    await Promise.all(ended)
  }
}

/** Errors lose all but their text between threads. */
const thrown = ({ code, message }: { readonly code: string; readonly message: string }): Error =>
  Object.assign(new Error(message), { code })

const unreadable = (cause: unknown): TreelineError =>
  new TreelineError(
    'STORAGE_FAILED',
    'the index of the log cannot be read at the moment: try again later, or read the log itself',
    {},
    { cause },
  )

function start<T>(
  file: string,
  logs: readonly IndexedLog[],
  on: { readonly onMessage: (message: T) => void; readonly onEnd: (error: unknown) => void },
): Worker {
  // The thread's file ends as this one does: .ts here, .js in a release.
  const worker = new Worker(new URL(file + extname(import.meta.url), import.meta.url), {
    workerData: logs,
    execArgv: [],
  })
  let error: unknown = new Error(`the thread of ${file} ended`)
  worker.on('message', on.onMessage)
  worker.on('error', (thrown) => {
    error = thrown
  })
  worker.on('exit', () => on.onEnd(error))
  return worker
}
