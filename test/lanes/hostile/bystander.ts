/** A pipeline that does nothing wrong while others do: each of its events must be logged, and soon. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Actor, event } from '../../support/actors.ts'
import { check } from '../lane.ts'

export class Bystander {
  readonly #going: Promise<void>
  readonly #latencies: number[] = []
  readonly #wrong: string[] = []
  #stopped = false

  constructor(url: string, actor: Actor) {
    this.#going = this.#submit(url, actor)
  }

  async #submit(url: string, actor: Actor): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const began = performance.now()
      try {
        const answer = await fetch(`${url}/test/v1/events`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: event(actor, `model/bystander-${i}`),
        })
        await answer.arrayBuffer()
        if (answer.status !== 201) this.#wrong.push(String(answer.status))
      } catch (error) {
        this.#wrong.push(String(error))
      }
      this.#latencies.push(performance.now() - began)
      await pause(20)
    }
  }

  /** Returns how many it has logged. */
  async judge(name: string): Promise<number> {
    this.#stopped = true
    await this.#going
    const sorted = this.#latencies.sort((a, b) => a - b)
    const p99 = sorted[Math.floor(sorted.length * 0.99)]!
    check(
      `${name}: a bystander's ${sorted.length} events are all logged`,
      this.#wrong.length === 0 && sorted.length > 100,
      this.#wrong.slice(0, 5).join('\n'),
    )
    // Generous: a bomb may be unpacked on its thread, and the machine may be busy. Who is starved waits for good.
    check(
      `${name}: nobody holds it up for long (p99 ${p99.toFixed(0)} ms, at most ${sorted.at(-1)!.toFixed(0)} ms)`,
      p99 < 2_000,
    )
    return sorted.length - this.#wrong.length
  }
}
