import { TreelineError } from '../core/errors.ts'
import { type Hash, leafHash } from '../core/merkle.ts'
import { MAX_ENTRY_SIZE } from '../core/tile.ts'
import type { Tree } from '../core/tree.ts'
import type { Store } from '../store/store.ts'
import type { LogClock } from './clock.ts'
import { FairQueue } from './fair-queue.ts'
import type { Prover } from './prover.ts'

/** What a candidate becomes at the index and time that it is given. */
export interface Placed {
  readonly entry: Uint8Array
  readonly addendum?: Uint8Array
  readonly redacts?: readonly number[]
  /** Whether the addendum is a write policy. */
  readonly policy?: boolean
  /** Entries that follow it: in the same commit or, like it, in none. */
  readonly items?: readonly Placed[]
  /** Runs once the entry is durable, before anyone is answered. */
  readonly committed?: () => void
}

/** Something that wants to be an entry. */
export interface Candidate {
  /** What it costs in memory while it waits, bytes. */
  readonly size: number
  /** How many entries it becomes, where that is more than one. */
  readonly entries?: number
  /** Whose it is, where that is known: of a full queue nobody holds more than an equal part. */
  readonly source?: string
  /** The last judgement, at the very index and time of the entry. Throws TreelineError to be left out. */
  place(index: number, time: number): Placed
  /** Closes its batch, for what follows must be judged by what it changes. */
  readonly last?: boolean
}

/** A durable tree, and the note over it. */
export interface SignedHead {
  readonly tree: Tree
  readonly note: string
}

export interface Appended {
  readonly index: number
  readonly entry: Uint8Array
  readonly head: SignedHead
}

export interface SequencerOptions {
  readonly store: Store
  readonly prover: Prover
  readonly clock: LogClock
  readonly tree: Tree
  /** The signed note over a durable tree. */
  readonly sign: (tree: Tree) => string
  /** Called with every new head, in order, and the leaf hashes that it added. */
  readonly onHead: (head: SignedHead, added: readonly Hash[]) => void
  /** Called after every commit, with how long it took. */
  readonly onCommit: (entries: number, seconds: number) => void
  /** Called once, with what broke the storage. */
  readonly onFailure: (error: unknown) => void
  readonly limits: QueueLimits
}

export interface QueueLimits {
  /** Candidates and bytes that may wait; past either, QUEUE_FULL. */
  readonly queueEntries: number
  readonly queueBytes: number
  /** Candidates and bytes of one transaction. */
  readonly batchEntries: number
  readonly batchBytes: number
}

interface Waiting {
  readonly candidate: Candidate
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: unknown) => void
}

/** The one writer of a log: puts candidates in order, commits them in batches, and signs only what is durable. */
export class Sequencer {
  readonly #options: SequencerOptions
  #head: SignedHead
  #queue: Waiting[] = []
  readonly #held: FairQueue
  #running = false
  #scheduled = false
  #stopped: TreelineError | undefined
  #idle: (() => void)[] = []

  constructor(options: SequencerOptions) {
    this.#options = options
    this.#held = new FairQueue(options.limits)
    this.#head = { tree: options.tree, note: options.sign(options.tree) }
  }

  get head(): SignedHead {
    return this.#head
  }

  get queued(): { readonly entries: number; readonly bytes: number } {
    const { entries, bytes } = this.#held
    return { entries, bytes }
  }

  /** Why nothing can be appended any more, or undefined. */
  get stopped(): TreelineError | undefined {
    return this.#stopped
  }

