import { formatCheckpoint } from '../core/checkpoint.ts'
import type { TreelineError } from '../core/errors.ts'
import type { Hash } from '../core/merkle.ts'
import { type NoteSigner, signNote } from '../core/note.ts'
import type { Tree } from '../core/tree.ts'
import { formatVkey } from '../core/vkey.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import type { ReadStore, Store } from '../store/store.ts'
import { type Clocks, LogClock } from './clock.ts'
import { Cosigners, type WitnessAudit, type WitnessState } from './cosigners.ts'
import { loadTree, Prover } from './prover.ts'
import { readPublished, rolledBack } from './published.ts'
import type { PublishedHead } from './published-heads.ts'
import { Publisher } from './publisher.ts'
import { type Appended, type Candidate, type QueueLimits, Sequencer, type SignedHead } from './sequencer.ts'

export interface LogOptions extends QueueLimits {
  /** Least time between two published checkpoints, ms. */
  readonly publishInterval: number
  /** Believe a wall clock that is behind the last entry. */
  readonly acceptClock: boolean
  /** For one question to one witness, ms. */
  readonly witnessTimeout: number
}

export interface LogParts {
  readonly name: string
  readonly store: Store
  readonly signer: NoteSigner
  readonly publishedFile: string
  readonly clocks: Clocks
  readonly options: LogOptions
  /** Whom to ask for cosignatures: nothing is published without their quorum. Absent in a log without witnesses. */
  readonly witnesses?: WitnessPolicy
  /** Told of what broke, once for each failure. */
  readonly onFailure: (error: unknown) => void
  /** Told when a witness begins to fail, and what it said. Nothing of the log is broken by that. */
  readonly onLate: (witness: string, why: string) => void
  /** Told of each commit, for whoever measures. */
  readonly onCommit: (entries: number, seconds: number) => void
  /** Told of each head once it is signed, with the leaf hashes that it added, and of each published one: for copies of the log's state. */
  readonly onHead?: (head: SignedHead, added: readonly Hash[]) => void
  readonly onPublished?: (head: PublishedHead) => void
}

/** What reading a log takes: also where another thread writes it. */
export interface ReadableLog {
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly store: ReadStore
  readonly prover: Prover
  /** The committed head, which receipts and proofs are for. */
  readonly head: SignedHead
  /** What `checkpoint` answers; undefined before the first. */
  readonly published: PublishedHead | undefined
  /** A published head with a full quorum that covers `size` entries, waited for `patience` ms at most. */
  witnessed(size: number, patience: number): Promise<PublishedHead | undefined>
  /** Why nothing may be signed, ever or until a person has looked: FROZEN. */
  readonly frozen: TreelineError | undefined
  /** Made from a copy: it never signs, and its last note is over this very tree. */
  readonly restored: boolean
}

/** One open log: its tree and its published head. What its entries mean is its profile's business. */
export interface Log extends ReadableLog {
  readonly store: Store
  /** The first published head that covers `size` entries: waited for `patience` ms at most, or until the signal. */
  covering(size: number, patience: number, signal: AbortSignal): Promise<PublishedHead | undefined>
  /** What each witness is at; empty in a log without. */
  readonly witnesses: readonly WitnessState[]
  /** The same, with what each says of its audits. */
  audits(): Promise<readonly WitnessAudit[]>
  /** How long a commit has been waiting to be published, seconds. */
  readonly publishLag: number
  readonly queued: { readonly entries: number; readonly bytes: number }
  /** Why nothing can be appended, or undefined. */
  readonly refusal: TreelineError | undefined
  append(candidate: Candidate): Promise<Appended>
  /** Makes quick what is slow after a start, behind everything else; no answer needs it. Resolves when most of it is done, or the log closes. */
  warm(): Promise<void>
  /** Everything accepted is durable, answered and published when it resolves. */
  close(): Promise<void>
}

/** A log that takes entries and signs heads. */
export class SigningLog implements Log {
  readonly restored = false
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly store: Store
  readonly prover: Prover
  readonly #sequencer: Sequencer
  readonly #publisher: Publisher
  readonly #housekeeping: Housekeeping
  readonly #clock: LogClock
  readonly #cosigners: Cosigners | undefined
  readonly #freeze: { why: TreelineError | undefined }

  private constructor(
    parts: LogParts,
    inner: {
      sequencer: Sequencer
      publisher: Publisher
      prover: Prover
      housekeeping: Housekeeping
      clock: LogClock
      cosigners: Cosigners | undefined
      freeze: { why: TreelineError | undefined }
    },
  ) {
    this.name = parts.name
    this.origin = parts.store.origin
    this.vkey = formatVkey(parts.signer.key)
    this.store = parts.store
    this.prover = inner.prover
    this.#sequencer = inner.sequencer
    this.#publisher = inner.publisher
    this.#housekeeping = inner.housekeeping
    this.#clock = inner.clock
    this.#cosigners = inner.cosigners
    this.#freeze = inner.freeze
  }

