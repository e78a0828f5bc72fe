/**
 * Receipts are promises of the log alone. They are kept until each is proved to be under a checkpoint with the full quorum of the trust
 * policy; a log that contradicts one has shown two histories, and both are written down as evidence.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '#platform'
import { toBase64, toHex, toUtf8 } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import type { BatchReceipt, Receipt } from '../core/receipt.ts'
import { type WitnessPolicy, withoutQuorum } from '../core/witness-policy.ts'
import { bytesOf, hashesOf, indexOf, textOf, wrongAnswer } from './answer.ts'
import { makeFolder, writeDurably } from './durable-file.ts'
import { requirePrefix } from './fork.ts'
import { AcceptedHeads, signedHead } from './heads.ts'
import type { Transport } from './transport.ts'

/** Throws INVALID_PROOF for a document that is not a receipt. Its salt is empty where the logged document is bare. */
export function parseReceipt(document: unknown): Receipt {
  const { origin, index, entry, salt, hashes, checkpoint, witnessed } = (document ?? {}) as Record<string, unknown>
  if (typeof witnessed !== 'boolean') throw wrongAnswer('it is not a receipt')
  const receipt = {
    origin: textOf(origin, 'origin'),
    index: indexOf(index, 'index'),
    entry: bytesOf(entry, 'entry'),
    salt: salt === undefined ? new Uint8Array(0) : bytesOf(salt, 'salt'),
    hashes: hashesOf(hashes),
    checkpoint: textOf(checkpoint, 'checkpoint'),
    witnessed,
  }
  if (receipt.salt.length !== 0 && receipt.salt.length !== 16) throw wrongAnswer('the salt is not 16 bytes')
  return receipt
}

/** Throws INVALID_PROOF for a document that is not the receipt of a batch. */
export function parseBatchReceipt(document: unknown): BatchReceipt {
  const { first, size } = (document ?? {}) as Record<string, unknown>
  return { ...parseReceipt(document), first: indexOf(first, 'first'), size: indexOf(size, 'size') }
}

export function receiptText(receipt: Receipt | BatchReceipt): string {
  const { origin, index, entry, salt, hashes, checkpoint, witnessed } = receipt
  const document = {
    ...{ origin, index, entry: toBase64(entry) },
    ...('first' in receipt ? { first: receipt.first, size: receipt.size } : { salt: toBase64(salt) }),
    ...{ hashes: hashes.map(toBase64), checkpoint, witnessed },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

export interface Settled {
  /** Receipts that are under a published checkpoint now; they are kept no longer. */
  readonly proved: number
  /** Receipts that the published checkpoint does not cover yet, or that were left for another time. */
  readonly waiting: number
  /** Receipts signed by a key that the trust policy does not list any more: they stand in the folder `foreign` now. */
  readonly foreign: number
}

export interface ReceiptsParts {
  /** Of one log. */
  readonly folder: string
  readonly origin: string
  readonly trust: WitnessPolicy
}

export class Receipts {
  readonly folder: string
  readonly #parts: ReceiptsParts
  readonly #heads: AcceptedHeads

  constructor(parts: ReceiptsParts) {
    this.#parts = parts
    this.folder = join(parts.folder, 'receipts')
    this.#heads = new AcceptedHeads(parts)
  }

  async keep(receipt: Receipt): Promise<string> {
    const text = receiptText(receipt)
    // Named by its content too: of two histories with one index, both receipts are the evidence.
    const name = `${String(receipt.index).padStart(20, '0')}-${toHex(sha256(toUtf8(text))).slice(0, 16)}.json`
    const file = join(this.folder, name)
    await writeDurably(file, text)
    return file
  }

  /** Names of the receipts that are not proved yet. */
  pending(): string[] {
    return existsSync(this.folder)
      ? readdirSync(this.folder)
          .filter((name) => /^[0-9]{20}-[0-9a-f]{16}\.json$/.test(name))
          .sort()
      : []
  }

  /**
   * Compares kept receipts, at most `limit` of them, and the newest checkpoint that was accepted before, with the published one.
   * Throws what `verifyCheckpoint` and `requirePrefix` do.
   */
  async settle(transport: Transport, limit: number, patience?: number): Promise<Settled> {
    const { evidence } = this.#heads
    const { head } = await this.#heads.advance(transport, await transport.get('checkpoint', patience))
    let [proved, foreign] = [0, 0]
    const pending = this.pending()
    // Many receipts share a checkpoint: one proof each.
    const compared = new Set<string>()
    for (const name of pending.slice(0, limit)) {
      const { checkpoint: note } = this.#read(name)
      const old = signedHead(toUtf8(note), withoutQuorum(this.#parts.trust))
      if (old === undefined) {
        await this.#setAside(name)
        foreign++
      } else if (old.checkpoint.size <= head.checkpoint.size) {
        if (!compared.has(note)) await requirePrefix(transport, old, head, evidence)
        compared.add(note)
        await unlink(join(this.folder, name))
        proved++
      }
    }
    return { proved, foreign, waiting: pending.length - proved - foreign }
  }

  async #setAside(name: string): Promise<void> {
    const foreign = join(this.folder, 'foreign')
    makeFolder(foreign)
    await rename(join(this.folder, name), join(foreign, name))
  }

  #read(name: string): Receipt {
    const file = join(this.folder, name)
    try {
      return parseReceipt(JSON.parse(readFileSync(file, 'utf8')))
    } catch (error) {
      throw new TreelineError('USAGE', `${file} is not a receipt any more: remove it`, {}, { cause: error })
    }
  }
}
