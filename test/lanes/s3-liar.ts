/**
 * A server between moto and the store: moto stores, and this keeps the locks, so that together they pass the probe; then it breaks its
 * word in exactly one way. moto alone asks for no signature, checks no dates and cannot say which lock an object has.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'

interface Retention {
  mode: string
  until: string
}

export interface Lie {
  /** Of the probe, such as `shorten with bypass of governance`; undefined: every one. */
  readonly step?: string
  /**
   * pass: done and answered so. done: done, and refused in words. fail: 500. nonsense: a 400 that is no refusal. forget: stored without a
   * lock. weaken: stored as GOVERNANCE. shorter: an hour less by a PUT of an object; earlier: by every PUT. spoil: other bytes are read back.
   */
  readonly does: 'pass' | 'done' | 'fail' | 'nonsense' | 'forget' | 'weaken' | 'shorter' | 'earlier' | 'spoil'
}

export class Liar {
  readonly url: string
  lie: Lie | undefined
  readonly #server: Server
  readonly #behind: string
  readonly #locks = new Map<string, Retention>()

  private constructor(server: Server, behind: string) {
    this.#server = server
    this.#behind = behind
    this.url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  static async before(behind: string): Promise<Liar> {
    const server = createServer((request, response) => {
      liar.#answer(request, response).catch((error) => response.destroy(error))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const liar: Liar = new Liar(server, behind)
    return liar
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request
    const { pathname, searchParams } = new URL(url, this.#behind)
    const body = await buffer(request)
    const bypass = headers['x-amz-bypass-governance-retention'] === 'true' ? ' with bypass of governance' : ''
    const lock = this.#locks.get(pathname)
    const isRetention = searchParams.has('retention')
    if (method === 'PUT' && !isRetention && headers['x-amz-object-lock-mode'] !== undefined) {
      await this.#pass(request, body, response)
      const asked = String(headers['x-amz-object-lock-retain-until-date'])
      const until = this.lie?.does === 'shorter' ? hourLess(asked) : asked
      this.#locks.set(pathname, { mode: 'COMPLIANCE', until })
      return
    }
    if (method === 'GET' && isRetention && lock !== undefined) {
      const { does } = this.lie ?? {}
      if (does === 'forget') return refuse(response, 404, 'NoSuchObjectLockConfiguration')
      const mode = does === 'weaken' ? 'GOVERNANCE' : lock.mode
      const until = does === 'earlier' ? hourLess(lock.until) : lock.until
      response.end(`<Retention><Mode>${mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`)
      return
    }
    if (lock !== undefined && (method === 'DELETE' || isRetention)) {
      const [, mode = ''] = /<Mode>(.*?)</.exec(body.toString()) ?? []
      const [, until = ''] = /<RetainUntilDate>(.*?)</.exec(body.toString()) ?? []
      const shorter = Date.parse(until) < Date.parse(lock.until)
      const what =
        method === 'DELETE' ? 'delete by version' : mode !== lock.mode ? `change to ${mode}` : shorter ? 'shorten' : ''
      return this.#change(what === '' ? '' : what + bypass, { mode, until }, pathname, response)
    }
    await this.#pass(request, body, response)
  }

  #change(step: string, asked: Retention, pathname: string, response: ServerResponse): void {
    const lies = step !== '' && this.lie !== undefined && (this.lie.step ?? step) === step
    const does = step === '' ? 'pass' : lies ? this.lie?.does : undefined
    if (does === 'pass' || does === 'done') this.#locks.set(pathname, asked)
    if (does === 'fail') refuse(response, 500, 'InternalError')
    else if (does === 'nonsense') refuse(response, 400, 'MalformedXML')
    else if (does === 'pass') response.writeHead(step.startsWith('delete') ? 204 : 200).end()
    else refuse(response, 403, 'AccessDenied')
  }

  async #pass(
    { method = '', url = '', headers }: IncomingMessage,
    body: Buffer<ArrayBuffer>,
    response: ServerResponse,
  ): Promise<void> {
    const kept = Object.entries(headers).filter(([name]) => /^(x-amz|authorization|content-md5|if-none)/.test(name))
    const answer = await fetch(this.#behind + url, {
      method,
      headers: Object.fromEntries(kept) as Record<string, string>,
      ...(body.length > 0 && { body }),
    })
    const bytes = new Uint8Array(await answer.arrayBuffer())
    if (this.lie?.does === 'spoil' && url.includes('x-id=GetObject')) bytes[0]! ^= 1
    const names = ['content-type', 'etag', 'x-amz-version-id', 'last-modified']
    for (const name of names) if (answer.headers.has(name)) response.setHeader(name, answer.headers.get(name)!)
    response.writeHead(answer.status, { 'content-length': bytes.length }).end(bytes)
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

const hourLess = (date: string): string => new Date(Date.parse(date) - 3_600_000).toISOString()

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' })
  response.end(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`)
}