  /** Throws INVALID_LOG when entries, tiles and head do not agree. */
  static async open(parts: LogParts): Promise<SigningLog> {
    const { store, signer, options, publishedFile, witnesses, onFailure, onCommit } = parts
    const tree = await loadTree(store)
    const prover = new Prover(store)
    const published = readPublished(publishedFile, signer.key, witnesses)
    const freeze = { why: published && (await rolledBack('the last published checkpoint', published, tree, prover)) }
    const cosigners =
      witnesses &&
      new Cosigners({
        policy: witnesses,
        logKey: signer.key,
        prover,
        timeout: options.witnessTimeout,
        onLate: parts.onLate,
        onShown: async ({ witness, ...shown }) => {
          const head = log?.head.tree ?? tree
          const why = await rolledBack(`the checkpoint that the witness ${witness} shows`, shown, head, prover)
          if (why !== undefined && freeze.why === undefined) onFailure(why)
          freeze.why ??= why
        },
      })
    let log: SigningLog | undefined
    // A witness that is away stops nothing. One that knows more than this disk does stops everything.
    await cosigners?.compareAll()
    const publisher = new Publisher({
      file: publishedFile,
      // In a log with witnesses nobody reads a head without their quorum, whatever was published before there were any.
      initial: cosigners && !published?.witnessed ? undefined : published,
      interval: options.publishInterval,
      ...(cosigners && {
        cosign: async (head) => {
          const cosigned = await cosigners.cosign(head)
          // Other witnesses may know less: their quorum must not make a second history public.
          return freeze.why === undefined ? cosigned : { ...cosigned, witnessed: false }
        },
      }),
      onPublished: (head) => parts.onPublished?.(head),
      keep: ({ size, note }) => store.keepCheckpoint({ size, note, time: Math.round(parts.clocks.wall()) }),
      onFailure,
    })
    const sign = (head: Tree): string =>
      // A disk that was rolled back must not sign a second history over the sizes that it once had.
      freeze.why !== undefined && published !== undefined
        ? published.note
        : signNote(
            formatCheckpoint({ origin: store.origin, size: BigInt(head.size), root: head.root, extensions: [] }),
            [signer],
          )
    const housekeeping = new Housekeeping(store, onFailure)
    const clock = new LogClock(parts.clocks, (await store.head()).time, options.acceptClock)
    const sequencer = new Sequencer({
      store,
      prover,
      tree,
      sign,
      clock,
      limits: options,
      onHead: (head, added) => {
        parts.onHead?.(head, added)
        if (freeze.why === undefined) publisher.offer(head)
        housekeeping.wake()
      },
      onCommit,
      onFailure,
    })
    log = new SigningLog(parts, { sequencer, publisher, prover, housekeeping, clock, cosigners, freeze })
    const isPublished = published?.size === tree.size && publisher.published !== undefined
    if (freeze.why === undefined && !isPublished) publisher.offer(sequencer.head)
    return log
  }

  get head(): SignedHead {
    return this.#sequencer.head
  }

  get published(): PublishedHead | undefined {
    return this.#publisher.published
  }

  async witnessed(size: number, patience: number): Promise<PublishedHead | undefined> {
    if (this.#cosigners === undefined) return undefined
    const head = await this.#publisher.covering(size, patience)
    return head?.witnessed ? head : undefined
  }

  covering(size: number, patience: number, signal: AbortSignal): Promise<PublishedHead | undefined> {
    return this.#publisher.covering(size, patience, signal)
  }

  get witnesses(): readonly WitnessState[] {
    return this.#cosigners?.states ?? []
  }

  async audits(): Promise<readonly WitnessAudit[]> {
    return (await this.#cosigners?.audits()) ?? []
  }

  get publishLag(): number {
    return this.#publisher.lag
  }

  get queued(): { readonly entries: number; readonly bytes: number } {
    return this.#sequencer.queued
  }

  /** Set when the disk was rolled back: the last note is not over this tree, so nothing can be proved under it. */
  get frozen(): TreelineError | undefined {
    return this.#freeze.why
  }

  get refusal(): TreelineError | undefined {
    return this.#freeze.why ?? this.#sequencer.stopped ?? this.#clock.refusal
  }

  async append(candidate: Candidate): Promise<Appended> {
    if (this.#freeze.why !== undefined) throw this.#freeze.why
    return this.#sequencer.append(candidate)
  }

  warm(): Promise<void> {
    // The filters of digests are to be read. A frozen log writes nothing, not even what would tidy it.
    if (this.#freeze.why === undefined) this.#housekeeping.wake()
    return this.store.warm()
  }

  async close(): Promise<void> {
    await this.#sequencer.close()
    await this.#publisher.close()
    await this.#cosigners?.close()
    this.#housekeeping.end()
    await this.store.close()
  }
}

/** Runs the store's background work one small step at a time, so that requests and commits go between. */
class Housekeeping {
  readonly #store: Store
  readonly #onFailure: (error: unknown) => void
  #awake = false
  #ended = false

  constructor(store: Store, onFailure: (error: unknown) => void) {
    this.#store = store
    this.#onFailure = onFailure
  }

  wake(): void {
    if (this.#awake || this.#ended) return
    this.#awake = true
    setImmediate(() => this.#step())
  }

  end(): void {
    this.#ended = true
  }

  async #step(): Promise<void> {
    if (this.#ended) return
    try {
      this.#awake = false
      if (await this.#store.maintain()) this.wake()
    } catch (error) {
      // Nothing is lost: the next start finds the work undone. Until then it is not tried again.
      this.#awake = true
      this.#onFailure(error)
    }
  }
}
