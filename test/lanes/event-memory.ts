/**
 * What the clients of an `events` log know of it, over all its crashes. A receipt is a promise that a client can take to anybody: after each
 * restart every one must still lead to the tree, what was never answered is submitted again, and each event is there exactly once. Some of what is sent are
 * signed batches: each is there whole, its items behind its header, or not at all.
 */

import { addendumHash } from '../../src/core/addendum.ts'
import { BATCH_BODY } from '../../src/core/batch.ts'
import { equal, fromBase64, fromUtf8, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { formatEnvelope, parseEnvelope } from '../../src/core/dsse.ts'
import { addendumDigest, BATCH, decodeEntry, EVENT } from '../../src/core/entry.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../src/core/merkle.ts'
import { TILE_WIDTH } from '../../src/core/tile.ts'
import { Tree } from '../../src/core/tree.ts'
import { Actor, event } from '../support/actors.ts'
import { signedBatch, statements } from '../support/batch.ts'
import { makeEventLog } from '../support/server.ts'
import { checkpointCovering, type Found, type Killed, type Memory, type Submission } from './crash.ts'
import { tempFolder, treeSize } from './lane.ts'
import { readCheckpoint, type SeenCheckpoint, TileClient } from './tile-client.ts'

interface Answered {
  readonly index: number
  readonly entry: Uint8Array
  /** How many entries it is. */
  readonly count: number
}

interface ReceiptText {
  readonly index: number
  readonly entry: string
  readonly hashes: readonly string[]
  readonly checkpoint: string
  /** Of a batch. */
  readonly size?: number
}

const NAME = 'test'
const ORIGIN = 'lane.example/killed'
/** One submission of so many is a batch, of up to so many items. */
const BATCHES = 8
const MOST_ITEMS = 40
/** Submissions at once when the unanswered ones are sent again. */
const AGAIN = 32

export class EventMemory implements Memory {
  readonly data = tempFolder()
  readonly #signers = Array.from({ length: 8 }, () => new Actor())
  #vkey = ''
  #sent = 0
  /** How many items each batch has that was ever sent, by the digest of its header. */
  readonly #batches = new Map<string, number>()
  /** Every event ever sent, and its answer once it has one. */
  readonly #answered = new Map<Submission, Answered>()
  #unanswered: Submission[] = []
  /** Checkpoints of receipts, verified, by their text. */
  readonly #seen = new Map<string, SeenCheckpoint>()
  /** Those that the last audit has not compared yet. */
  #fresh: SeenCheckpoint[] = []

  async init(): Promise<void> {
    const signers = this.#signers.map((actor) => ({ actor }))
    this.#vkey = (await makeEventLog(this.data, [new Actor()], signers, { name: NAME, origin: ORIGIN })).vkey
  }

  get acknowledged(): number {
    return this.#answered.size
  }

  get checkpoints(): number {
    return this.#seen.size
  }

  client(url: string): TileClient {
    return new TileClient(`${url}/${NAME}`, this.#vkey)
  }

  next(): Submission {
    const signer = this.#signers[this.#sent % this.#signers.length]!
    if (this.#sent % BATCHES === 0) return this.#batch(signer)
    const text = event(signer, `model ${this.#sent++}`)
    return { path: `/${NAME}/v1/events`, headers: { 'content-type': 'application/json' }, body: toUtf8(text) }
  }

  #batch(signer: Actor): Submission {
    const count = 1 + Math.floor(Math.random() * MOST_ITEMS)
    const { header, body } = signedBatch(ORIGIN, statements(count, String(this.#sent++)), [signer])
    this.#batches.set(toHex(addendumHash(formatEnvelope(parseEnvelope(toUtf8(header))))), count)
    return { path: `/${NAME}/v1/events/batch`, headers: { 'content-type': BATCH_BODY }, body }
  }

  remember({ answers, unanswered, checkpoints }: Killed<Submission>): string[] {
    const wrong: string[] = []
    this.#unanswered.push(...unanswered)
    for (const checkpoint of checkpoints) this.#keep(fromUtf8(checkpoint.note)!)
    for (const { submission, status, body } of answers) {
      if (status !== 201) wrong.push(`an answer of ${status}: ${fromUtf8(body)}`)
      else wrong.push(...this.#acknowledge(submission, body))
    }
    return wrong
  }

  /** Verifies a receipt as far as its own checkpoint, and keeps it. */
  #acknowledge(submission: Submission, body: Uint8Array): string[] {
    const { index, entry: text, hashes, checkpoint, size: items = 0 } = JSON.parse(fromUtf8(body)!) as ReceiptText
    const entry = fromBase64(text)!
    const { size, root } = this.#keep(checkpoint)
    this.#answered.set(submission, { index, entry, count: 1 + items })
    const path = hashes.map((hash) => fromBase64(hash)!)
    return verifyInclusion(BigInt(index), BigInt(size), leafHash(entry), path, root)
      ? []
      : [`the receipt of ${index} does not verify`]
  }

  #keep(note: string): SeenCheckpoint {
    const known = this.#seen.get(note)
    if (known !== undefined) return known
    const checkpoint = readCheckpoint(toUtf8(note), this.#vkey)
    this.#seen.set(note, checkpoint)
    this.#fresh.push(checkpoint)
    return checkpoint
  }

  async audit(url: string): Promise<Found> {
    const lost: string[] = []
    const wrong: string[] = []
    const before = await this.client(url).checkpoint()
    // Before anything is sent again: a resubmission must not heal what a crash lost.
    lost.push(...(await this.#compare(url)))
    // It may publish more than it has: there is nothing more to learn from it.
    if (lost.length > 0) return { lost, wrong }
    await this.#submitAgain(url, wrong)
    const client = this.client(url)
    const size = Math.max(...[...this.#answered.values()].map(({ index, count }) => index + count))
    const now = await checkpointCovering(size, client)
    if (now.size < before.size) wrong.push('the checkpoint shrank')

    const entries: Uint8Array[] = []
    for (let bundle = 0; bundle * TILE_WIDTH < now.size; bundle++)
      entries.push(...(await client.bundle(bundle, now.size)))
    if (!equal(Tree.empty.append(entries.map(leafHash)).tree.root, now.root))
      wrong.push('the entries do not give the root')
    for (const { index, entry } of this.#answered.values()) {
      if (entries[index] === undefined || !equal(entries[index], entry))
        lost.push(`the receipt of ${index} names another entry`)
    }
    const digests = new Set(entries.map((entry) => toHex(addendumDigest(entry))))
    if (digests.size !== entries.length) wrong.push(`${entries.length - digests.size} events are there twice`)
    // The genesis, and every event that was ever sent: all of them are answered by now.
    const expected = [...this.#answered.values()].reduce((sum, { count }) => sum + count, 1)
    if (entries.length !== expected) wrong.push(`${entries.length} entries, and ${expected} were sent`)
    wrong.push(...this.#halfBatches(entries))
    // The control: a log that lost one item must not pass.
    const item = entries.findIndex((bytes) => bytes[0] === 0xaa)
    if (this.#halfBatches(entries.toSpliced(item, 1)).length === 0) wrong.push('half a batch would go unnoticed')
    return { lost, wrong }
  }

  /** A header without all of its items behind it, or an item without its header. What is sent again heals neither. */
  #halfBatches(entries: readonly Uint8Array[]): string[] {
    const wrong: string[] = []
    let header = 0
    let left = 0
    for (const [index, bytes] of entries.entries()) {
      const entry = decodeEntry(bytes)
      const batch = entry.kind === EVENT ? entry.batch : undefined
      if (
        left > 0 !== (batch !== undefined) ||
        (batch && (batch.header !== header || batch.position !== index - header - 1))
      )
        wrong.push(`entry ${index} is out of its place: ${left} items of the batch at ${header} are to come`)
      if (left > 0) left--
      if (entry.kind === BATCH) {
        header = index
        left = this.#batches.get(toHex(entry.addendum)) ?? -1
      }
    }
    if (left !== 0) wrong.push(`the log ends ${left} items before its last batch does`)
    return wrong
  }

  /** Every checkpoint of a receipt must be a prefix of the log that came back. */
  async #compare(url: string): Promise<string[]> {
    const lost: string[] = []
    const now = await this.client(url).checkpoint()
    const size = await treeSize(url)
    for (const { size: from, root } of this.#fresh) {
      if (from > size) {
        lost.push(`a receipt is for a tree of ${from}, and the log has ${size}`)
        continue
      }
      const [small, large] = from <= now.size ? [{ size: from, root }, now] : [now, { size: from, root }]
      const answer = await fetch(`${url}/${NAME}/v1/proofs/consistency?from=${small.size}&to=${large.size}`)
      if (!answer.ok) {
        // A log that lost its end does not know the size that it once signed.
        lost.push(`no proof from ${small.size} to ${large.size}: ${answer.status} ${await answer.text()}`)
        continue
      }
      const { hashes } = (await answer.json()) as { hashes: string[] }
      const proof = hashes.map((hash) => fromBase64(hash)!)
      if (!verifyConsistency(BigInt(small.size), BigInt(large.size), small.root, large.root, proof)) {
        lost.push(`the checkpoint of ${from} is not consistent with that of ${now.size}`)
      }
    }
    this.#fresh = []
    return lost
  }

  async #submitAgain(url: string, wrong: string[]): Promise<void> {
    const left = this.#unanswered
    this.#unanswered = []
    const lane = async (): Promise<void> => {
      for (let submission = left.pop(); submission !== undefined; submission = left.pop()) {
        const { path, headers = {}, body } = submission
        const answer = await fetch(url + path, { method: 'POST', headers, body: new Uint8Array(body) })
        const text = new Uint8Array(await answer.arrayBuffer())
        if (answer.status !== 200 && answer.status !== 201) wrong.push(`again: ${answer.status} ${fromUtf8(text)}`)
        else wrong.push(...this.#acknowledge(submission, text))
      }
    }
    await Promise.all(Array.from({ length: AGAIN }, lane))
  }
}
