/** What a log asks of a witness over HTTP (C2SP tlog-witness): bounded in time and size, and never led elsewhere. */
import { Agent, type Dispatcher, request } from 'undici'
import { fromUtf8, parseU64 } from '../core/bytes.ts'
import { originHash } from '../core/checkpoint.ts'

/** Cosignature lines, of ML-DSA too, or a checkpoint with as many signatures as a note may have. */
const MAX_ANSWER = 512 * 1024

/** What a witness made of a checkpoint. */
export type WitnessAnswer =
  | { readonly kind: 'cosigned'; readonly lines: string }
  /** It is at another size than the request said: that of its last cosignature. */
  | { readonly kind: 'elsewhere'; readonly size: bigint }
  | { readonly kind: 'refused'; readonly why: string }

export class WitnessClient {
  readonly #agent: Agent
  readonly #timeout: number

  /** `timeout` is for a whole question, ms. */
  constructor(timeout: number) {
    this.#timeout = timeout
    this.#agent = new Agent({
      connect: { timeout },
      headersTimeout: timeout,
      bodyTimeout: timeout,
      maxResponseSize: MAX_ANSWER,
    })
  }

  /** `url` is the submission prefix. Throws for a witness that does not answer. */
  async addCheckpoint(url: string, body: Uint8Array): Promise<WitnessAnswer> {
    const { status, text } = await this.#ask({ method: 'POST', body }, `${prefix(url)}/add-checkpoint`)
    if (status === 200) return { kind: 'cosigned', lines: text }
    // A witness of v1.0.0 answers 409 without a size when roots differ: asking again would change nothing.
    const size = status === 409 && text.endsWith('\n') ? parseU64(text.slice(0, -1)) : undefined
    if (size !== undefined) return { kind: 'elsewhere', size }
    return { kind: 'refused', why: `it answered ${status}: ${text.slice(0, 200).trim()}` }
  }

  /** The checkpoint that the witness shows to everybody; undefined when it never cosigned one. */
  async monitored(url: string, origin: string): Promise<string | undefined> {
    const { status, text } = await this.#ask({ method: 'GET' }, `${prefix(url)}/${originHash(origin)}/checkpoint`)
    if (status === 404) return undefined
    if (status !== 200) throw new Error(`it answered ${status}`)
    return text
  }

  /** How far a witness has audited an origin. Throws for one that does not say. */
  async audited(url: string, origin: string): Promise<number> {
    const { status, text } = await this.#ask({ method: 'GET' }, `${prefix(url)}/${originHash(origin)}/audited`)
    const size = status === 200 ? (JSON.parse(text) as { audited?: unknown }).audited : undefined
    if (!Number.isSafeInteger(size)) throw new Error(`it answered ${status}`)
    return size as number
  }

  async #ask(
    options: { readonly method: Dispatcher.HttpMethod; readonly body?: Uint8Array },
    url: string,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { statusCode, body } = await request(url, {
      ...options,
      dispatcher: this.#agent,
      signal: AbortSignal.timeout(this.#timeout),
    })
    const text = fromUtf8(new Uint8Array(await body.arrayBuffer()))
    if (text === undefined) throw new Error('its answer is not UTF-8')
    return { status: statusCode, text }
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}

const prefix = (url: string): string => url.replace(/\/$/, '')
