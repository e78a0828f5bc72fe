/**
 * Receipts are promises of the log alone. They are kept until each is proved to be under a checkpoint with the full quorum of the trust
 * policy; a log that cannot prove it has shown two histories, and both are written down as evidence.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '#platform'
import { fromBase64, toBase64, toHex, toUtf8 } from '../core/bytes.ts'
import { parseCheckpoint } from '../core/checkpoint.ts'
import { TreelineError } from '../core/errors.ts'
import { verifyConsistency } from '../core/merkle.ts'
import { parseNote } from '../core/note.ts'
import type { Receipt } from '../core/receipt.ts'
import { type VerifiedCheckpoint, verifyCheckpoint, type WitnessPolicy, withoutQuorum } from '../core/witness-policy.ts'
import { writeDurably } from './durable-file.ts'
import type { Transport } from './transport.ts'

interface ReceiptText {
  readonly origin: string
  readonly index: number
  readonly entry: string
  readonly salt?: string
  readonly hashes: readonly string[]
  readonly checkpoint: string
  readonly witnessed: boolean
}

/** Throws INVALID_PROOF for a document that is not a receipt. */
export function parseReceipt(document: unknown): Receipt {
  const { origin, index, entry, salt = '', hashes, checkpoint, witnessed } = (document ?? {}) as ReceiptText
  const entryBytes = typeof entry === 'string' ? fromBase64(entry) : undefined
  const saltBytes = typeof salt === 'string' ? fromBase64(salt) : undefined
  const path = Array.isArray(hashes)
    ? hashes.map((hash) => (typeof hash === 'string' ? fromBase64(hash) : undefined))
    : [undefined]
  if (
    typeof origin !== 'string' ||
    !Number.isSafeInteger(index) ||
    index < 0 ||
    typeof checkpoint !== 'string' ||
    typeof witnessed !== 'boolean'
  ) {
    throw new TreelineError('INVALID_PROOF', 'the answer of the log is not a receipt')
  }
  if (entryBytes === undefined || saltBytes === undefined || path.includes(undefined)) {
    throw new TreelineError('INVALID_PROOF', 'the receipt of the log has something that is not base64')
  }
  return { origin, index, entry: entryBytes, salt: saltBytes, hashes: path as Uint8Array[], checkpoint, witnessed }
}

export const receiptText = ({ origin, index, entry, salt, hashes, checkpoint, witnessed }: Receipt): string =>
  `${JSON.stringify({ origin, index, entry: toBase64(entry), salt: toBase64(salt), hashes: hashes.map(toBase64), checkpoint, witnessed }, null, 2)}\n`

export class Receipts {
  readonly #folder: string
  readonly #state: string
  readonly #trust: WitnessPolicy

  constructor(state: string, origin: string, trust: WitnessPolicy) {
    this.#state = state
    this.#folder = join(state, 'receipts', toHex(sha256(toUtf8(origin))))
    this.#trust = trust
  }

  async keep(receipt: Receipt): Promise<string> {
    const text = receiptText(receipt)
    // Named by its content too: of two histories with one index, both receipts are the evidence.
    const name = `${String(receipt.index).padStart(20, '0')}-${toHex(sha256(toUtf8(text))).slice(0, 16)}.json`
    const file = join(this.#folder, name)
    await writeDurably(file, text)
    return file
  }

  /** Names of the receipts that are not proved yet. */
  pending(): string[] {
    return existsSync(this.#folder)
      ? readdirSync(this.#folder)
          .filter((name) => /^[0-9]{20}-[0-9a-f]{16}\.json$/.test(name))
          .sort()
      : []
  }

  /**
   * Compares every kept receipt, and the newest checkpoint that was accepted before, with the published checkpoint. Returns how many receipts are proved
   * now. Throws INVALID_LOG with the path of the evidence when the log contradicts itself.
   */
  async settle(transport: Transport): Promise<{ readonly proved: number; readonly waiting: number }> {
    const note = (await transport.get('checkpoint')).body
    const now = verifyCheckpoint(note, this.#trust)
    const proofs = new Map<string, Promise<boolean>>()
    // Many receipts share a checkpoint: one proof each.
    const compare = (checkpoint: string): Promise<boolean> => {
      const known = proofs.get(checkpoint) ?? this.#compare(transport, checkpoint, now, note)
      proofs.set(checkpoint, known)
      return known
    }
    const last = join(this.#folder, 'checkpoint')
    if (existsSync(last)) await compare(readFileSync(last, 'utf8'))
    let proved = 0
    let waiting = 0
    for (const name of this.pending()) {
      const { checkpoint } = JSON.parse(readFileSync(join(this.#folder, name), 'utf8')) as ReceiptText
      if (await compare(checkpoint)) {
        await unlink(join(this.#folder, name))
        proved++
      } else waiting++
    }
    await writeDurably(last, note)
    return { proved, waiting }
  }

  /** Whether the checkpoint is a prefix of `now`; false when `now` is not there yet. */
  async #compare(transport: Transport, text: string, now: VerifiedCheckpoint, nowNote: Uint8Array): Promise<boolean> {
    // It was verified when it was kept, and with the quorum that it had.
    const { checkpoint: old } = verifyCheckpoint(toUtf8(text), withoutQuorum(this.#trust))
    const { checkpoint: head } = now
    if (old.size > head.size) return false
    const { hashes } = await transport.json<{ hashes: readonly string[] }>(
      `v1/proofs/consistency?from=${old.size}&to=${head.size}`,
    )
    const proof = hashes.map((hash) => fromBase64(hash) ?? new Uint8Array(0))
    if (verifyConsistency(old.size, head.size, old.root, head.root, proof)) return true
    const file = join(this.#state, `fault-${old.origin.replace(/[^a-z0-9.-]/gi, '_')}-${old.size}-${head.size}.txt`)
    await writeDurably(
      file,
      `treeline.evidence-of-fault@v1\nkind fork\n\n${text}\n${new TextDecoder().decode(nowNote)}`,
    )
    throw new TreelineError(
      'INVALID_LOG',
      `the log contradicts itself: what it signed at size ${old.size} is not a part of what it signed at ${head.size}. Keep ${file}, and tell others`,
    )
  }
}

/** The origin that a note's text names; nothing is verified. */
export const originOf = (note: string): string => parseCheckpoint(parseNote(toUtf8(note)).text).origin
