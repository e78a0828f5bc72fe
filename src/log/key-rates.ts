import { TreelineError } from '../core/errors.ts'

interface Bucket {
  tokens: number
  /** When it was last filled, ms of the monotonic clock. */
  at: number
}

/** Events a minute of one signer, whatever addresses they come from. Asked only of keys whose signatures verified, so nobody can use up another's. */
export class KeyRates {
  readonly #perMinute: number
  readonly #now: () => number
  readonly #buckets = new Map<string, Bucket>()

  constructor(perMinute: number, now: () => number = () => performance.now()) {
    this.#perMinute = perMinute
    this.#now = now
  }

  /** Takes `count` of each key, or nothing of any. More than a minute's worth is taken from a full bucket alone. Throws RATE_LIMITED. */
  take(keys: readonly string[], count: number): void {
    const now = this.#now()
    const buckets = keys.map((key) => this.#filled(key, now))
    const needed = Math.min(count, this.#perMinute)
    if (buckets.some(({ tokens }) => tokens < needed))
      throw new TreelineError(
        'RATE_LIMITED',
        `this key submits more than ${this.#perMinute} events a minute: send more slowly, or ask the operator`,
      )
    for (const bucket of buckets) bucket.tokens -= count
  }

  /** Keys are those of a policy: there are not more of them than it lists, over the life of a process. */
  #filled(key: string, now: number): Bucket {
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      const full = { tokens: this.#perMinute, at: now }
      this.#buckets.set(key, full)
      return full
    }
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + ((now - bucket.at) * this.#perMinute) / 60_000)
    bucket.at = now
    return bucket
  }
}
