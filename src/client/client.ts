/**
 * The client of one log: submits signed events without ever stopping a pipeline, verifies every receipt, and fetches what an auditor
 * needs. What it trusts is a C2SP policy (log keys, witnesses, quorum) that its user pinned; nothing here re-pins.
 *
 *   const client = new TreelineClient({ url: 'https://log.example/models', trust, state: '.treeline' })
 *   const payload = await statementOf({ type, origin: client.origin, produced: [{ path: 'model.bin' }], consumed: [], parameters: {} })
 *   const outcome = await client.submit(signEnvelope(IN_TOTO, payload, [SigningKey.load('trainer.key')]))
 *   await client.settle()
 *   await client.close()
 */
import { BATCH_BODY } from '../core/batch.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { type Code, TreelineError } from '../core/errors.ts'
import { type BatchReceipt, type Receipt, verifyBatchReceipt, verifyReceipt } from '../core/receipt.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import { parseAnswer, wrongAnswer } from './answer.ts'
import { bodyOf, type PreparedBatch, readBatch } from './batch.ts'
import { fetchProof } from './reads.ts'
import { parseBatchReceipt, parseReceipt, Receipts, type Settled } from './receipts.ts'
import { Spool } from './spool.ts'
import { PASSING, Transport, type TransportOptions } from './transport.ts'
import { stateFolder, trustedOrigin } from './trusted-log.ts'

export interface ClientOptions extends TransportOptions {
  readonly trust: WitnessPolicy
  /** Folder for spools, refused events and receipts, of each log in a folder of its own. */
  readonly state: string
}

/** An event that the log has, with the receipt that was verified. */
export interface Logged {
  /** False when the log knew it from before. */
  readonly created: boolean
  /** Of the log itself, or of a log that it succeeds, which then has the event; its `origin` says which. */
  readonly receipt: Receipt | BatchReceipt
  /** Where the receipt is kept until it is settled. */
  readonly file: string
}

export interface Rejected {
  /** Where the event is now; its `.problem.json` stands beside it. */
  readonly file: string
  readonly reason: TreelineError
}

export interface SubmitOptions {
  /** Wait, up to a limit of the log, until witnesses have cosigned: the receipt says whether they have. */
  readonly witnessed?: boolean
}

export type Outcome = (
  | ({ readonly kind: 'logged' } & Logged)
  /** The log is away or overloaded: `drain` will send it. */
  | { readonly kind: 'spooled'; readonly file: string; readonly reason: TreelineError }
) & {
  /** Events of before that went first and were refused. */
  readonly rejected: readonly Rejected[]
}

export interface Drained {
  readonly logged: readonly Logged[]
  readonly rejected: readonly Rejected[]
  /** How many are still in the spool, and what stopped the drainer there. */
  readonly left: number
  readonly reason?: TreelineError
}

/**
 * The log judged the event itself. Everything else (a token that expired, a wrong URL, a receipt that does not verify) says nothing of the
 * event, which then stays.
 */
const FINAL = new Set<Code>([
  'UNKNOWN_KEY',
  'KEY_SUSPENDED',
  'KEY_EXPIRED',
  'TYPE_NOT_ALLOWED',
  'SUBJECT_NOT_ALLOWED',
  'WRONG_ORIGIN',
  'BAD_SIGNATURE',
  'MALFORMED_ENVELOPE',
  'MALFORMED_BASE64',
  'MALFORMED_PAYLOAD',
  'DUPLICATE_JSON_KEY',
  'TOO_DEEP',
  'BODY_TOO_LARGE',
  'ENTRY_TOO_LARGE',
  'REDACTED',
])
const ENVELOPE = 'application/vnd.dsse.envelope.v1+json'

/** What is submitted: how it is kept, and how it is sent. */
interface Sendable {
  readonly spool: () => Promise<string>
  readonly send: () => Promise<Logged>
}

export class TreelineClient {
  readonly transport: Transport
  readonly spool: Spool
  /** Of the log that the trust policy has for the URL. */
  readonly origin: string
  readonly #receipts: Receipts
  readonly #state: string
  readonly #trust: WitnessPolicy

