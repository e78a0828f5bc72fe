/** HTTP to a log: bounded in time and size, asked again where that can help, errors as the log's own codes. */

import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import type { Agent, buildConnector, Dispatcher } from 'undici'
import { type Code, TreelineError } from '../core/errors.ts'
import { parseAnswer } from './answer.ts'

export interface TransportOptions {
  /** Of the log: `https://host/NAME`. */
  readonly url: string
  readonly token?: string
  /** PEM texts: whom to trust beside the system, and who we are. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** How long to go on asking a log that is away or overloaded, ms. */
  readonly patience?: number
}

interface Answer {
  readonly status: number
  readonly body: Uint8Array
}

/** What one attempt came to. `again` (ms to wait at least) is there when another one can help. */
type Attempt = { readonly answer: Answer } | { readonly error: TreelineError; readonly again?: number }

interface Question {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: Uint8Array | StreamedBody
  readonly type?: string
  /** Asks for bytes as they are: what is hashes cannot be packed, and unpacking costs more than reading. */
  readonly plain?: boolean
}

/** A body that is read anew for each attempt. */
export interface StreamedBody {
  /** Bytes. */
  readonly length: number
  body(): AsyncIterable<Uint8Array>
}

/** Largest answer that is read; evidence with a 4 MiB addendum in base64 fits. */
const MAX_ANSWER = 64 * 2 ** 20
/** Of one attempt, however slowly its bytes come, ms. */
const ATTEMPT = 60_000
const SILENCE = 30_000
const DEFAULT_PATIENCE = 10_000
const MAX_RETRY_AFTER = 30_000

export class Transport {
  readonly url: string
  readonly #token: string | undefined
  readonly patience: number
  readonly #tls: buildConnector.BuildOptions
  #agent: Agent | undefined

  constructor({ url, token, ca, cert, key, patience = DEFAULT_PATIENCE }: TransportOptions) {
    this.url = url.replace(/\/$/, '')
    this.#token = token
    this.patience = patience
    this.#tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
  }

  async get(path: string, patience = this.patience): Promise<Uint8Array> {
    return (await this.#ask({ method: 'GET', path }, patience)).body
  }

  /** The same, and asks the log not to pack it. */
  async plain(path: string): Promise<Uint8Array> {
    return (await this.#ask({ method: 'GET', path, plain: true }, this.patience)).body
  }

  async json<T extends object>(path: string): Promise<T> {
    return parseAnswer<T>(await this.get(path))
  }

  post(path: string, body: Uint8Array | StreamedBody, type: string): Promise<Answer> {
    return this.#ask({ method: 'POST', path, body, type }, this.patience)
  }

  async close(): Promise<void> {
    await this.#agent?.destroy()
  }

  /** Asks again on a broken connection, 429, 5xx and NOT_YET_PUBLISHED until patience ends. Throws the log's code, or UNREACHABLE. */
  async #ask(question: Question, patience: number): Promise<Answer> {
    const end = performance.now() + patience
    for (let pause = 100; ; pause = Math.min(2 * pause, 5_000)) {
      const attempt = await this.#attempt(question)
      if ('answer' in attempt) return attempt.answer
      if (attempt.again === undefined) throw attempt.error
      // Jitter, so that clients that lost one server do not come back as one.
      const wait = Math.max(attempt.again, pause * (0.5 + Math.random()))
      if (performance.now() + wait > end) throw attempt.error
      await sleep(wait)
    }
  }

  async #attempt({ method, path, body, type, plain }: Question): Promise<Attempt> {
    // Loaded when it is needed: it would be half of the time of commands that ask nothing.
    const { Agent, request } = await import('undici')
    this.#agent ??= new Agent({
      connect: { ...this.#tls, timeout: 5_000 },
      headersTimeout: SILENCE,
      bodyTimeout: SILENCE,
      maxResponseSize: MAX_ANSWER,
    })
    try {
      const answer: Dispatcher.ResponseData = await request(`${this.url}/${path}`, {
        method,
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(ATTEMPT),
        headers: {
          'accept-encoding': plain ? 'identity' : 'gzip, identity',
          ...(type && { 'content-type': type }),
          ...(body && { 'content-length': String(body.length) }),
          ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        },
        ...(body && { body: body instanceof Uint8Array ? body : Readable.from(body.body(), { objectMode: false }) }),
      })
      const { statusCode: status, headers } = answer
      const bytes = decoded(new Uint8Array(await answer.body.arrayBuffer()), headers['content-encoding'])
      if (status >= 200 && status < 300) return { answer: { status, body: bytes } }
      const error = problem(status, bytes)
      const passing = status >= 500 || status === 429 || error.code === 'NOT_YET_PUBLISHED'
      return passing ? { error, again: retryAfter(headers['retry-after']) } : { error }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const unreachable = new TreelineError(
        'UNREACHABLE',
        `${this.url} does not answer: ${message || code}`,
        {},
        { cause: error },
      )
      // It would be as large again.
      return code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' ? { error: unreachable } : { error: unreachable, again: 0 }
    }
  }
}

/** RFC 9110 section 10.2.3, seconds or a date, in ms; 0 for anything else. */
function retryAfter(header: string | string[] | undefined): number {
  const text = String(header ?? '')
  const wait = /^[0-9]+$/.test(text) ? 1_000 * Number(text) : Date.parse(text) - Date.now()
  return Math.min(Math.max(wait, 0) || 0, MAX_RETRY_AFTER)
}

/** Throws for anything but gzip, and for more than MAX_ANSWER bytes inside of it. */
function decoded(body: Uint8Array, coding: string | string[] | undefined): Uint8Array {
  if (coding === undefined || coding === 'identity') return body
  if (coding !== 'gzip') throw new Error(`an answer in the content coding ${coding}`)
  return new Uint8Array(gunzipSync(body, { maxOutputLength: MAX_ANSWER }))
}

/** What proxies say by a status alone. */
const BY_STATUS: Readonly<Record<number, Code>> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  413: 'BODY_TOO_LARGE',
}

/** The log is out of order or overloaded: the same question can be answered later. */
export const PASSING: ReadonlySet<string> = new Set<Code>([
  'UNREACHABLE',
  'QUEUE_FULL',
  'STORAGE_FAILED',
  'CLOCK',
  'RATE_LIMITED',
  'FROZEN',
  'NOT_YET_AUDITED',
])

/** The document of a problem, if it is one. A 5xx is a log that is out of order, whatever else it says of itself. */
function problem(status: number, body: Uint8Array): TreelineError {
  try {
    const { code, detail, type, title, status: _, ...facts } = parseAnswer<Record<string, unknown>>(body)
    if (typeof code === 'string' && type === `urn:treeline:problem:${code}` && (status < 500 || PASSING.has(code))) {
      return new TreelineError(code as Code, typeof detail === 'string' ? detail : String(title), facts)
    }
  } catch {
    // Not JSON: said below.
  }
  return new TreelineError(BY_STATUS[status] ?? 'UNREACHABLE', `answered with status ${status} and no reason of a log`)
}
