/**
 * The witnesses of a log: asked for a cosignature of every head that is to be published. What each of them is at is only a guess
 * here, corrected by its own answers; what they answer is verified before anything is made of it.
 */
import { formatAddCheckpoint } from '../core/add-checkpoint.ts'
import { toUtf8 } from '../core/bytes.ts'
import { parseCheckpoint, sizeOf } from '../core/checkpoint.ts'
import { cosignatureVerifier } from '../core/cosignature.ts'
import { ed25519NoteVerifier } from '../core/ed25519.ts'
import { TreelineError } from '../core/errors.ts'
import {
  formatNote,
  parseNote,
  parseSignatureLine,
  type Signature,
  type VerifierKey,
  verifyNote,
} from '../core/note.ts'
import { type PolicyWitness, quorumMet, type WitnessPolicy } from '../core/witness-policy.ts'
import type { Prover } from './prover.ts'
import type { SignedHead } from './sequencer.ts'
import { WitnessClient } from './witness-client.ts'

export interface CosignersParts {
  readonly policy: WitnessPolicy
  readonly logKey: VerifierKey
  readonly prover: Prover
  /** For one question to one witness, ms. */
  readonly timeout: number
  /** Told when a witness begins to fail, and what it said. */
  readonly onLate: (witness: string, why: string) => void
  /** Told of each head that this log has signed and a witness shows: the log itself may not have it any more. */
  readonly onShown: (head: ShownHead) => Promise<void>
}

/** A head with a valid signature of the log itself, as a witness shows it. */
interface ShownHead {
  readonly witness: string
  readonly size: number
  readonly root: Uint8Array
}

export interface WitnessState {
  readonly name: string
  /** The size of its last cosignature. */
  readonly size: number
  /** Since when it has not cosigned what it was asked, seconds; 0 when its last answer was a cosignature. */
  readonly late: number
  /** Why, or undefined. */
  readonly why: string | undefined
}

export interface WitnessAudit extends WitnessState {
  /** How many entries it says that it has audited; undefined for one that does not say. */
  readonly audited: number | undefined
}

interface Known {
  readonly witness: PolicyWitness
  readonly url: string
  size: number
  lateSince: number | undefined
  why: string | undefined
}

/** Tries at one witness for one head: the first may be for a size that it is not at. */
const TRIES = 3
/** How long a full quorum waits for the other witnesses, ms: their cosignatures are worth it to readers with other policies. */
const GRACE = 250
/** How old what witnesses said of their audits may be, ms: who asks the log makes it ask no oftener. */
const AUDITS_AGE = 5_000

export class Cosigners {
  readonly #parts: CosignersParts
  readonly #client: WitnessClient
  readonly #known: readonly Known[]
  #audits: { readonly asked: number; readonly sizes: Promise<readonly (number | undefined)[]> } | undefined