  /** Throws USAGE when the policy does not say which log is meant. */
  constructor(options: ClientOptions) {
    const { trust, state } = options
    this.#trust = trust
    this.origin = trustedOrigin(trust, options.url)
    this.#state = state
    this.spool = new Spool(stateFolder(state, this.origin))
    this.#receipts = this.#receiptsOf(this.origin)
    this.transport = new Transport(options)
  }

  #receiptsOf(origin: string): Receipts {
    return new Receipts({ folder: stateFolder(this.#state, origin), origin, trust: this.#trust })
  }

  /**
   * Sends an envelope in canonical form. Events that wait go first, so that the order of a signer holds. Never fails for a log that is away:
   * then the event is in the spool. Throws the log's refusal, which is final; any other error says where the event is kept.
   */
  submit(envelope: Uint8Array, options: SubmitOptions = {}): Promise<Outcome> {
    const sendable = { spool: () => this.spool.add(envelope), send: () => this.#send(envelope, options) }
    return this.#submit(sendable, options)
  }

  /** The same for a signed batch (`prepareBatch`): taken whole or not at all, spooled whole, and its receipt is that of its header. */
  submitBatch(batch: PreparedBatch, options: SubmitOptions = {}): Promise<Outcome> {
    const spool = async () => this.spool.add(await bodyOf(batch), 'batch')
    return this.#submit({ spool, send: () => this.#sendBatch(batch, options) }, options)
  }

  async #submit(sendable: Sendable, options: SubmitOptions): Promise<Outcome> {
    return this.spool.list().length > 0 ? this.#behindOthers(sendable, options) : this.#now(sendable, [])
  }

  async #now({ spool, send }: Sendable, rejected: readonly Rejected[]): Promise<Outcome> {
    try {
      return { kind: 'logged', ...(await send()), rejected }
    } catch (error) {
      if (!(error instanceof TreelineError) || FINAL.has(error.code)) throw error
      return spooled(await spool(), error, rejected)
    }
  }

  async #behindOthers(sendable: Sendable, options: SubmitOptions): Promise<Outcome> {
    const file = await sendable.spool()
    const found = new Map<string, Logged | Rejected>()
    let drained: Drained
    try {
      drained = await this.#drain(found)
    } catch (error) {
      if (error instanceof TreelineError && error.code === 'LOCKED')
        return { kind: 'spooled', file, reason: error, rejected: [] }
      throw error
    }
    const { rejected, reason } = drained
    const own = found.get(file)
    if (own !== undefined && 'reason' in own) throw own.reason
    // Asked again, the log answers with the same entry, and waits.
    if (own !== undefined && !options.witnessed) return { kind: 'logged', ...own, rejected }
    if (reason !== undefined) return spooled(file, reason, rejected)
    // Another drainer took it in between: the log answers with the receipt of the event that it knows.
    return this.#now(sendable, rejected)
  }

  /** Sends what is in the spool, oldest first. Throws LOCKED while another process does. */
  drain(): Promise<Drained> {
    return this.#drain(new Map())
  }

  /** `found` gets what became of each file. */
  async #drain(found: Map<string, Logged | Rejected>): Promise<Drained> {
    let reason = await this.spool.exclusively(() => this.#sendAll(found))
    // Whoever added an event while we held the lock was told that we would send it.
    while (reason === undefined && this.spool.list().length > 0) {
      try {
        reason = await this.spool.exclusively(() => this.#sendAll(found))
      } catch (error) {
        if (!(error instanceof TreelineError) || error.code !== 'LOCKED') throw error
        break
      }
    }
    const all = [...found.values()]
    return {
      logged: all.filter((one) => 'receipt' in one),
      rejected: all.filter((one) => 'reason' in one),
      left: this.spool.list().length,
      ...(reason && { reason }),
    }
  }

  /** One by one, because the log promises no order among requests in flight. Returns what stopped it. */
  async #sendAll(found: Map<string, Logged | Rejected>): Promise<TreelineError | undefined> {
    for (let [name] = this.spool.list(); name !== undefined; [name] = this.spool.list()) {
      const file = this.spool.path(name)
      try {
        const batch = name.endsWith('.batch')
        found.set(file, await (batch ? this.#sendBatch(readBatch(file)) : this.#send(this.spool.read(name))))
        // Dies before: it is sent again and known. The receipt is kept already.
        await this.spool.remove(name)
      } catch (error) {
        if (!(error instanceof TreelineError)) throw error
        if (!FINAL.has(error.code)) return error
        found.set(file, { file: await this.spool.reject(name, error), reason: error })
      }
    }
    return undefined
  }

  async #send(envelope: Uint8Array, { witnessed = false }: SubmitOptions = {}): Promise<Logged> {
    const path = `v1/events${witnessed ? '?wait=witnessed' : ''}`
    const { status, body } = await this.transport.post(path, envelope, ENVELOPE)
    const created = status === 201
    const receipt = this.#verified(created, () => {
      const parsed = parseReceipt(parseAnswer(body))
      if (parsed.salt.length === 0) throw wrongAnswer('the receipt has no salt')
      return [parsed, () => verifyReceipt(parsed, parseEnvelope(envelope), this.#trust)]
    })
    return this.#kept(created, receipt)
  }

  async #sendBatch(batch: PreparedBatch, { witnessed = false }: SubmitOptions = {}): Promise<Logged> {
    const path = `v1/events/batch${witnessed ? '?wait=witnessed' : ''}`
    const { status, body } = await this.transport.post(path, batch, BATCH_BODY)
    const created = status === 201
    const receipt = this.#verified(created, () => {
      const parsed = parseBatchReceipt(parseAnswer(body))
      return [parsed, () => verifyBatchReceipt(parsed, batch.envelope, this.#trust)]
    })
    return this.#kept(created, receipt)
  }

