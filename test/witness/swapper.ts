/**
 * One of two processes on one state database: for each line, the round, it goes from size `round` to the next one with its own root,
 * and says whether it did. With `--careless` it compares first and stores later, as a witness must not.
 */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { TreelineError } from '../../src/core/errors.ts'
import { type Cosigned, WitnessState } from '../../witness/state.ts'

const [file = '', origin = '', who = '', careless] = process.argv.slice(2)
const state = WitnessState.open(file)
const db = new Database(file, { timeout: 5_000 })
const write = db.prepare('UPDATE cosigned SET size = ?, root = ? WHERE origin = ?')

function next(stored: Cosigned | undefined, round: number): Cosigned {
  const size = BigInt(round)
  if ((stored?.size ?? 0n) !== size) throw new TreelineError('SIZE_CONFLICT', 'too late')
  return { origin, size: size + 1n, root: Buffer.alloc(32, Number(who)), time: 1, note: who }
}

async function swap(round: number): Promise<void> {
  if (careless === undefined) {
    state.advance(origin, (stored) => next(stored, round))
    return
  }
  const { size, root } = next(state.cosigned(origin), round)
  await sleep(5)
  write.run(String(size), root, origin)
}

console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  try {
    await swap(Number(line))
    console.log('won')
  } catch (error) {
    console.log(error instanceof TreelineError ? error.code : String(error))
  }
}
db.close()
state.close()
