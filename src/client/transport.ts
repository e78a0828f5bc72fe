/** HTTP to a log: bounded in time and size, retried where that can help, errors as the log's own codes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { Agent, type Dispatcher, request } from 'undici'
import { fromUtf8 } from '../core/bytes.ts'
import { type Code, TreelineError } from '../core/errors.ts'

export interface TransportOptions {
  /** Of the log: `https://host/NAME`, without a slash at the end. */
  readonly url: string
  readonly token?: string
  /** PEM texts: whom to trust beside the system, and who we are. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** How long to go on asking a log that is away or overloaded, ms. */
  readonly patience?: number
}

export interface Answer {
  readonly status: number
  readonly body: Uint8Array
}

/** Largest answer that is read; evidence with a 4 MiB addendum in base64 fits. */
const MAX_ANSWER = 64 * 2 ** 20
const TIMEOUT = 30_000
const DEFAULT_PATIENCE = 10_000

export class Transport {
  readonly url: string
  readonly #token: string | undefined
  readonly #patience: number
  readonly #dispatcher: Dispatcher

  constructor({ url, token, ca, cert, key, patience = DEFAULT_PATIENCE }: TransportOptions) {
    this.url = url.replace(/\/$/, '')
    this.#token = token
    this.#patience = patience
    const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
    this.#dispatcher = new Agent({
      connect: { ...tls, timeout: 5_000 },
      headersTimeout: TIMEOUT,
      bodyTimeout: TIMEOUT,
      maxResponseSize: MAX_ANSWER,
    })
  }

  get(path: string): Promise<Answer> {
    return this.#ask('GET', path)
  }

  post(path: string, body: Uint8Array, type: string): Promise<Answer> {
    return this.#ask('POST', path, body, type)
  }

  async json<T>(path: string): Promise<T> {
    return parse<T>((await this.get(path)).body)
  }

  close(): Promise<void> {
    return this.#dispatcher.close()
  }

  /** Repeats on a broken connection, 429, 5xx and NOT_YET_PUBLISHED until patience ends. Throws the log's code, or UNREACHABLE. */
  async #ask(method: 'GET' | 'POST', path: string, body?: Uint8Array, type?: string): Promise<Answer> {
    const end = performance.now() + this.#patience
    for (let pause = 100; ; pause = Math.min(2 * pause, 5_000)) {
      const { error, retryAfter, answer } = await this.#once(method, path, body, type)
      if (answer !== undefined) return answer
      if (retryAfter === undefined) throw error
      // Jitter, so that clients that lost one server do not come back as one.
      const wait = Math.max(retryAfter, pause * (0.5 + Math.random()))
      if (performance.now() + wait > end) throw error
      await sleep(wait)
    }
  }

  /** `retryAfter` (ms) is there when asking again can help. */
  async #once(
    method: 'GET' | 'POST',
    path: string,
    body: Uint8Array | undefined,
    type: string | undefined,
  ): Promise<{ answer?: Answer; error?: TreelineError; retryAfter?: number }> {
    let answer: Dispatcher.ResponseData
    let bytes: Uint8Array
    try {
      answer = await request(`${this.url}/${path}`, {
        method,
        dispatcher: this.#dispatcher,
        headers: {
          'accept-encoding': 'gzip, identity',
          ...(type && { 'content-type': type }),
          ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        },
        ...(body && { body }),
      })
      bytes = decoded(new Uint8Array(await answer.body.arrayBuffer()), answer.headers['content-encoding'])
    } catch (error) {
      return {
        error: new TreelineError(
          'UNREACHABLE',
          `${this.url} does not answer: ${(error as Error).message}`,
          {},
          { cause: error },
        ),
        retryAfter: 0,
      }
    }
    const { statusCode: status, headers } = answer
    if (status >= 200 && status < 300) return { answer: { status, body: bytes } }
    const error = problem(status, bytes)
    const again = status >= 500 || status === 429 || error.code === 'NOT_YET_PUBLISHED'
    return { error, ...(again && { retryAfter: 1000 * Math.min(30, Number(headers['retry-after'] ?? 0) || 0) }) }
  }
}

/** Throws for anything but gzip, and for more than MAX_ANSWER bytes inside of it. */
function decoded(body: Uint8Array, coding: string | string[] | undefined): Uint8Array {
  if (coding === undefined || coding === 'identity') return body
  if (coding !== 'gzip') throw new Error(`an answer in the content coding ${coding}`)
  return new Uint8Array(gunzipSync(body, { maxOutputLength: MAX_ANSWER }))
}

/** The document of a problem, if it is one; else UNREACHABLE: whatever answered is not a log. */
function problem(status: number, body: Uint8Array): TreelineError {
  try {
    const { code, detail, type, title, status: _, ...facts } = parse<Record<string, unknown>>(body)
    if (type === `urn:treeline:problem:${code}` && typeof detail === 'string') {
      return new TreelineError(code as Code, detail, facts)
    }
  } catch {
    // Not JSON: said below.
  }
  return new TreelineError('UNREACHABLE', `answered with status ${status}, which is not an answer of a log`)
}

/** Throws UNREACHABLE for what is not JSON. */
export function parse<T>(body: Uint8Array): T {
  try {
    return JSON.parse(fromUtf8(body) ?? '') as T
  } catch (error) {
    throw new TreelineError('UNREACHABLE', 'the answer is not JSON', {}, { cause: error })
  }
}
