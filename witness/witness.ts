/** The promise of a witness: of one log it never cosigns two histories, and what it answers is durable before anyone hears of it. */
import { TreelineError } from '../src/core/errors.ts'
import type { Cosigner } from './cosigner.ts'
import { judgeSubmission, type Refusal, readSubmission, type WitnessedLog } from './decide.ts'
import type { StoredCheckpoint, WitnessState } from './state.ts'

export interface WitnessParts {
  readonly state: WitnessState
  readonly cosigner: Cosigner
  /** Of the configured logs. */
  readonly find: (origin: string) => WitnessedLog | undefined
  /** Wall clock, ms since the Unix epoch. */
  readonly now: () => number
}

/** How far the clock may be behind a cosignature of before without anybody having set it, seconds. */
const CLOCK_TOLERANCE = 5

export class Witness {
  readonly #parts: WitnessParts

  constructor(parts: WitnessParts) {
    this.#parts = parts
  }

  /** Bytes in, cosignature lines or a refusal out. Throws when the state cannot be written: then nothing was cosigned. */
  addCheckpoint(body: Uint8Array): { readonly lines: string } | Refusal {
    const { state, cosigner, find, now } = this.#parts
    const submission = readSubmission(body, find)
    if ('status' in submission) return submission
    const { origin, size, root } = submission.checkpoint
    return state.cosign(origin, (stored): { next?: StoredCheckpoint; answer: { lines: string } | Refusal } => {
      const frozen = state.frozen(origin)
      if (frozen !== undefined) return { answer: refusal503(`the log is frozen: ${frozen.why}`) }
      const refused = judgeSubmission(submission, stored)
      if (refused !== undefined) return { answer: refused }
      const time = timeOf(now(), stored)
      if (time === undefined)
        return {
          answer: refusal503('the clock of the witness is behind its last cosignature: its operator must set it right'),
        }
      const { note, lines } = cosigner.cosign(submission, BigInt(time))
      return { next: { size, root, note, time }, answer: { lines } }
    })
  }

  /** What everybody may read of an origin, or undefined. */
  monitored(origin: string): string | undefined {
    return this.#parts.state.cosigned(origin)?.note
  }
}

const refusal503 = (why: string): Refusal => ({ status: 503, why })

/** Seconds, never less than those of the cosignature before. */
function timeOf(now: number, stored: StoredCheckpoint | undefined): number | undefined {
  const seconds = Math.floor(now / 1000)
  if (seconds <= 0) throw new TreelineError('CLOCK', 'the clock is before 1970')
  if (stored === undefined || seconds >= stored.time) return seconds
  return seconds + CLOCK_TOLERANCE >= stored.time ? stored.time : undefined
}
