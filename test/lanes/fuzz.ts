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
import { type Found, search } from './fuzz/target.ts'
import { check, lane } from './lane.ts'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '120' }, seed: { type: 'string' }, target: { type: 'string' } },
})
const seed = Number(values.seed ?? randomInt(2 ** 31))
const targets = [...CORE, ...EDGE].filter(({ name }) => values.target === undefined || name === values.target)
const each = (Number(values.seconds) * 1000) / targets.length

/** What a broken parser may take to be found out, ms. */
const CONTROL = 4_000

const told = ({ why, input }: Found): string =>
  `${why}\nwith --seed ${seed}, ${input.length} bytes in base64:\n${Buffer.from(input).toString('base64').slice(0, 4_000)}`

await lane(async () => {
  console.log(`seed ${seed}, ${targets.length} targets, ${(each / 1000).toFixed(1)} s each`)
  for (const target of targets) {
    const { tried, accepted, outcomes, found } = search(target, seed, each)
    check(
      `${target.name}: ${tried} inputs, ${accepted} accepted, ${outcomes} outcomes`,
      found === undefined && tried > target.corpus.length,
      found && told(found),
    )
  }
  if (values.target !== undefined) return
  for (const target of BROKEN) {
    const { found } = search(target, seed, CONTROL)
    check(`${target.name} is found out: ${found?.why.split('\n')[0] ?? 'nothing found'}`, found !== undefined)
  }
})
