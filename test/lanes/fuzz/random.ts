/** Numbers that follow from a seed: xorshift128, of which every run of one seed is the same. */
export class Random {
  #a: number
  #b: number
  #c = 0x9e3779b9
  #d = 0x243f6a88

  constructor(seed: number, stream: string) {
    this.#a = seed | 1
    this.#b = 0
    for (const char of stream) this.#b = (Math.imul(this.#b, 31) + char.charCodeAt(0)) | 0
    for (let i = 0; i < 20; i++) this.#next()
  }

  #next(): number {
    let t = this.#d
    const s = this.#a
    this.#d = this.#c
    this.#c = this.#b
    this.#b = s
    t ^= t << 11
    t ^= t >>> 8
    this.#a = t ^ s ^ (s >>> 19)
    return this.#a >>> 0
  }

  /** 0 … below - 1. */
  below(below: number): number {
    return below <= 1 ? 0 : this.#next() % below
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }
}
