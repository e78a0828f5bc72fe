/** The server's answers. Whoever answers may be lying: only what is verified afterwards is shown as verified. */
import { isObject } from '../core/payload.ts'

/** A refusal of the server, or `status` 0 when nobody answered. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, detail: string) {
    super(detail)
    this.status = status
    this.code = code
  }
}

interface Asking {
  readonly refusal?: number
  readonly signal?: AbortSignal
}

/** No honest answer to this page is longer: a page of events is at most 8 MiB of payloads and what is around them. */
const MAX_ANSWER = 64 * 2 ** 20

export class Api {
  /** In memory and nowhere else. */
  #token = ''
  /** Told when the server wants another token than the one it got. */
  onRefused: (error: ApiError) => void = () => {}

  set token(token: string) {
    this.#token = token
  }

  get hasToken(): boolean {
    return this.#token !== ''
  }

  /** Throws ApiError, and what the signal says. With `refusal`, an answer of that status is one like any other. */
  async bytes(path: string, { refusal, signal }: Asking = {}): Promise<Uint8Array> {
    const headers: Record<string, string> = this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }
    let response: Response
    try {
      response = await fetch(path, {
        ...{ headers, credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer' },
        ...(signal && { signal }),
      })
    } catch {
      signal?.throwIfAborted()
      throw new ApiError(0, 'UNREACHABLE', 'The server does not answer.')
    }
    const bytes = await bodyOf(response)
    if (response.ok || response.status === refusal) return bytes
    const error = problemOf(response.status, bytes)
    if (response.status === 401) this.onRefused(error)
    throw error
  }

  async text(path: string): Promise<string> {
    return new TextDecoder().decode(await this.bytes(path))
  }

  /** Throws ApiError. The type is what the server promises, not what it is known to have sent. */
  async json<T>(path: string, asking: Asking = {}): Promise<T> {
    const bytes = await this.bytes(path, asking)
    try {
      return JSON.parse(new TextDecoder().decode(bytes)) as T
    } catch {
      throw new ApiError(0, 'UNREACHABLE', 'The answer is not that of a log: it is not JSON.')
    }
  }
}

async function bodyOf(response: Response): Promise<Uint8Array> {
  if (Number(response.headers.get('content-length') ?? 0) > MAX_ANSWER)
    throw new ApiError(0, 'TOO_LARGE', 'The answer is larger than any of a log.')
  try {
    return new Uint8Array(await response.arrayBuffer())
  } catch {
    throw new ApiError(0, 'UNREACHABLE', 'The answer of the server was cut off.')
  }
}

function problemOf(status: number, bytes: Uint8Array): ApiError {
  try {
    const problem: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (isObject(problem) && typeof problem.detail === 'string')
      return new ApiError(status, String(problem.code), problem.detail)
  } catch {
    // Whatever stands between here and the server answered in its place.
  }
  return new ApiError(status, 'UNKNOWN', `The server answered with status ${status}.`)
}
