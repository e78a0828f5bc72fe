/** Two processes submit two histories of one log to one witness at the same time, again and again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { originHash, parseCheckpoint } from '../../src/core/checkpoint.ts'
import { parseNote } from '../../src/core/note.ts'
import type { TwoFacedLog } from './two-faced-log.ts'

const RACER = fileURLToPath(new URL('racer.ts', import.meta.url))

export interface RaceResult {
  /** Rounds that the first process won, and the second. */
  readonly wins: readonly [number, number]
  /** What a witness must never do. */
  readonly broken: string[]
}

class Racer {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(url: string) {
    this.#child = spawn(process.execPath, [RACER, url], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
  }

  async ask(body: Uint8Array): Promise<{ status: number; body: string }> {
    this.#child.stdin!.write(`${Buffer.from(body).toString('base64')}\n`)
    const [status, text = ''] = String((await this.#lines.next()).value).split(' ')
    return { status: Number(status), body: Buffer.from(text, 'base64').toString() }
  }

  async end(): Promise<void> {
    const closed = once(this.#child, 'close')
    this.#child.stdin!.end()
    await closed
  }
}

/** `log` is at the size that the witness has cosigned. After each round it is the history that won. */
export async function race(url: string, log: TwoFacedLog, rounds: number): Promise<RaceResult> {
  const racers = [new Racer(url), new Racer(url)] as const
  const wins: [number, number] = [0, 0]
  const broken: string[] = []
  let base = log
  for (let round = 0; round < rounds; round++) {
    const from = base.size
    const histories = [base.fork(), base.fork()] as const
    // Sometimes of one size, so that the loser could be told either that the size or that the root is another.
    histories.forEach((history, i) => {
      for (let j = 0; j <= (round * (i + 1)) % 3; j++) history.append(`round ${round} history ${i} entry ${j}`)
    })
    const bodies = histories.map((history) => history.request(from))
    // Whoever hears first has a lead of microseconds, so they take turns.
    const first = round % 2
    const led = racers[first]!.ask(bodies[first]!)
    const second = await Promise.all([led, racers[1 - first]!.ask(bodies[1 - first]!)])
    const answers = first === 0 ? second : second.toReversed()
    const statuses = answers.map(({ status }) => status)
    const winner = statuses.indexOf(200)
    if (winner < 0) {
      broken.push(`round ${round}: nobody won, but ${statuses}`)
      break
    }
    const loser = statuses[1 - winner]!
    if (loser !== 409 && loser !== 422) broken.push(`round ${round}: ${winner} won, and the other one got ${loser}`)
    wins[winner as 0 | 1]++
    base = histories[winner]!
    const note = await (await fetch(`${url}/${originHash(base.origin)}/checkpoint`)).text()
    const { size, root } = parseCheckpoint(parseNote(toUtf8(note)).text)
    if (size !== BigInt(base.size) || !equal(root, base.root())) {
      broken.push(`round ${round}: ${winner} won, and another head is stored`)
      break
    }
  }
  await Promise.all(racers.map((racer) => racer.end()))
  return { wins, broken }
}
