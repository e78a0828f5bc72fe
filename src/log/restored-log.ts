/**
 * A log that was made from a copy: it answers every read under the last note that witnesses have seen, and signs nothing. Receipts are signed
 * ahead of every copy, so the lost log has signed what is not here, and a second history over the same sizes would be a fork. Nothing in this
 * file, or below it, takes a key.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { equal } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import type { VerifierKey } from '../core/note.ts'
import type { Tree } from '../core/tree.ts'
import { formatVkey } from '../core/vkey.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import type { Store } from '../store/store.ts'
import type { Log } from './log.ts'
import { loadTree, Prover } from './prover.ts'
import { readPublished } from './published.ts'
import type { PublishedHead } from './published-heads.ts'
import type { Appended, SignedHead } from './sequencer.ts'

export interface RestoredLogParts {
  readonly name: string
  readonly store: Store
  /** What the lost log signed with. */
  readonly key: VerifierKey
  readonly publishedFile: string
  /** Says whether the last note has a full quorum; nobody is asked for anything. */
  readonly witnesses?: WitnessPolicy
}

export class RestoredLog implements Log {
  readonly restored = true
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly store: Store
  readonly prover: Prover
  readonly head: SignedHead
  readonly published: PublishedHead
  readonly witnesses = []
  readonly publishLag = 0
  readonly queued = { entries: 0, bytes: 0 }
  readonly frozen: TreelineError

  /** It asks no witness any more. */
  async audits(): Promise<readonly []> {
    return []
  }

  private constructor({ name, store, key }: RestoredLogParts, prover: Prover, tree: Tree, published: PublishedHead) {
    this.name = name
    this.origin = store.origin
    this.vkey = formatVkey(key)
    this.store = store
    this.prover = prover
    this.head = { tree, note: published.note }
    this.published = published
    this.frozen = new TreelineError(
      'FROZEN',
      `${store.origin} was restored from a copy and never signs again: write to the log that succeeds it, or open one (treeline-server init --successor-of)`,
    )
  }

  /** Throws INVALID_LOG when entries, tiles, head and published note do not agree, and USAGE without a note that the key has signed. */
  static async open(parts: RestoredLogParts): Promise<RestoredLog> {
    const { name, store, key, publishedFile, witnesses } = parts
    const tree = await loadTree(store)
    const published = readPublished(publishedFile, key, witnesses)
    if (published === undefined)
      throw new TreelineError('USAGE', `${publishedFile} is missing: the restored log ${name} is nothing without it`)
    // Neither larger nor smaller: all that is here was witnessed, and nothing was added since.
    if (published.size !== tree.size || !equal(published.root, tree.root))
      throw new TreelineError(
        'INVALID_LOG',
        `${publishedFile} (size ${published.size}) is not over the tree of the restored log ${name} (size ${tree.size})`,
      )
    return new RestoredLog(parts, new Prover(store), tree, published)
  }

  get refusal(): TreelineError {
    return this.frozen
  }

  async witnessed(size: number): Promise<PublishedHead | undefined> {
    return this.published.witnessed && size <= this.published.size ? this.published : undefined
  }

  /** Nothing is ever published again. */
  async covering(size: number, patience: number, signal: AbortSignal): Promise<PublishedHead | undefined> {
    if (size <= this.published.size) return this.published
    await sleep(patience, undefined, { signal }).catch(() => {})
    return undefined
  }

  append(): Promise<Appended> {
    return Promise.reject(this.frozen)
  }

  warm(): Promise<void> {
    return this.store.warm()
  }

  close(): Promise<void> {
    return this.store.close()
  }
}
