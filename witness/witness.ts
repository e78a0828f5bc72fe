/** The witness itself: bytes of a request in, lines of cosignatures out. */
import { TreelineError } from '../src/core/errors.ts'
import { formatNote, formatSignatureLine, type NoteVerifier, type Signature } from '../src/core/note.ts'
import type { Cosigner } from './cosigner.ts'
import { follow, readSubmission } from './decide.ts'
import type { FollowedLog } from './log-list.ts'
import { logVerifier } from './native-verify.ts'
import type { Cosigned, WitnessState } from './state.ts'

/** How far the clock may be behind the last cosignature of a log, seconds: what a time service takes back in one step. */
const TOLERANCE = 5

/** Of the state, what cosigning needs. Tests put something before it that breaks its promise. */
export type CosignedStore = Pick<WitnessState, 'advance'>

interface WitnessOptions {
  readonly state: CosignedStore
  readonly logs: readonly FollowedLog[]
  readonly cosigner: Cosigner
  /** Wall clock, ms since the Unix epoch. */
  readonly now: () => number
  /** Why an origin is not cosigned for the time being, or undefined. */
  readonly hold?: (origin: string) => string | undefined
}

export class Witness {
  readonly #options: WitnessOptions
  readonly #keys: ReadonlyMap<string, readonly NoteVerifier[]>

  constructor(options: WitnessOptions) {
    this.#options = options
    this.#keys = new Map(options.logs.map(({ origin, keys }) => [origin, keys.map(logVerifier)]))
  }

  /**
   * Takes the body of `add-checkpoint` and returns that of its answer, once the head is durable. Throws what `readSubmission`,
   * `follow` and the state do, and CLOCK.
   */
  addCheckpoint(body: Uint8Array): string {
    const submission = readSubmission(body, (origin) => this.#keys.get(origin))
    const { checkpoint, text, signatures } = submission
    const { origin, size, root, extensions } = checkpoint
    const held = this.#options.hold?.(origin)
    if (held !== undefined) throw new TreelineError('FROZEN', held)
    let own: readonly Signature[] = []
    this.#options.state.advance(origin, (stored) => {
      follow(submission, stored)
      const time = this.#time(stored)
      // Signed before the commit, because the note that is stored has the lines; they leave this function only behind it.
      own = this.#options.cosigner.cosign(text, time, extensions.length > 0)
      return { origin, size, root, time, note: formatNote({ text, signatures: [...signatures, ...own] }) }
    })
    return own.map(formatSignatureLine).join('')
  }

  /** A later cosignature never has an earlier time: it says that its head is the largest one seen until then. */
  #time(stored: Cosigned | undefined): number {
    const now = Math.floor(this.#options.now() / 1000)
    const last = stored?.time ?? 0
    if (now < last - TOLERANCE) {
      throw new TreelineError('CLOCK', `the clock is ${last - now} s behind the last cosignature of this log`)
    }
    return Math.max(now, last)
  }
}
