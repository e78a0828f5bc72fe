/** A tree as whoever only follows it needs it: the hashes of the complete subtrees that make it up, left to right. */
import { EMPTY_ROOT, type Hash, nodeHash, rangeNodes } from './merkle.ts'

export class CompactRange {
  #size: number
  readonly #hashes: Hash[]

  private constructor(size: number, hashes: Hash[]) {
    this.#size = size
    this.#hashes = hashes
  }

  static empty(): CompactRange {
    return new CompactRange(0, [])
  }

  /** From what `hashes` gave. Throws RangeError when their number is not that of a tree of `size`. */
  static of(size: number, hashes: readonly Hash[]): CompactRange {
    if (hashes.length !== rangeNodes([0, size]).length)
      throw new RangeError(`${hashes.length} subtrees for a tree of ${size}`)
    return new CompactRange(size, [...hashes])
  }

  get size(): number {
    return this.#size
  }

  /** One for each bit that is set in the size. */
  get hashes(): readonly Hash[] {
    return this.#hashes
  }

  append(leaf: Hash): void {
    let hash = leaf
    // A full binary counter: each set bit below the first clear one is a subtree that this leaf completes.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) hash = nodeHash(this.#hashes.pop()!, hash)
    this.#hashes.push(hash)
    this.#size++
  }

  root(): Hash {
    const last = this.#hashes.at(-1)
    if (last === undefined) return EMPTY_ROOT
    return this.#hashes.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last)
  }

  clone(): CompactRange {
    return new CompactRange(this.#size, [...this.#hashes])
  }
}
