import { existsSync, readFileSync } from 'node:fs'
import { equal, toUtf8 } from '../core/bytes.ts'
import { formatCheckpoint, parseCheckpoint, sizeOf } from '../core/checkpoint.ts'
import { ed25519NoteVerifier } from '../core/ed25519.ts'
import { TreelineError } from '../core/errors.ts'
import { type NoteSigner, parseNote, signNote, verifyNote } from '../core/note.ts'
import type { Tree } from '../core/tree.ts'
import { formatVkey } from '../core/vkey.ts'
import type { Store } from '../store/store.ts'
import { type Clocks, LogClock } from './clock.ts'
import { loadTree, Prover } from './prover.ts'
import { type PublishedHead, Publisher } from './publisher.ts'
import { type Appended, type Candidate, type QueueLimits, Sequencer, type SignedHead } from './sequencer.ts'

export interface LogOptions extends QueueLimits {
  /** Least time between two published checkpoints, ms. */
  readonly publishInterval: number
  /** Believe a wall clock that is behind the last entry. */
  readonly acceptClock: boolean
}

export interface LogParts {
  readonly name: string
  readonly store: Store
  readonly signer: NoteSigner
  readonly publishedFile: string
  readonly clocks: Clocks
  readonly options: LogOptions
  /** Told of what broke, once for each failure. */
  readonly onFailure: (error: unknown) => void
  /** Told of each commit, for whoever measures. */
  readonly onCommit: (entries: number, seconds: number) => void
}

/** One open log: its tree, its writer, its published head. What its entries mean is its profile's business. */
export class Log {
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly store: Store
  readonly prover: Prover
  readonly #sequencer: Sequencer
  readonly #publisher: Publisher
  readonly #housekeeping: Housekeeping
  readonly #clock: LogClock
  readonly #frozen: TreelineError | undefined

  private constructor(
    parts: LogParts,
    inner: {
      sequencer: Sequencer
      publisher: Publisher
      prover: Prover
      housekeeping: Housekeeping
      clock: LogClock
      frozen: TreelineError | undefined
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
    this.#frozen = inner.frozen
  }

  /** Throws INVALID_LOG when entries, tiles and head do not agree. */
  static async open(parts: LogParts): Promise<Log> {
    const { store, signer, options, publishedFile, onFailure, onCommit } = parts
    const tree = await loadTree(store)
    const prover = new Prover(store)
    const published = readPublished(publishedFile, signer)
    const frozen = published && (await rolledBack(published, tree, prover))
    const publisher = new Publisher({
      file: publishedFile,
      initial: published,
      interval: options.publishInterval,
      onFailure,
    })
    const sign = (head: Tree): string =>
      // A disk that was rolled back must not sign a second history over the sizes that it once had.
      frozen
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
      onHead: (head) => {
        publisher.offer(head)
        housekeeping.wake()
      },
      onCommit,
      onFailure,
    })
    if (!frozen && published?.note !== sequencer.head.note) publisher.offer(sequencer.head)
    return new Log(parts, { sequencer, publisher, prover, housekeeping, clock, frozen })
  }

  /** The committed head, which receipts and proofs are for. */
  get head(): SignedHead {
    return this.#sequencer.head
  }

  /** What `checkpoint` answers; undefined before the first. */
  get published(): PublishedHead | undefined {
    return this.#publisher.published
  }

  /** How long a commit has been waiting to be published, seconds. */
  get publishLag(): number {
    return this.#publisher.lag
  }

  get queued(): { readonly entries: number; readonly bytes: number } {
    return this.#sequencer.queued
  }

  /** Set when the disk was rolled back: the last note is not over this tree, so nothing can be proved under it. */
  get frozen(): TreelineError | undefined {
    return this.#frozen
  }

  /** Why nothing can be appended, or undefined. */
  get refusal(): TreelineError | undefined {
    return this.#frozen ?? this.#sequencer.stopped ?? this.#clock.refusal
  }

  async append(candidate: Candidate): Promise<Appended> {
    if (this.#frozen !== undefined) throw this.#frozen
    return this.#sequencer.append(candidate)
  }

  /** Everything accepted is durable, answered and published when it resolves. */
  async close(): Promise<void> {
    await this.#sequencer.close()
    await this.#publisher.close()
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

interface Published extends PublishedHead {
  readonly root: Uint8Array
}

function readPublished(file: string, signer: NoteSigner): Published | undefined {
  if (!existsSync(file)) return undefined
  const note = readFileSync(file, 'utf8')
  try {
    const parsed = parseNote(toUtf8(note))
    verifyNote(parsed, [ed25519NoteVerifier(signer.key)])
    const checkpoint = parseCheckpoint(parsed.text)
    return { note, size: sizeOf(checkpoint), root: checkpoint.root }
  } catch (error) {
    throw new TreelineError(
      'USAGE',
      `${file} is not a checkpoint that this log signed: restore it from a backup`,
      {},
      { cause: error },
    )
  }
}

/** A published head that this tree does not extend means a disk that went back in time. */
async function rolledBack({ size, root }: Published, tree: Tree, prover: Prover): Promise<TreelineError | undefined> {
  if (size <= tree.size && equal(await prover.root(tree, size), root)) return undefined
  return new TreelineError(
    'FROZEN',
    `the last published checkpoint (size ${size}) is not a part of this log (size ${tree.size}): the disk was rolled back, and the log only answers reads`,
  )
}
