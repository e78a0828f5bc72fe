/**
 * Which digests a sorted run cannot have: a Bloom filter for each of its pages, all of them in memory. Most look-ups are of digests that are in no run,
 * and without it each of them would read a page of every run: a dozen in a log of ten million entries. Stored beside the pages in pieces, for a start that
 * would read and hash all keys again.
 */

/** Of one page: ten for each of its mean number of keys. With six probes one unknown digest in a hundred passes. */
const BITS = 13_600
const BYTES = BITS / 8
const PROBES = 6

/** Pages whose filters are one piece: as many as fit a page of SQLite. */
export const PIECE_PAGES = 9

export class DigestFilter {
  readonly #bits: Uint8Array
  readonly pieces: number

  constructor(pages: number) {
    this.#bits = new Uint8Array(pages * BYTES)
    this.pieces = Math.ceil(pages / PIECE_PAGES)
  }

  /** A view: whoever writes to it sets the filter. */
  piece(number: number): Uint8Array {
    return this.#bits.subarray(number * PIECE_PAGES * BYTES, (number + 1) * PIECE_PAGES * BYTES)
  }

  /** `key` has the first six bytes of a digest at `at`. */
  add(page: number, key: Uint8Array, at = 0): void {
    const step = stepOf(key, at)
    for (let i = 0, bit = firstOf(key, at); i < PROBES; i++, bit = (bit + step) % BITS)
      this.#bits[page * BYTES + (bit >> 3)]! |= 1 << (bit & 7)
  }

  /** False only for what was never added. */
  mayHave(page: number, key: Uint8Array, at = 0): boolean {
    const step = stepOf(key, at)
    for (let i = 0, bit = firstOf(key, at); i < PROBES; i++, bit = (bit + step) % BITS)
      if ((this.#bits[page * BYTES + (bit >> 3)]! & (1 << (bit & 7))) === 0) return false
    return true
  }
}

// The first bytes say which page, and are alike within one; all six are those of a hash.
const firstOf = (key: Uint8Array, at: number): number =>
  (((key[at + 5]! << 24) | (key[at + 4]! << 16) | (key[at + 3]! << 8) | key[at + 2]!) >>> 0) % BITS
const stepOf = (key: Uint8Array, at: number): number =>
  1 +
  ((Math.imul((key[at + 2]! << 24) | (key[at + 3]! << 16) | (key[at + 4]! << 8) | key[at + 5]!, 0x9e3779b1) >>> 0) %
    (BITS - 1))
