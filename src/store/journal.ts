/**
 * The write-ahead journal of a log is copied into its database by a thread of its own, so that no commit waits for the disk to take megabytes. A
 * commit copies only where the journal has grown past what that thread should have left: SQLite can begin the file anew only when all of it is
 * copied, and under load something is always added meanwhile.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type Database from 'better-sqlite3'
import { PAGE_BYTES } from './schema.ts'

/** Pages from which on the thread copies them, and from which on a commit does. */
const THREAD_PAGES = 1_000
const COMMIT_PAGES = 4_000
/** Bytes that the file keeps when it begins anew: one that a reader of minutes (a backup, a whole check) made long would stay so for ever. */
export const JOURNAL_LIMIT = 2 * COMMIT_PAGES * PAGE_BYTES

export class Journal {
  readonly #file: string
  readonly #state
  #thread: Worker | undefined
  /** Stays once the thread is gone: then it is never asked again. */
  #copying: PromiseWithResolvers<void> | undefined
  #closed = false

  constructor(db: Database.Database) {
    this.#file = db.name
    db.pragma(`wal_autocheckpoint = ${COMMIT_PAGES}`)
    db.pragma(`journal_size_limit = ${JOURNAL_LIMIT}`)
    this.#state = db.prepare<[], { log: number; checkpointed: number }>('PRAGMA wal_checkpoint(NOOP)')
  }

  /** Has the thread copy what is worth it; does not wait for it. The first time it starts the thread: a log that hardly grows has none. */
  maintain(): void {
    if (this.#copying !== undefined || this.#closed) return
    const { log, checkpointed } = this.#state.get()!
    if (log - checkpointed < THREAD_PAGES) return
    this.#thread ??= this.#start()
    this.#copying = Promise.withResolvers()
    this.#thread.postMessage('copy')
  }

  /** Resolves when the thread copies nothing: beside it a journal cannot be emptied, and for it alone nobody need try again. */
  async idle(): Promise<void> {
    if (this.#copying === undefined) return
    // Whoever waits for it wants the process to go on until then.
    this.#thread?.ref()
    await this.#copying.promise
    this.#thread?.unref()
  }

  /** What was not copied is in the journal still, and the next to open the file finds it there. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#thread?.terminate()
  }

  #start(): Worker {
    const thread = new Worker(new URL(`journal-worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: this.#file,
    })
    thread.unref()
    thread.on('message', () => {
      this.#copying?.resolve()
      this.#copying = undefined
    })
    thread.on('exit', () => this.#copying?.resolve())
    // The disk refused, or the thread could not start: nothing is lost. Commits do it from now on, and fail as they would have without a thread.
    thread.on('error', () => {})
    return thread
  }
}
