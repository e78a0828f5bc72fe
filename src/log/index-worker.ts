/** The thread that keeps the indexes of all logs behind their heads: it alone writes them, and nobody waits for it but an erasure. */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { IndexWriter } from '../store/index-writer.ts'
import { type IndexedLog, Indexer, isCorrupt } from './indexer.ts'

export type IndexRequest =
  | { readonly kind: 'wake'; readonly log: string }
  | { readonly kind: 'renew'; readonly log: string; readonly why: string }
  | { readonly kind: 'erase'; readonly log: string; readonly indexes: readonly number[]; readonly id: number }
  | { readonly kind: 'close' }

export type IndexReport =
  | { readonly kind: 'at'; readonly log: string; readonly size: number; readonly idle: boolean }
  | { readonly kind: 'erased'; readonly id: number; readonly erased: boolean }
  | { readonly kind: 'renewed'; readonly log: string; readonly why: string }
  | { readonly kind: 'failed'; readonly log: string; readonly code: string; readonly message: string }

/**
 * A step that took all there was is followed by a rest of so many times its own length, within limits in ms. What a transaction costs is mostly
 * pages, so a few long steps leave more of the machine to whoever appends than many short ones. Search is behind by a second at most for it.
 */
const REST = 4
const SHORTEST_REST = 40
const LONGEST_REST = 800
/** After a failure, ms. */
const RETRY = 5_000

const port = parentPort!
const report = (message: IndexReport): void => port.postMessage(message)

class LogThread {
  readonly #files: IndexedLog
  #indexer: Indexer | undefined
  #running = false
  #timer: NodeJS.Timeout | undefined

  constructor(files: IndexedLog) {
    this.#files = files
  }

  #renewed = (why: string): void => report({ kind: 'renewed', log: this.#files.name, why })

  wake(): void {
    if (this.#running) return
    this.#running = true
    setImmediate(() => this.#run())
  }

  async #open(): Promise<Indexer> {
    const indexer = await Indexer.open(this.#files, this.#renewed)
    // From here on it is an index of this log, and may be asked.
    report({ kind: 'at', log: this.#files.name, size: indexer.size, idle: false })
    return indexer
  }

  async #run(): Promise<void> {
    try {
      this.#indexer ??= await this.#open()
      const began = performance.now()
      const idle = (await this.#indexer.step()) === 0
      const rest = Math.min(LONGEST_REST, Math.max(SHORTEST_REST, REST * (performance.now() - began)))
      report({ kind: 'at', log: this.#files.name, size: this.#indexer.size, idle })
      this.#running = !idle
      if (!idle) this.#timer = setTimeout(() => this.#run(), this.#indexer.behind > 0 ? 0 : rest)
    } catch (error) {
      await this.#failed(error)
      // A broken file is made again at once; a full disk may be emptied, and a bug of ours must not spin.
      const code = codeOf(error)
      if (isCorrupt(code)) this.#remove(code)
      this.#timer = setTimeout(() => this.#run(), isCorrupt(code) ? 0 : RETRY)
    }
  }

  async #failed(error: unknown): Promise<void> {
    const message = (error as Error).stack ?? String(error)
    report({ kind: 'failed', log: this.#files.name, code: codeOf(error), message })
    await this.#abandon()
  }

  #remove(why: string): void {
    IndexWriter.remove(this.#files.index)
    this.#renewed(why)
  }

  async #abandon(): Promise<void> {
    const indexer = this.#indexer
    this.#indexer = undefined
    await indexer?.close()
  }

  async renew(why: string): Promise<void> {
    this.#indexer?.renew(this.#renewed, why)
    this.wake()
  }

  async erase(indexes: readonly number[]): Promise<boolean> {
    try {
      this.#indexer ??= await this.#open()
      return this.#indexer.erase(indexes)
    } catch (error) {
      await this.#failed(error)
      // What cannot be cleaned is thrown away: it is only an index.
      this.#remove('an erasure failed')
      return true
    } finally {
      this.wake()
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#running = true
    await this.#abandon()
  }
}

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? ''

// Of this thread alone, on Linux: where there are fewer processors than work, appending goes first.
try {
  setPriority(0, 5)
} catch {
  // Then they share.
}

const threads = new Map((workerData as readonly IndexedLog[]).map((files) => [files.name, new LogThread(files)]))
for (const thread of threads.values()) thread.wake()

port.on('message', async (request: IndexRequest) => {
  if (request.kind === 'close') {
    for (const thread of threads.values()) await thread.close()
    port.close()
    return
  }
  const thread = threads.get(request.log)!
  if (request.kind === 'wake') thread.wake()
  else if (request.kind === 'renew') await thread.renew(request.why)
  else report({ kind: 'erased', id: request.id, erased: await thread.erase(request.indexes) })
})
