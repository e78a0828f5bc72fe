/**
 * The client of one log: submits signed events without ever stopping a pipeline, verifies every receipt, and fetches what an auditor
 * needs. What it trusts is a C2SP policy (log keys, witnesses, quorum) that its user pinned; nothing here re-pins.
 *
 *   const client = new TreelineClient({ url: 'https://log.example/models', trust, state: '.treeline' })
 *   const outcome = await client.submit(signEnvelope(IN_TOTO, await statementOf(step), [key]))
 */
import { fromUtf8 } from '../core/bytes.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { TreelineError } from '../core/errors.ts'
import { type Receipt, verifyReceipt } from '../core/receipt.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import { originOf, parseReceipt, Receipts } from './receipts.ts'
import { Spool } from './spool.ts'
import { parse, Transport, type TransportOptions } from './transport.ts'

export interface ClientOptions extends TransportOptions {
  readonly trust: WitnessPolicy
  /** Folder for spool, rejected events and receipts; one for each log. */
  readonly state: string
}

export type Outcome =
  | { readonly kind: 'logged'; readonly created: boolean; readonly receipt: Receipt; readonly file: string }
  /** The log is away or overloaded: `drain` will send it. */
  | { readonly kind: 'spooled'; readonly file: string; readonly reason: TreelineError }

export interface Drained {
  readonly logged: readonly Receipt[]
  readonly rejected: readonly { readonly file: string; readonly reason: TreelineError }[]
  /** Still in the spool, and why. */
  readonly left: number
  readonly reason?: TreelineError
}

/** Codes after which the same event can be taken later. */
const PASSING = new Set([
  'UNREACHABLE',
  'QUEUE_FULL',
  'STORAGE_FAILED',
  'CLOCK',
  'RATE_LIMITED',
  'FROZEN',
  'UNAUTHENTICATED',
])
const ENVELOPE = 'application/vnd.dsse.envelope.v1+json'

export class TreelineClient {
  readonly transport: Transport
  readonly spool: Spool
  readonly #trust: WitnessPolicy
  readonly #state: string

  constructor(options: ClientOptions) {
    this.transport = new Transport(options)
    this.#trust = options.trust
    this.#state = options.state
    this.spool = new Spool(options.state)
  }

  /**
   * Sends an envelope in canonical form. Events of before go first, so that the order of a signer holds. Never fails for a log that is away: then the event is in the spool.
   * Throws the log's refusal, or INVALID_PROOF for a receipt that does not verify.
   */
  async submit(envelope: Uint8Array): Promise<Outcome> {
    if (this.spool.list().length > 0) {
      const file = await this.spool.add(envelope)
      return this.#afterOthers(file, envelope)
    }
    try {
      return await this.#send(envelope)
    } catch (error) {
      if (!(error instanceof TreelineError) || !isPassing(error)) throw error
      return { kind: 'spooled', file: await this.spool.add(envelope), reason: error }
    }
  }

  async #afterOthers(file: string, envelope: Uint8Array): Promise<Outcome> {
    try {
      const { reason, rejected } = await this.drain()
      const refused = rejected.find((one) => one.file.endsWith(file.split('/').at(-1)!))
      if (refused !== undefined) throw refused.reason
      if (reason !== undefined) return { kind: 'spooled', file, reason }
      // It went with the others: the log answers with the receipt of the event that it knows.
      return { ...(await this.#send(envelope)), created: true }
    } catch (error) {
      if (error instanceof TreelineError && error.code === 'LOCKED') return { kind: 'spooled', file, reason: error }
      throw error
    }
  }

  /** Sends what is in the spool, oldest first, and proves kept receipts. Throws LOCKED while another process does. */
  async drain(): Promise<Drained> {
    return this.spool.exclusively(async () => {
      const logged: Receipt[] = []
      const rejected: { file: string; reason: TreelineError }[] = []
      for (const name of this.spool.list()) {
        try {
          const { receipt } = await this.#send(this.spool.read(name))
          logged.push(receipt)
          await this.spool.remove(name)
        } catch (error) {
          if (!(error instanceof TreelineError)) throw error
          if (isPassing(error)) return { logged, rejected, left: this.spool.list().length, reason: error }
          // A receipt that does not verify is the log's fault: the event stays.
          if (error.code === 'INVALID_PROOF' || error.code === 'UNVERIFIED_NOTE') throw error
          rejected.push({ file: await this.spool.reject(name, error), reason: error })
        }
      }
      return { logged, rejected, left: 0 }
    })
  }

  async #send(envelope: Uint8Array): Promise<Extract<Outcome, { kind: 'logged' }>> {
    const { status, body } = await this.transport.post('v1/events', envelope, ENVELOPE)
    const receipt = parseReceipt(parse(body))
    verifyReceipt(receipt, parseEnvelope(envelope), this.#trust)
    const file = await this.#receipts(receipt.origin).keep(receipt)
    return { kind: 'logged', created: status === 201, receipt, file }
  }

  /** Proves kept receipts against the published checkpoint. Throws INVALID_LOG when the log contradicts itself. */
  async settle(): Promise<{ readonly proved: number; readonly waiting: number }> {
    const note = fromUtf8((await this.transport.get('checkpoint')).body) ?? ''
    return this.#receipts(originOf(note)).settle(this.transport)
  }

  /** The `.tlog-proof` with everything that `verifyEvidence` checks; not verified yet. */
  async evidence(index: number): Promise<Uint8Array> {
    return (await this.transport.get(`v1/evidence/${index}`)).body
  }

  close(): Promise<void> {
    return this.transport.close()
  }

  #receipts(origin: string): Receipts {
    return new Receipts(this.#state, origin, this.#trust)
  }
}

const isPassing = ({ code }: TreelineError): boolean => PASSING.has(code)
