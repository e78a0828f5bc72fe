/**
 * Writes deterministic CBOR by hand where the shape is fixed and the path hot: ten times faster than encodeCbor, and
 * held against it by a property. The caller keeps the order of keys.
 */
import { toUtf8 } from './bytes.ts'

export class CborWriter {
  readonly #bytes: Uint8Array
  #at = 0

  /** Writing past `capacity` bytes throws RangeError. */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#at
  }

  reset(): void {
    this.#at = 0
  }

  /** A view of what was written since the last reset: the next one writes over it. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  uint = (value: number): void => this.#head(0x00, value)
  array = (length: number): void => this.#head(0x80, length)
  map = (size: number): void => this.#head(0xa0, size)

  text(text: string): void {
    const start = this.#at
    this.#head(0x60, text.length)
    if (this.#at + text.length > this.#bytes.length) throw new RangeError('capacity exceeded')
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      if (c < 0x80) {
        this.#bytes[this.#at++] = c
        continue
      }
      this.#at = start
      this.#string(0x60, toUtf8(text))
      return
    }
  }

  bytes = (bytes: Uint8Array): void => this.#string(0x40, bytes)

  /** Bytes as they are, with no head. */
  raw(bytes: Uint8Array): void {
    // TypedArray.set throws RangeError past the end.
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #string(major: number, bytes: Uint8Array): void {
    this.#head(major, bytes.length)
    this.raw(bytes)
  }

  /** Initial byte and argument, the shortest form (RFC 8949 section 4.2.1). */
  #head(major: number, value: number): void {
    const bytes = this.#bytes
    if (this.#at + 9 > bytes.length) throw new RangeError('capacity exceeded')
    if (value < 24) {
      bytes[this.#at++] = major | value
      return
    }
    const width = value < 0x100 ? 1 : value < 0x1_0000 ? 2 : value < 0x1_0000_0000 ? 4 : 8
    bytes[this.#at++] = major | (width === 1 ? 24 : width === 2 ? 25 : width === 4 ? 26 : 27)
    // Division, not shifts: times are past 2^32.
    for (let i = width - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[this.#at + i] = rest % 256
    this.#at += width
  }
}

/** Of a number from 0 to 2^53 - 1. */
export function encodeUint(value: number): Uint8Array {
  const writer = new CborWriter(9)
  writer.uint(value)
  return writer.written
}
