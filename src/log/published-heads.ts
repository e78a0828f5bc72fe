/** What everybody can read. */
export interface PublishedHead {
  readonly size: number
  readonly note: string
  /** Whether a full quorum of the witness policy cosigned it; false in a log without one. */
  readonly witnessed: boolean
}

/** The last published head, and whoever waits for one. */
export class PublishedHeads {
  #current: PublishedHead | undefined
  readonly #waiting = new Set<{ readonly size: number; readonly resolve: (head: PublishedHead) => void }>()

  constructor(initial: PublishedHead | undefined) {
    this.#current = initial
  }

  /** Undefined before the first. */
  get current(): PublishedHead | undefined {
    return this.#current
  }

  /** Everybody can read it from now on. */
  set(head: PublishedHead): void {
    this.#current = head
    for (const { size, resolve } of this.#waiting) if (size <= head.size) resolve(head)
  }

  /** The first head that covers `size` entries and is published within `patience` (ms) and before the signal, or undefined. */
  async covering(size: number, patience: number, signal?: AbortSignal): Promise<PublishedHead | undefined> {
    if (this.#current !== undefined && this.#current.size >= size) return this.#current
    if (signal?.aborted) return undefined
    const { promise, resolve } = Promise.withResolvers<PublishedHead | undefined>()
    const waiting = { size, resolve }
    const giveUp = (): void => resolve(undefined)
    const timer = setTimeout(giveUp, patience)
    signal?.addEventListener('abort', giveUp)
    this.#waiting.add(waiting)
    const head = await promise
    clearTimeout(timer)
    signal?.removeEventListener('abort', giveUp)
    this.#waiting.delete(waiting)
    return head
  }
}
