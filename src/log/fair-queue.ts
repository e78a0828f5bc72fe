/** Who holds how much of a queue: one that sends faster than the disk writes must not make the others wait outside. */

interface Share {
  entries: number
  bytes: number
}

export interface QueueBounds {
  readonly queueEntries: number
  readonly queueBytes: number
}

export class FairQueue {
  readonly #bounds: QueueBounds
  readonly #shares = new Map<string, Share>()
  #entries = 0
  #bytes = 0

  constructor(bounds: QueueBounds) {
    this.#bounds = bounds
  }

  get entries(): number {
    return this.#entries
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Whether there is room for `size` bytes more of this source. While less than half is taken, whoever comes is taken; from there on nobody may hold more
   * than an equal part of the whole, so that a source which comes new finds room. Without a source, only the whole counts.
   */
  hasRoom(source: string | undefined, size: number): boolean {
    const { queueEntries, queueBytes } = this.#bounds
    if (this.#entries >= queueEntries || this.#bytes + size > queueBytes) return false
    if (source === undefined || (2 * this.#entries < queueEntries && 2 * this.#bytes < queueBytes)) return true
    const held = this.#shares.get(source)
    if (held === undefined) return true
    const sources = this.#shares.size
    return held.entries < queueEntries / sources && held.bytes + size <= queueBytes / sources
  }

  add(source: string | undefined, size: number): void {
    this.#entries++
    this.#bytes += size
    if (source === undefined) return
    const share = this.#shares.get(source)
    if (share === undefined) this.#shares.set(source, { entries: 1, bytes: size })
    else {
      share.entries++
      share.bytes += size
    }
  }

  remove(source: string | undefined, size: number): void {
    this.#entries--
    this.#bytes -= size
    const share = source === undefined ? undefined : this.#shares.get(source)
    if (share === undefined) return
    share.entries--
    share.bytes -= size
    if (share.entries === 0) this.#shares.delete(source!)
  }
}