  /** Throws USAGE for a witness without a URL that the quorum cannot do without. */
  constructor(parts: CosignersParts) {
    this.#parts = parts
    this.#client = new WitnessClient(parts.timeout)
    this.#known = parts.policy.witnesses.flatMap((witness) =>
      witness.url === undefined ? [] : [{ witness, url: witness.url, size: 0, lateSince: undefined, why: undefined }],
    )
    if (!quorumMet(parts.policy.quorum, new Set(this.#known.map(({ witness }) => witness))))
      throw new TreelineError(
        'USAGE',
        'the witness policy has no URLs for a full quorum: no checkpoint could be published',
      )
  }

  get states(): WitnessState[] {
    const now = performance.now()
    return this.#known.map(({ witness, size, lateSince, why }) => ({
      name: witness.name,
      size,
      late: lateSince === undefined ? 0 : (now - lateSince) / 1000,
      why,
    }))
  }

  /** The same, and how far each says that it has audited the log. Never fails. */
  async audits(): Promise<readonly WitnessAudit[]> {
    const now = performance.now()
    if (this.#audits === undefined || now - this.#audits.asked > AUDITS_AGE) {
      // A witness may say anything; less than nothing is no size.
      const ask = ({ url }: Known) =>
        this.#client.audited(url, this.#parts.logKey.name).then(
          (size) => (size < 0 ? undefined : size),
          () => undefined,
        )
      this.#audits = { asked: now, sizes: Promise.all(this.#known.map(ask)) }
    }
    const sizes = await this.#audits.sizes
    return this.states.map((state, i) => ({ ...state, audited: sizes[i] }))
  }

  /** The head's note with the cosignatures that came in time, and whether they are a full quorum. Never fails. */
  async cosign(head: SignedHead): Promise<{ readonly note: string; readonly witnessed: boolean }> {
    const { policy } = this.#parts
    const found = new Map<PolicyWitness, Signature[]>()
    const enough = () => quorumMet(policy.quorum, new Set(found.keys()))
    await new Promise<void>((resolve) => {
      let asking = this.#known.length
      for (const known of this.#known) {
        void this.#ask(known, head).then((signatures) => {
          if (signatures !== undefined) found.set(known.witness, signatures)
          if (--asking === 0) resolve()
          else if (enough()) setTimeout(resolve, GRACE)
        })
      }
    })
    const { text, signatures } = parseNote(toUtf8(head.note))
    const cosigned = policy.witnesses.flatMap((witness) => found.get(witness) ?? [])
    return { note: formatNote({ text, signatures: [...signatures, ...cosigned] }), witnessed: enough() }
  }

  /** Lines of the witness's own key that verify, or undefined. */
  async #ask(known: Known, head: SignedHead): Promise<Signature[] | undefined> {
    try {
      const signatures = await this.#submit(known, head)
      known.size = head.tree.size
      known.lateSince = undefined
      known.why = undefined
      return signatures
    } catch (error) {
      const why = (error as Error).message || String(error)
      if (known.lateSince === undefined) this.#parts.onLate(known.witness.name, why)
      known.lateSince ??= performance.now()
      known.why = why
      return undefined
    }
  }

  async #submit(known: Known, { tree, note }: SignedHead): Promise<Signature[]> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      // Only the lines of the log itself: a witness need not read those of others, and may limit what it reads.
      const proof = await this.#parts.prover.consistency(tree, known.size, tree.size)
      const body = formatAddCheckpoint({ old: BigInt(known.size), proof, note: toUtf8(note) })
      const answer = await this.#client.addCheckpoint(known.url, body)
      if (answer.kind === 'cosigned') return cosignaturesOf(known.witness.key, note, answer.lines)
      if (answer.kind === 'refused') throw new Error(answer.why)
      if (answer.size > BigInt(tree.size)) {
        await this.#compare(known)
        throw new Error(`it is at ${answer.size}, ahead of the ${tree.size} that it was asked to cosign`)
      }
      known.size = Number(answer.size)
    }
    throw new Error(`it named another size ${TRIES} times`)
  }

  /** Compares what the witnesses show with what the log has, as far as they answer. */
  async compareAll(): Promise<void> {
    await Promise.all(
      this.#known.map((known) =>
        this.#compare(known).catch((error: Error) => this.#parts.onLate(known.witness.name, error.message)),
      ),
    )
  }

  async #compare({ witness, url }: Known): Promise<void> {
    const { logKey, onShown } = this.#parts
    const shown = await this.#client.monitored(url, logKey.name)
    if (shown === undefined) return
    const note = parseNote(toUtf8(shown))
    // Only what this log has signed can say anything against it: a witness must not be able to stop it by a lie.
    verifyNote(note, [ed25519NoteVerifier(logKey)])
    const checkpoint = parseCheckpoint(note.text)
    await onShown({ witness: witness.name, size: sizeOf(checkpoint), root: checkpoint.root })
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}

/** TW-20: lines of other keys are ignored. Throws when none is left, or one does not verify. */
function cosignaturesOf(key: VerifierKey, note: string, lines: string): Signature[] {
  const { text } = parseNote(toUtf8(note))
  const verifier = cosignatureVerifier(key)
  const own = lines
    .split('\n')
    .slice(0, -1)
    .map(parseSignatureLine)
    .filter(({ name, keyId }) => name === key.name && Buffer.compare(keyId, key.keyId) === 0)
  if (own.length !== 1) throw new Error('its answer has no cosignature of the key in the witness policy')
  if (!verifier.verify(text, own[0]!.signature)) throw new Error('its cosignature does not verify')
  return own
}
