/**
 * After a start no tile of a log is in the memory of the system, and each random proof would wait for the disk at its place in the only thread. So threads
 * of their own read them once, the newest first, as far as memory is free: pages that the system gives up again for anything better.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** A disk answers both in little more than the time of one; four were no better on two cores. */
const THREADS = 2

/** Of the memory that is free. */
const SHARE = 1 / 4

/** Tiles of a log that is read soon enough by whoever asks: threads would cost it more. */
export const FEW_TILES = 1_024

/** One thread reads every `THREADS`th piece. */
export interface WarmingData {
  readonly file: string
  readonly number: number
  readonly threads: number
  /** How much is to be read at most, bytes. */
  readonly most: number
}

export class Warming {
  readonly #threads: readonly Worker[]
  /** Resolves when everything was read that is to be, or the threads were ended. */
  readonly ended: Promise<void>

  /** `most`: bytes that are read at most. */
  constructor(file: string, most = process.availableMemory() * SHARE) {
    this.#threads = Array.from({ length: THREADS }, (_, number) => {
      const workerData: WarmingData = { file, number, threads: THREADS, most: most / THREADS }
      const thread = new Worker(new URL(`warming-worker${extname(import.meta.url)}`, import.meta.url), { workerData })
      thread.unref()
      // Whatever it could not read, nobody waits for: a proof that needs it says so.
      thread.on('error', () => {})
      return thread
    })
    const exits = this.#threads.map((thread) => new Promise((resolve) => thread.once('exit', resolve)))
    this.ended = Promise.all(exits).then(() => {})
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()))
  }
}
