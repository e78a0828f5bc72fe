import { TreelineError } from '../core/errors.ts'

/** How far the wall clock may stray, ms. */
const TOLERANCE = 5_000

export interface Clocks {
  /** Wall clock, ms since the Unix epoch. */
  wall(): number
  /** Monotonic, ms. */
  monotonic(): number
}

export const systemClocks: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() }

/**
 * The times of entries: never less than the one before, and never taken from a clock that was set while the
 * process ran. An operator who has looked confirms a new time by starting the server with --accept-clock.
 */
export class LogClock {
  readonly #clocks: Clocks
  readonly #offset: number
  #last: number

  /** `last` is the time of the newest entry; with `accept` an earlier wall clock is believed and times stand still until it catches up. */
  constructor(clocks: Clocks, last: number, accept = false) {
    this.#clocks = clocks
    this.#offset = clocks.wall() - clocks.monotonic()
    this.#last = last
    this.#accept = accept
  }

  readonly #accept: boolean

  /** Throws CLOCK while the clock cannot be believed. */
  now(): number {
    const wall = this.#clocks.wall()
    const strayed = wall - this.#clocks.monotonic() - this.#offset
    if (Math.abs(strayed) > TOLERANCE) {
      throw new TreelineError(
        'CLOCK',
        `the clock was set ${Math.round(strayed / 1000)} s while the server ran: set it right, or restart the server if it is right now`,
      )
    }
    if (!this.#accept && wall < this.#last - TOLERANCE) {
      throw new TreelineError(
        'CLOCK',
        `the clock is ${Math.round((this.#last - wall) / 1000)} s behind the last entry: set it right, or start the server with --accept-clock`,
      )
    }
    return Math.max(Math.round(wall), this.#last)
  }

  /** Why `now` would throw, or undefined. */
  get refusal(): TreelineError | undefined {
    try {
      this.now()
      return undefined
    } catch (error) {
      return error as TreelineError
    }
  }

  /** Called with the time of entries that are durable. */
  advance(time: number): void {
    this.#last = Math.max(this.#last, time)
  }
}
