import { MAX_ADDENDUM_SIZE } from '../core/addendum.ts'
import { FrameReader, MAX_BATCH_HEADER } from '../core/batch.ts'
import { TreelineError } from '../core/errors.ts'

/** The body of a signed batch while it comes in: frames, and at most one unfinished one. */
export class BatchBody {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #frames = new FrameReader()

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Throws MALFORMED_ENVELOPE when the body ends before it, BODY_TOO_LARGE. */
  header(): Promise<Uint8Array> {
    return this.#wait(() => this.#frames.next(MAX_BATCH_HEADER, headerTooLarge), 'its header')
  }

  /** An item that is in memory already. Throws BODY_TOO_LARGE. */
  ready(): Uint8Array | undefined {
    return this.#frames.next(MAX_ADDENDUM_SIZE, itemTooLarge)
  }

  /** Throws what `header` does. */
  item(position: number): Promise<Uint8Array> {
    return this.#wait(() => this.ready(), `item ${position}`)
  }

  /** Throws MALFORMED_ENVELOPE unless there is nothing more. */
  async end(): Promise<void> {
    while (!this.#frames.rest) if (!(await this.#pull())) return
    throw new TreelineError('MALFORMED_ENVELOPE', 'the body goes on behind the last item that its header says')
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  async #wait(next: () => Uint8Array | undefined, what: string): Promise<Uint8Array> {
    for (;;) {
      const frame = next()
      if (frame !== undefined) return frame
      if (!(await this.#pull()))
        throw new TreelineError('MALFORMED_ENVELOPE', `the body of the batch ends before ${what}`)
    }
  }

  async #pull(): Promise<boolean> {
    const { done, value } = await this.#chunks.next()
    if (!done) this.#frames.push(value)
    return !done
  }
}

const headerTooLarge = (length: number): TreelineError =>
  new TreelineError('BODY_TOO_LARGE', `the header has ${length} bytes, and may have ${MAX_BATCH_HEADER}`)

const itemTooLarge = (length: number): TreelineError =>
  new TreelineError('BODY_TOO_LARGE', `with its salt it has ${length} bytes, and may have ${MAX_ADDENDUM_SIZE}`)