  async #kept(created: boolean, receipt: Receipt | BatchReceipt): Promise<Logged> {
    // Kept with the log that it is of: another one cannot prove anything about it.
    const receipts = receipt.origin === this.origin ? this.#receipts : this.#receiptsOf(receipt.origin)
    return { created, receipt, file: await receipts.keep(receipt) }
  }

  /** Whatever is wrong with a receipt is the log's fault, and must not read as a judgement of the event. */
  #verified<T extends Receipt>(created: boolean, parse: () => [T, verify: () => unknown]): T {
    try {
      const [receipt, verify] = parse()
      if (receipt.origin !== this.origin) this.#requirePinned(receipt.origin, created)
      verify()
      return receipt
    } catch (error) {
      if (!(error instanceof TreelineError) || error.code === 'UNVERIFIED_NOTE') throw error
      throw new TreelineError('INVALID_PROOF', `the receipt does not verify: ${error.message}`, {}, { cause: error })
    }
  }

  /** A log that goes on from another one answers with that one's receipt for what that one has. Throws INVALID_PROOF, UNVERIFIED_NOTE. */
  #requirePinned(origin: string, created: boolean): void {
    if (created) throw wrongAnswer(`the receipt is of ${origin}, not ${this.origin}`)
    if (this.#trust.logs.some(({ key }) => key.name === origin)) return
    throw new TreelineError(
      'UNVERIFIED_NOTE',
      `${this.origin} answers that the event is in ${origin}, a log that it succeeds, and the trust policy has no key of that one: pin it too (treeline trust)`,
    )
  }

  /**
   * Proves kept receipts against the published checkpoint, `limit` of them at most. Throws INVALID_LOG when the log contradicts itself,
   * INVALID_PROOF when it does not prove that it agrees, UNVERIFIED_NOTE when the published checkpoint is not what the trust policy asks for.
   */
  settle({ limit = Number.POSITIVE_INFINITY, patience }: { limit?: number; patience?: number } = {}): Promise<Settled> {
    return this.#receipts.settle(this.transport, limit, patience)
  }

  /** The evidence file of an entry, for `verifyFile`. Waits, as long as patience lasts, until a published checkpoint covers it. */
  evidence(index: number): Promise<Uint8Array> {
    return this.transport.get(`v1/evidence/${index}`)
  }

  /** The `.tlog-proof` of an entry, for any verifier of that format. Waits like `evidence`. */
  proof(index: number): Promise<Uint8Array> {
    return fetchProof(this.transport, index)
  }

  close(): Promise<void> {
    return this.transport.close()
  }
}

/** A log that is away is no failure. Any other error is one, and the event is kept all the same. */
function spooled(file: string, reason: TreelineError, rejected: readonly Rejected[]): Outcome {
  if (PASSING.has(reason.code)) return { kind: 'spooled', file, reason, rejected }
  const { code, message, facts } = reason
  throw new TreelineError(code, `${message}. The event is kept in ${file}`, { ...facts, file }, { cause: reason })
}
