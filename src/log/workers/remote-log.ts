import { equal } from '../../core/bytes.ts'
import type { TreelineError } from '../../core/errors.ts'
import { HASH_SIZE } from '../../core/merkle.ts'
import type { ReadStore } from '../../store/store.ts'
import type { ReadableLog } from '../log.ts'
import { loadTree, Prover } from '../prover.ts'
import { type PublishedHead, PublishedHeads } from '../published-heads.ts'
import type { SignedHead } from '../sequencer.ts'
import { errorOf, type LogState } from './messages.ts'

/**
 * A log that another thread writes, as a serving thread sees it: the tree grows by the leaf hashes that it is told of, full tiles come from the file.
 * It has nothing that the file has not: heads are told of after their commit.
 */
export class RemoteLog implements ReadableLog {
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly restored: boolean
  readonly #witnessed: boolean
  readonly store: ReadStore
  readonly prover: Prover
  readonly #heads: PublishedHeads
  #head: SignedHead
  #frozen: TreelineError | undefined

  private constructor(state: LogState, store: ReadStore, head: SignedHead) {
    this.name = state.name
    this.origin = state.origin
    this.vkey = state.vkey
    this.restored = state.restored
    this.#witnessed = state.witnessed
    this.store = store
    this.prover = new Prover(store)
    this.#heads = new PublishedHeads(state.published)
    this.#head = head
    this.#frozen = state.frozen && errorOf(state.frozen)
  }

  /** Throws INVALID_LOG when the file does not have the tree of the state. */
  static async open(state: LogState, store: ReadStore): Promise<RemoteLog> {
    return new RemoteLog(state, store, { tree: await loadTree(store, state.head), note: state.head.note })
  }

  get head(): SignedHead {
    return this.#head
  }

  get published(): PublishedHead | undefined {
    return this.#heads.current
  }

  get frozen(): TreelineError | undefined {
    return this.#frozen
  }

  async witnessed(size: number, patience: number): Promise<PublishedHead | undefined> {
    if (!this.#witnessed) return undefined
    const head = await this.#heads.covering(size, patience)
    return head?.witnessed ? head : undefined
  }

  /** Throws when the leaf hashes do not give the root: then this thread is not of one mind with the other, and must not answer. */
  grow(added: Uint8Array, root: Uint8Array, note: string): void {
    const leaves = Array.from({ length: added.length / HASH_SIZE }, (_, i) =>
      added.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE),
    )
    const { tree, full } = this.#head.tree.append(leaves)
    if (!equal(tree.root, root))
      throw new Error(`the tree of ${this.origin} at ${tree.size} is not the one that was signed`)
    this.prover.add(full)
    this.#head = { tree, note }
  }

  publish(head: PublishedHead): void {
    this.#heads.set(head)
  }

  freeze(why: TreelineError): void {
    this.#frozen = why
  }
}
