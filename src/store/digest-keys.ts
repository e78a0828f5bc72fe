/** Keys of the sorted runs of digests, read in order: bytes of a digest, then an index. */

/** Bytes of the digest, and of the whole key. */
export const PREFIX = 6
export const KEY = PREFIX + 5

export const uint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/** `name` is the digest as text of one byte a character, and so is the key. */
export function makeKey(name: string, index: number): string {
  const high = Math.floor(index / 2 ** 32)
  return (
    name.slice(0, PREFIX) +
    String.fromCharCode(high, (index >>> 24) & 0xff, (index >>> 16) & 0xff, (index >>> 8) & 0xff, index & 0xff)
  )
}

/** Ascending keys; each stands in `bytes` at `at` until the next one is asked for. No object for each: a log of millions merges millions. */
export interface SortedKeys {
  readonly bytes: Uint8Array
  readonly at: number
  /** False behind the last one. */
  next(): boolean
}

/** Those of some pages. */
export class Keys implements SortedKeys {
  readonly #pages: Iterator<Uint8Array>
  bytes: Uint8Array = new Uint8Array(0)
  at = -KEY
  /** Of the key, as a number; past all of them behind the last one. */
  prefix = 0

  constructor(pages: Iterator<Uint8Array>) {
    this.#pages = pages
  }

  next(): boolean {
    this.at += KEY
    while (this.at >= this.bytes.length) {
      const { done, value } = this.#pages.next()
      if (done) {
        this.prefix = Number.POSITIVE_INFINITY
        return false
      }
      this.bytes = value
      this.at = 0
    }
    const { bytes, at } = this
    this.prefix = uint32(bytes, at) * 2 ** 16 + ((bytes[at + 4]! << 8) | bytes[at + 5]!)
    return true
  }
}

/** Those of runs that follow each other: of equal prefixes the earlier run has the lesser indexes, and goes first. */
export class MergedKeys implements SortedKeys {
  readonly #runs: readonly Keys[]
  #least: Keys | undefined

  constructor(runs: readonly Keys[]) {
    this.#runs = runs
  }

  get bytes(): Uint8Array {
    return this.#least!.bytes
  }

  get at(): number {
    return this.#least!.at
  }

  next(): boolean {
    if (this.#least === undefined) for (const run of this.#runs) run.next()
    else this.#least.next()
    let least = this.#runs[0]!
    for (const run of this.#runs) if (run.prefix < least.prefix) least = run
    this.#least = least
    return least.prefix !== Number.POSITIVE_INFINITY
  }
}

/** A digest as what a Map finds it by. */
export const nameOf = (digest: Uint8Array): string =>
  Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('latin1')
