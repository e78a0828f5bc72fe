/**
 * A fixed piece of a witness's life, to be hurt at any of its system calls: opened, asked for cosignatures of heads that grow, closed. What it has
 * cosigned goes to standard output before the next question.
 *
 *   node syscall-witness.ts DATA WORK.json [early]
 */
import { readFileSync, writeSync } from 'node:fs'
import { toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { loadCosigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { parseLogList } from '../../witness/log-list.ts'
import type { Cosigned } from '../../witness/state.ts'
import { type CosignedStore, Witness } from '../../witness/witness.ts'

export interface WitnessWork {
  readonly vkey: string
  /** Bodies of add-checkpoint, each after the one before. */
  readonly bodies: readonly string[]
}

process.on('SIGXFSZ', () => {})
const [data = '', work = '', early] = process.argv.slice(2)
const { vkey, bodies } = JSON.parse(readFileSync(work, 'utf8')) as WitnessWork

/** Keeps in memory what it should store, and stores it at the end: for the lane to find out. */
class Forgetful implements CosignedStore {
  #cosigned: Cosigned | undefined

  constructor(cosigned: Cosigned | undefined) {
    this.#cosigned = cosigned
  }

  advance(_origin: string, next: (stored: Cosigned | undefined) => Cosigned): Cosigned {
    this.#cosigned = next(this.#cosigned)
    return this.#cosigned
  }
}

const state = openState(data)
const cosigner = loadCosigner(data, state.name)
const logs = parseLogList(toUtf8(JSON.stringify({ logs: [{ vkeys: [vkey] }] })), cosigner.keys)
const now = () => Date.now()
const witness = new Witness({
  state: early === undefined ? state : new Forgetful(state.cosigned(logs[0]!.origin)),
  logs,
  cosigner,
  now,
})
bodies.forEach((body, i) => {
  try {
    witness.addCheckpoint(toUtf8(body))
    writeSync(1, `${i}\n`)
  } catch (error) {
    // An answer as good as any: the next one is judged by what is stored.
    if (!(error instanceof TreelineError)) throw error
  }
})
state.close()
