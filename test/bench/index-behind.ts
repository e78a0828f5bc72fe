/** The index beside a log that takes events: how far it is behind, and what it costs whoever appends. */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { logFiles } from '../../src/store/folder.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog } from '../support/server.ts'
import { load, spread } from './client.ts'
import type { Result } from './job.ts'
import { type Running, start, usageOf } from './programs.ts'

const CONNECTIONS = 64
const SERVER = 'cmd/treeline-server.ts'

export const serve = (data: string): Promise<Running> =>
  start(SERVER, ['serve', '--data', data, '--listen', '127.0.0.1:0', '--log-level', 'fatal', '--accept-clock'])

async function makeLog(folder: string, actors: readonly Actor[]): Promise<string> {
  const data = mkdtempSync(join(folder, 'append-'))
  const signers = actors.map((actor, i) => ({ actor, name: `signer-${i}` }))
  await makeEventLog(data, [new Actor()], signers)
  return data
}

interface Offer {
  readonly actors: readonly Actor[]
  readonly seed: string
  readonly seconds: number
  /** Events that there are to send, and how many of them a second, if not as many as go. */
  readonly count: number
  readonly rate?: number
}

async function offer({ url }: Running, { actors, seed, seconds, count, rate }: Offer): Promise<Result> {
  const keys = actors.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  const work = { kind: 'events', path: '/test/v1/events', keys, lines: 1, bytes: 1_024, seed, count } as const
  const result = await load({ host: url.hostname, port: Number(url.port) }, CONNECTIONS, seconds, work, rate)
  if (Object.keys(result.statuses).join() !== '201') throw new Error(JSON.stringify(result.statuses))
  return result
}

interface Sizes {
  readonly time: number
  readonly log: number
  readonly index: number
}

async function sizesOf({ url }: Running): Promise<Sizes> {
  const text = await (await fetch(new URL('/metrics', url))).text()
  const gauge = (name: string) => Number(new RegExp(`treeline_log_${name}\\{log="test"\\} (\\d+)`).exec(text)?.[1] ?? 0)
  return { time: performance.now(), log: gauge('size'), index: gauge('index_size') }
}

/** Looks every 100 ms until it is stopped. */
class Watch {
  readonly seen: Sizes[] = []
  readonly #server: Running
  readonly #ended: Promise<void>
  #going = true

  constructor(server: Running) {
    this.#server = server
    this.#ended = this.#look()
  }

  async #look(): Promise<void> {
    while (this.#going) {
      this.seen.push(await sizesOf(this.#server))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  async stop(): Promise<void> {
    this.#going = false
    await this.#ended
  }
}

/** The most entries, and for how long at most the oldest of them had been committed, s: since it was last seen that it was not there yet. */
function behind(seen: readonly Sizes[]): { readonly entries: number; readonly seconds: number } {
  let [entries, seconds, at] = [0, 0, 0]
  for (const { time, log, index } of seen) {
    while (at + 1 < seen.length && seen[at + 1]!.log <= index) at++
    entries = Math.max(entries, log - index)
    if (log > index)
      seconds = Math.max(seconds, (time - (seen[at]!.log <= index ? seen[at]!.time : seen[0]!.time)) / 1000)
  }
  return { entries, seconds }
}

/** Events come at a fixed rate, whether or not the server is done with those before. */
export async function atFixedRate(
  folder: string,
  actors: readonly Actor[],
  rate: number,
  seconds: number,
): Promise<void> {
  const server = await serve(await makeLog(folder, actors))
  const used = usageOf(server.child)!.cpu
  const watch = new Watch(server)
  const { count, ...result } = await offer(server, { actors, seed: 'rate', seconds, count: rate * seconds, rate })
  const ended = performance.now()
  while (watch.seen.at(-1)!.index < watch.seen.at(-1)!.log || watch.seen.at(-1)!.time < ended)
    await new Promise((resolve) => setTimeout(resolve, 20))
  const after = watch.seen.at(-1)!.time - ended
  await watch.stop()
  const cpu = ((usageOf(server.child)!.cpu - used) / count) * 1e6
  await server.stop()
  const taken = count / result.seconds
  const { entries, seconds: lag } = behind(watch.seen)
  console.log(
    `\n${rate} events a second offered for ${seconds} s, ${CONNECTIONS} connections, 1 KiB, the client on the same cores:`,
  )
  console.log(
    `  taken                                ${taken.toFixed(0)} a second${taken < 0.98 * rate ? ': more than that the machine does not take' : ''}`,
  )
  console.log(`  the index was behind by at most      ${entries} entries, ${lag.toFixed(1)} s (goal: 5 s)`)
  console.log(`  it had the last one after            ${after.toFixed(0)} ms`)
  console.log(`  processor time, log and index        ${cpu.toFixed(0)} µs an event`)
}

/**
 * As many events as go, with and without an index, in the order A B B A, so that what else the machine does meets both. Without: where index.db should
 * be there is a folder, so that the server that is measured is the same program with an index that cannot be written.
 */
export async function withAndWithout(
  folder: string,
  actors: readonly Actor[],
  pairs: number,
  seconds: number,
): Promise<void> {
  const [withIndex, without] = [await makeLog(folder, actors), await makeLog(folder, actors)]
  mkdirSync(logFiles(without, 'test').index)
  const sides = [
    { name: 'with', server: await serve(withIndex), rates: [] as number[], cpu: [] as number[] },
    { name: 'without', server: await serve(without), rates: [] as number[], cpu: [] as number[] },
  ] as const
  for (let i = 0; i < pairs; i++)
    for (const { name, server, rates, cpu } of i % 2 === 0 ? sides : sides.toReversed()) {
      const used = usageOf(server.child)!.cpu
      const result = await offer(server, { actors, seed: `${name} ${i}`, seconds, count: 8_000 * seconds })
      rates.push(result.count / result.seconds)
      // The work that it left for later is its work too.
      let sizes = await sizesOf(server)
      while (name === 'with' && sizes.index < sizes.log) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        sizes = await sizesOf(server)
      }
      if (name === 'without' && sizes.index > 0) throw new Error('there was an index')
      cpu.push(((usageOf(server.child)!.cpu - used) / result.count) * 1e6)
    }
  for (const { server } of sides) await server.stop()
  const ratios = sides[0].rates.map((rate, i) => rate / sides[1].rates[i]!)
  console.log(
    `\nas many events as go, ${CONNECTIONS} connections, 1 KiB, ${seconds} s each, with and without an index in turn:`,
  )
  for (const { name, rates, cpu } of sides)
    console.log(`  ${name.padEnd(8)} events a second ${spread(rates)}; ${spread(cpu)} µs of processor time an event`)
  console.log(`  with / without, of neighbours ${spread(ratios, 3)} (goal: more than 0.9)`)
}
