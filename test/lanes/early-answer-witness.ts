/**
 * The witness with one fault, for the lane that must notice it: a head is reported as stored before it is. Runs as `run` does.
 */
import { type Command, main } from '../../cmd/cli.ts'
import { run, runCommand } from '../../cmd/witness/run.ts'
import type { Cosigned } from '../../witness/state.ts'
import type { CosignedStore } from '../../witness/witness.ts'

/** How long an answer is ahead of its commit, ms. */
const AHEAD = 50

function early(store: CosignedStore): CosignedStore {
  /** What was answered and is not stored yet. */
  const pending = new Map<string, Cosigned>()
  const NOTHING = new Error('not yet')
  return {
    advance(origin, step) {
      let next = pending.get(origin)
      if (next !== undefined) next = step(next)
      else {
        try {
          store.advance(origin, (stored) => {
            next = step(stored)
            throw NOTHING
          })
        } catch (error) {
          if (error !== NOTHING) throw error
        }
        setTimeout(() => {
          const last = pending.get(origin)!
          pending.delete(origin)
          store.advance(origin, () => last)
        }, AHEAD)
      }
      pending.set(origin, next!)
      return next!
    },
  }
}

const command: Command = { ...runCommand, run: (options) => run(options, early) }

await main('early-answer-witness', 'Answers before it stores.', [command])
