/**
 * Which digests a sorted run cannot have: a Bloom filter for each of its pages, in memory alone. Most look-ups are of digests that are in no run, and
 * without it each of them would read a page of every run: a dozen in a log of ten million entries.
 */

/** Of one page: ten for each of its mean number of keys. With six probes one unknown digest in a hundred passes. */
const BITS = 13_600
const BYTES = BITS / 8
const PROBES = 6

export class DigestFilter {
  readonly #bits: Uint8Array

  constructor(pages: number) {
    this.#bits = new Uint8Array(pages * BYTES)
  }

  /** `key` begins with six bytes of a digest at `at`. */
  add(page: number, key: Uint8Array, at = 0): void {
    const step = stepOf(key, at)
    for (let i = 0, bit = firstOf(key, at); i < PROBES; i++, bit = (bit + step) % BITS)
      this.#bits[page * BYTES + (bit >> 3)]! |= 1 << (bit & 7)
  }

  /** False only for what was never added. */
  mayHave(page: number, digest: Uint8Array): boolean {
    const step = stepOf(digest, 0)
    for (let i = 0, bit = firstOf(digest, 0); i < PROBES; i++, bit = (bit + step) % BITS)
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
