/**
 * Every parser of bytes from outside is given millions of inputs that are nearly right, and must refuse them with an answer or accept what is one
 * reading of them, in a time that grows no faster than they do.
 *
 *   node test/lanes/fuzz.ts                                      two minutes of two processors' time in all
 *   node test/lanes/fuzz.ts --seconds 3600                       longer
 *   node test/lanes/fuzz.ts --seed 7 --target evidence           one of them, as it was
 */
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { BROKEN } from './fuzz/broken.ts'
import { hasty, searchS3 } from './fuzz/s3-answers.ts'
import type { Found, Searched } from './fuzz/target.ts'
import { TARGETS } from './fuzz/targets.ts'
import type { Report, Search } from './fuzz/thread.ts'
import { check, lane } from './lane.ts'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '120' }, seed: { type: 'string' }, target: { type: 'string' } },
})
const seed = Number(values.seed ?? randomInt(2 ** 31))
const targets = TARGETS.map(({ name }) => name).filter((name) => values.target === undefined || name === values.target)
const S3 = 'answers of an S3 server'
const asksS3 = values.target === undefined || values.target === S3
/** Tries again and waits, as the SDK does: so it gets more time than a parser. */
const S3_SHARE = 4
const each = (Number(values.seconds) * 1000) / (targets.length + (asksS3 ? S3_SHARE : 0))

/** What a broken parser may take to be found out, ms. */
const CONTROL = 4_000
/** Parsers have one each; the machine has two processors. */
const THREADS = 2

const told = ({ why, input }: Found): string =>
  `${why}\nwith --seed ${seed}, ${input.length} bytes in base64:\n${Buffer.from(input).toString('base64').slice(0, 4_000)}`

function report(name: string, least: number, { tried, accepted, outcomes, found }: Searched): void {
  check(
    `${name}: ${tried} inputs, ${accepted} accepted, ${outcomes} outcomes`,
    found === undefined && tried > least,
    found && told(found),
  )
}

/** Searches all of these, each thread the next one that is left. */
async function inThreads(names: readonly string[], ms: number, on: (report: Report) => void): Promise<void> {
  const left = [...names]
  const thread = async (): Promise<void> => {
    const worker = new Worker(new URL('fuzz/thread.ts', import.meta.url))
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      worker.postMessage({ name, seed, ms } satisfies Search)
      const [found] = (await once(worker, 'message')) as [Report]
      on(found)
    }
    await worker.terminate()
  }
  await Promise.all(Array.from({ length: THREADS }, thread))
}

await lane(async () => {
  console.log(`seed ${seed}, ${targets.length} targets, ${(each / 1000).toFixed(1)} s each`)
  await inThreads(targets, each, ({ name, least, searched }) => report(name, least, searched))
  if (asksS3) report(S3, 100, await searchS3(seed, each * S3_SHARE))
  if (values.target !== undefined) return
  await inThreads(
    BROKEN.map(({ name }) => name),
    CONTROL,
    ({ name, searched: { found } }) =>
      check(`${name} is found out: ${found?.why.split('\n')[0] ?? 'nothing found'}`, found !== undefined),
  )
  const { found } = await searchS3(seed, CONTROL, hasty)
  check(`a hasty reader of listings is found out: ${found?.why ?? 'nothing found'}`, found !== undefined)
})
