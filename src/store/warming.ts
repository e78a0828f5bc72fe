/**
 * After a start no tile of a log is in the memory of the system, and each random proof would wait for the disk at its place in the only thread. So a thread
 * of its own reads them once, the newest first, as far as memory is free: pages that the system gives up again for anything better.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** Of the memory that is free. */
const SHARE = 1 / 4

/** Tiles of a log that is read at once by whoever asks: a thread would cost it more. */
export const FEW_TILES = 1_024

export interface WarmingData {
  readonly file: string
  /** How much is to be read at most, bytes. */
  readonly most: number
}

export class Warming {
  readonly #thread: Worker

  constructor(file: string) {
    const workerData: WarmingData = { file, most: process.availableMemory() * SHARE }
    this.#thread = new Worker(new URL(`warming-worker${extname(import.meta.url)}`, import.meta.url), { workerData })
    this.#thread.unref()
    // Whatever it could not read, nobody waits for: a proof that needs it says so.
    this.#thread.on('error', () => {})
  }

  async close(): Promise<void> {
    await this.#thread.terminate()
  }
}
