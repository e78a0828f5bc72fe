/** Many small values in one buffer, which threads hand to each other without a copy. Both ends are of one program: nothing is versioned. */
import { fromUtf8, toUtf8 } from '../../core/bytes.ts'

const START = 64 * 1024

export class PackWriter {
  #bytes: Uint8Array<ArrayBuffer>
  #view: DataView
  #at = 0

  /** `room`: bytes that it begins with. */
  constructor(room = START) {
    this.#bytes = new Uint8Array(room)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get length(): number {
    return this.#at
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  /** Any number. */
  number(value: number): void {
    this.#room(8)
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
  }

  bytes(value: Uint8Array): void {
    this.#room(4 + value.length)
    this.#view.setUint32(this.#at, value.length)
    this.#bytes.set(value, this.#at + 4)
    this.#at += 4 + value.length
  }

  text(value: string): void {
    this.bytes(toUtf8(value))
  }

  /** A marker, and the value where there is one. */
  maybe(value: Uint8Array | undefined): void {
    this.byte(value === undefined ? 0 : 1)
    if (value !== undefined) this.bytes(value)
  }

  /** What was written, in a buffer of its own; the writer is empty again. */
  take(): ArrayBuffer {
    const taken = this.#bytes.buffer.slice(0, this.#at)
    this.#at = 0
    return taken
  }

  #room(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + count))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

/** Reads in the order in which it was written. Bytes are views. Throws RangeError past the end. */
export class PackReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(buffer: ArrayBuffer) {
    this.#bytes = new Uint8Array(buffer)
    this.#view = new DataView(buffer)
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    return this.#view.getUint8(this.#at++)
  }

  number(): number {
    this.#at += 8
    return this.#view.getFloat64(this.#at - 8)
  }

  bytes(): Uint8Array {
    const start = this.#at + 4
    const end = start + this.#view.getUint32(this.#at)
    if (end > this.#bytes.length) throw new RangeError('past the end of the message')
    this.#at = end
    return this.#bytes.subarray(start, end)
  }

  text(): string {
    return fromUtf8(this.bytes()) ?? ''
  }

  maybe(): Uint8Array | undefined {
    return this.byte() === 0 ? undefined : this.bytes()
  }
}
