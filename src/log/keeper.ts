import { TreelineError } from '../core/errors.ts'
import { WitnessClient } from './witness-client.ts'

/** A witness that reads payloads, and how far it has come. Its word delays a redaction; it is not believed for anything else. */
export class Keeper {
  readonly #url: string
  readonly #client: WitnessClient

  /** `url` is its monitoring prefix; `timeout` in ms. */
  constructor(url: string, timeout: number) {
    this.#url = url
    this.#client = new WitnessClient(timeout)
  }

  /** Throws NOT_YET_AUDITED when it does not answer: what it has not read must not be erased. */
  async audited(origin: string): Promise<number> {
    try {
      return await this.#client.audited(this.#url, origin)
    } catch (error) {
      const why = (error as Error).message
      throw new TreelineError(
        'NOT_YET_AUDITED',
        `the keeper does not say what it has audited (${why}): send the same request again`,
      )
    }
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}