  /** Resolves when the entry is durable and signed. */
  append(candidate: Candidate): Promise<Appended> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped)
    const { source, size } = candidate
    // What is larger than the whole queue and comes in one piece may wait alone, or it could never be written.
    if (!this.#held.hasRoom(source, size) && (candidate.entries === undefined || this.#queue.length > 0)) {
      return Promise.reject(
        new TreelineError('QUEUE_FULL', 'the log has more to write than it can hold: try again later'),
      )
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ candidate, resolve, reject })
      this.#held.add(source, size)
      this.#schedule()
    })
  }

  /** Refuses what comes from now on; resolves when everything accepted before is durable and answered. */
  async close(): Promise<void> {
    this.#stopped ??= new TreelineError('STORAGE_FAILED', 'the log is shutting down: try again later')
    if (this.#running || this.#scheduled) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /**
   * The batch is what has arrived by the end of this turn of the event loop: while one commits, the next one gathers in the
   * sockets. So batches grow with the load by themselves, and a lone candidate waits for nobody.
   */
  #schedule(): void {
    if (this.#running || this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    const batch = this.#take()
    try {
      await this.#integrate(batch)
    } catch (error) {
      // Whether the batch is in is unknown, and the next start will tell; until then nobody may believe either.
      for (const { reject } of batch) reject(storageFailed(error))
      this.#fail(error)
    } finally {
      this.#running = false
    }
    if (this.#queue.length > 0) this.#schedule()
    else for (const resolve of this.#idle.splice(0)) resolve()
  }

  #take(): Waiting[] {
    const { batchEntries, batchBytes } = this.#options.limits
    let count = 0
    let bytes = 0
    let entries = 0
    for (const { candidate } of this.#queue) {
      const { entries: more = 1 } = candidate
      if (count > 0 && (entries + more > batchEntries || bytes + candidate.size > batchBytes)) break
      count++
      entries += more
      bytes += candidate.size
      if (candidate.last) break
    }
    const taken = this.#queue.splice(0, count)
    for (const { candidate } of taken) this.#held.remove(candidate.source, candidate.size)
    return taken
  }

  /** The whole life of a batch, in the order in which its steps become true. */
  async #integrate(batch: readonly Waiting[]): Promise<void> {
    const { store, prover, clock, sign, onHead, onCommit } = this.#options
    const from = this.#head.tree.size
    let time: number
    try {
      time = clock.now()
    } catch (error) {
      for (const { reject } of batch) reject(error)
      return
    }

    const placed: { waiting: Waiting; index: number; placed: Placed }[] = []
    const commit = new CommitParts(from)
    for (const waiting of batch) {
      const index = commit.next
      try {
        const one = waiting.candidate.place(index, time)
        requireSizes(one)
        commit.add(one)
        placed.push({ waiting, index, placed: one })
      } catch (error) {
        waiting.reject(error)
      }
    }
    if (placed.length === 0) return

    const { entries, addenda, redactions, policies } = commit
    const leaves = entries.map(leafHash)
    const next = this.#head.tree.append(leaves) // Pure: nothing is on disk yet.
    const began = performance.now()
    await store.commit({
      from,
      entries,
      leaves,
      addenda,
      redactions,
      policies,
      tiles: next.full,
      head: { size: next.tree.size, root: next.tree.root, time },
    }) // One transaction. Dies before: the batch is lost, and no caller saw a receipt.
    onCommit(entries.length, (performance.now() - began) / 1000)
    // Dies from here on: a restart finds this head and signs the same bytes again.
    clock.advance(time)
    prover.add(next.full)
    for (const { placed: one } of placed) one.committed?.()
    this.#head = { tree: next.tree, note: sign(next.tree) } // Only what is durable is signed.
    onHead(this.#head, leaves)
    for (const { waiting, index, placed: one } of placed) waiting.resolve({ index, entry: one.entry, head: this.#head })
  }

  #fail(error: unknown): void {
    this.#stopped = storageFailed(error)
    for (const { candidate, reject } of this.#queue.splice(0)) {
      this.#held.remove(candidate.source, candidate.size)
      reject(this.#stopped)
    }
    this.#options.onFailure(error)
  }
}

/** Throws ENTRY_TOO_LARGE. */
function requireSizes({ entry, items }: Placed): void {
  if (entry.length > MAX_ENTRY_SIZE) {
    throw new TreelineError('ENTRY_TOO_LARGE', `the entry has ${entry.length} bytes, the limit is ${MAX_ENTRY_SIZE}`)
  }
  if (items !== undefined) for (const item of items) requireSizes(item)
}

/** What a batch writes beside the tree. */
class CommitParts {
  readonly entries: Uint8Array[] = []
  readonly addenda: { index: number; bytes: Uint8Array }[] = []
  readonly redactions: { index: number; by: number }[] = []
  readonly policies: number[] = []
  readonly #from: number

  constructor(from: number) {
    this.#from = from
  }

  get next(): number {
    return this.#from + this.entries.length
  }

  add({ entry, addendum, redacts, policy, items }: Placed): void {
    const index = this.next
    this.entries.push(entry)
    if (addendum !== undefined) this.addenda.push({ index, bytes: addendum })
    if (redacts !== undefined) for (const one of redacts) this.redactions.push({ index: one, by: index })
    if (policy) this.policies.push(index)
    if (items !== undefined) for (const item of items) this.add(item)
  }
}

const storageFailed = (cause: unknown): TreelineError =>
  new TreelineError(
    'STORAGE_FAILED',
    'the log could not write to its disk and takes nothing until it is restarted',
    {},
    { cause },
  )
