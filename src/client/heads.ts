/** The newest published checkpoint of a log that was ever accepted here. What was seen once must stay true. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TreelineError } from '../core/errors.ts'
import { formatVkey } from '../core/vkey.ts'
import { verifyCheckpoint, type WitnessPolicy, withoutQuorum } from '../core/witness-policy.ts'
import { writeDurably } from './durable-file.ts'
import { requirePrefix, type SignedHead } from './fork.ts'
import type { Transport } from './transport.ts'

export interface AcceptedHeadsParts {
  /** Of one log. */
  readonly folder: string
  readonly origin: string
  readonly trust: WitnessPolicy
}

export class AcceptedHeads {
  readonly #parts: AcceptedHeadsParts
  readonly #file: string

  constructor(parts: AcceptedHeadsParts) {
    this.#parts = parts
    this.#file = join(parts.folder, 'checkpoint')
  }

  /** Where evidence of a fault goes, and the keys that it names. */
  get evidence(): { readonly folder: string; readonly keys: readonly string[] } {
    const { folder, origin, trust } = this.#parts
    return { folder, keys: trust.logs.filter(({ key }) => key.name === origin).map(({ key }) => formatVkey(key)) }
  }

  /** Undefined when there is none, and when the trust policy has no key of it any more. */
  newest(): SignedHead | undefined {
    return existsSync(this.#file)
      ? signedHead(new Uint8Array(readFileSync(this.#file)), withoutQuorum(this.#parts.trust))
      : undefined
  }

  /**
   * The larger one of the published checkpoint and the newest before, once the other is a part of it; `shown` is the published one, which is old
   * where it is smaller: a cache may lag behind, a disk may have been rolled back, or a server hides what it has. Throws what `verifyCheckpoint`
   * and `requirePrefix` do.
   */
  async advance(
    transport: Transport,
    note: Uint8Array,
  ): Promise<{ readonly head: SignedHead; readonly shown: SignedHead }> {
    const { trust, origin } = this.#parts
    const { checkpoint } = verifyCheckpoint(note, trust)
    if (checkpoint.origin !== origin)
      throw new TreelineError(
        'UNVERIFIED_NOTE',
        `the log publishes a checkpoint of ${checkpoint.origin}, not ${origin}`,
      )
    const shown = { note, checkpoint }
    const before = this.newest()
    if (before !== undefined && before.checkpoint.size > checkpoint.size) {
      await requirePrefix(transport, shown, before, this.evidence)
      return { head: before, shown }
    }
    if (before !== undefined) await requirePrefix(transport, before, shown, this.evidence)
    await writeDurably(this.#file, note)
    return { head: shown, shown }
  }
}

/** Undefined when no key of the policy signed it: it was verified when it was kept, so the policy has changed since. */
export function signedHead(note: Uint8Array, trust: WitnessPolicy): SignedHead | undefined {
  try {
    return { note, checkpoint: verifyCheckpoint(note, trust).checkpoint }
  } catch (error) {
    if (error instanceof TreelineError && error.code === 'UNVERIFIED_NOTE') return undefined
    throw error
  }
}
