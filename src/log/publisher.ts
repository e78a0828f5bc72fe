import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SignedHead } from './sequencer.ts'

export interface PublisherOptions {
  /** The file of the last published checkpoint: outside the database, so that a rolled-back database shows. */
  readonly file: string
  readonly initial: SignedHead | undefined
  /** Least time between two published checkpoints, ms. */
  readonly interval: number
  readonly onFailure: (error: unknown) => void
}

/** Makes heads public: at once when the last one is old enough, else when it is. Never out of order. */
export class Publisher {
  readonly #options: PublisherOptions
  #published: SignedHead | undefined
  #next: SignedHead | undefined
  #timer: NodeJS.Timeout | undefined
  #work: Promise<void> = Promise.resolve()
  #lastTime = Number.NEGATIVE_INFINITY

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#published = options.initial
  }

  /** The last published head; undefined before the first. */
  get published(): SignedHead | undefined {
    return this.#published
  }

  offer(head: SignedHead): void {
    this.#next = head
    if (this.#timer !== undefined) return
    const wait = Math.max(0, this.#lastTime + this.#options.interval - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#lastTime = performance.now()
      this.#work = this.#work.then(() => this.#publish())
    }, wait)
  }

  async #publish(): Promise<void> {
    const head = this.#next
    if (head === undefined) return
    this.#next = undefined
    try {
      // On disk before anyone can read it: the start-up comparison must know of every head that was public.
      await replaceFile(this.#options.file, head.note)
      this.#published = head
    } catch (error) {
      this.#options.onFailure(error)
    }
  }

  /** Publishes what is waiting, and ends. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#work
    await this.#publish()
  }
}

/** Writes beside, syncs, renames, syncs the folder: a crash leaves the old content or the new. */
async function replaceFile(file: string, content: string): Promise<void> {
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w')
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  const folder = await open(dirname(file), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
