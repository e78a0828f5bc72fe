/**
 * Every parser of bytes from outside is given millions of inputs that are nearly right, and must refuse them with an answer or accept what is one
 * reading of them, in a time that grows no faster than they do.
 *
 *   node test/lanes/fuzz.ts                                      two minutes in all
 *   node test/lanes/fuzz.ts --seconds 3600                       longer
 *   node test/lanes/fuzz.ts --seed 7 --target evidence           one of them, as it was
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { BROKEN } from './fuzz/broken.ts'
import { CORE } from './fuzz/core-targets.ts'
import { EDGE } from './fuzz/edge-targets.ts'
import { hasty, searchS3 } from './fuzz/s3-answers.ts'
import { type Found, type Searched, search } from './fuzz/target.ts'
import { check, lane } from './lane.ts'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '120' }, seed: { type: 'string' }, target: { type: 'string' } },
})
const seed = Number(values.seed ?? randomInt(2 ** 31))
const targets = [...CORE, ...EDGE].filter(({ name }) => values.target === undefined || name === values.target)
const S3 = 'answers of an S3 server'
const asksS3 = values.target === undefined || values.target === S3
/** Tries again and waits, as the SDK does: so it gets more time than a parser. */
const S3_SHARE = 4
const each = (Number(values.seconds) * 1000) / (targets.length + (asksS3 ? S3_SHARE : 0))

/** What a broken parser may take to be found out, ms. */
const CONTROL = 4_000

const told = ({ why, input }: Found): string =>
  `${why}\nwith --seed ${seed}, ${input.length} bytes in base64:\n${Buffer.from(input).toString('base64').slice(0, 4_000)}`

await lane(async () => {
  console.log(`seed ${seed}, ${targets.length} targets, ${(each / 1000).toFixed(1)} s each`)
  const report = (name: string, least: number, { tried, accepted, outcomes, found }: Searched): void =>
    check(
      `${name}: ${tried} inputs, ${accepted} accepted, ${outcomes} outcomes`,
      found === undefined && tried > least,
      found && told(found),
    )
  for (const target of targets) report(target.name, target.corpus.length, search(target, seed, each))
  if (asksS3) report(S3, 100, await searchS3(seed, each * S3_SHARE))
  if (values.target !== undefined) return
  for (const target of BROKEN) {
    const { found } = search(target, seed, CONTROL)
    check(`${target.name} is found out: ${found?.why.split('\n')[0] ?? 'nothing found'}`, found !== undefined)
  }
  const { found } = await searchS3(seed, CONTROL, hasty)
  check(`a hasty reader of listings is found out: ${found?.why ?? 'nothing found'}`, found !== undefined)
})
