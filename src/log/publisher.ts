import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type PublishedHead, PublishedHeads } from './published-heads.ts'
import type { SignedHead } from './sequencer.ts'

export interface PublisherOptions {
  /** The file of the last published checkpoint: outside the database, so that a rolled-back database shows. */
  readonly file: string
  readonly initial: PublishedHead | undefined
  /** Collects cosignatures; absent in a log without witnesses. */
  readonly cosign?: (head: SignedHead) => Promise<{ readonly note: string; readonly witnessed: boolean }>
  /** Keeps a witnessed head for evidence, durably, before anyone can read it. */
  readonly keep: (head: PublishedHead) => Promise<void>
  /** Least time between two published checkpoints, ms. */
  readonly interval: number
  /** Told of every head that everybody can read from now on. */
  readonly onPublished: (head: PublishedHead) => void
  readonly onFailure: (error: unknown) => void
}

/** How long after a failure the next try comes, ms. */
const RETRY = 1_000

/**
 * Makes heads public: at once when the last one is old enough, else when it is. Never out of order, and in a log with witnesses never
 * without their quorum: until it is there again the last witnessed head stays, and appending goes on.
 */
export class Publisher {
  readonly #options: PublisherOptions
  readonly #heads: PublishedHeads
  #next: SignedHead | undefined
  #timer: NodeJS.Timeout | undefined
  #work: Promise<void> = Promise.resolve()
  #lastTime = Number.NEGATIVE_INFINITY
  /** When the oldest head that nobody can read yet was offered, ms of the monotonic clock. */
  #waitingSince: number | undefined
  #closed = false

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#heads = new PublishedHeads(options.initial)
  }

  /** The last published head; undefined before the first. */
  get published(): PublishedHead | undefined {
    return this.#heads.current
  }

  /** How long a head has been waiting to become public, seconds; 0 when none is. */
  get lag(): number {
    return this.#waitingSince === undefined ? 0 : (performance.now() - this.#waitingSince) / 1000
  }

  offer(head: SignedHead): void {
    this.#next = head
    this.#waitingSince ??= performance.now()
    if (this.#timer !== undefined) return
    const wait = Math.max(0, this.#lastTime + this.#options.interval - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#lastTime = performance.now()
      this.#work = this.#work.then(() => this.#publish())
    }, wait)
  }

  /** See `PublishedHeads`. */
  covering(size: number, patience: number, signal?: AbortSignal): Promise<PublishedHead | undefined> {
    return this.#heads.covering(size, patience, signal)
  }

  async #publish(): Promise<void> {
    const head = this.#next
    if (head === undefined) return
    this.#next = undefined
    const began = performance.now()
    try {
      const { cosign } = this.#options
      const { note, witnessed } = cosign ? await cosign(head) : { note: head.note, witnessed: false }
      if (cosign !== undefined && !witnessed) return this.#again(head)
      const published = { size: head.tree.size, note, witnessed }
      // On disk before anyone can read it: the start-up comparison must know of every head that was public.
      await replaceFile(this.#options.file, note)
      // Dies before: a public head that evidence will not be made against; the next one serves as well.
      if (witnessed) await this.#options.keep(published)
      this.#waitingSince = this.#next === undefined ? undefined : began
      this.#heads.set(published)
      this.#options.onPublished(published)
    } catch (error) {
      this.#options.onFailure(error)
      this.#again(head)
    }
  }

  /** A disk may have room again, or a quorum be there, although nothing is appended any more. */
  #again(head: SignedHead): void {
    this.#lastTime = performance.now() + RETRY - this.#options.interval
    if (!this.#closed) this.offer(this.#next ?? head)
  }

  /** Publishes what is waiting, and ends. */
  async close(): Promise<void> {
    this.#closed = true
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
