/**
 * What a thread serves that does not write: the requests that come by the thousand. Everything else goes on, as it came, to the thread that
 * has the logs, which answers as if it were alone.
 */
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { Pool } from 'undici'
import { TreelineError } from '../core/errors.ts'
import { type AppOptions, prepareApp } from './app.ts'
import { readOn } from './early-answers.ts'
import { eventRoutes } from './events.ts'
import { answerInTurn } from './in-turn.ts'
import { Metrics } from './metrics.ts'
import { problemOf } from './problems.ts'
import { proofRoutes } from './proofs.ts'
import { rawRoutes } from './raw.ts'
import type { FrontLogs } from './served-log.ts'
import { tileRoutes } from './tiles.ts'

export interface FrontOptions extends AppOptions {
  /** Largest body of a batch of events, bytes. */
  readonly batchBytes: number
  /** How long an answer may be held back for witnesses, ms. */
  readonly waitLimit: number
  /** Unix socket of the thread that has the logs. */
  readonly behind: string
  readonly add: (log: string, entry: Uint8Array) => Promise<number>
}

/** The caller listens and closes. */
export async function buildFront(logs: FrontLogs, options: FrontOptions): Promise<FastifyInstance> {
  const { metrics = new Metrics(), batchBytes, waitLimit } = options
  const app = await prepareApp(logs, { ...options, metrics })
  tileRoutes(app, logs)
  rawRoutes(app, logs, options.add)
  proofRoutes(app, logs)
  const onRejected = (log: string, code: Parameters<Metrics['rejected']>[1]) => metrics.rejected(log, code)
  eventRoutes(app, logs, { batchBytes, waitLimit, onRejected })
  const behind = new Pool('http://behind', {
    socketPath: options.behind,
    // A stream or an answer that waits for witnesses ends when its client, or the other side, wants it.
    ...{ headersTimeout: 0, bodyTimeout: 0, connections: null, pipelining: 1 },
    // After a rush, ms.
    keepAliveMaxTimeout: 5_000,
  })
  divert(app.server, (request, response) => passOn(behind, request, response, options.bodyLimit))
  app.addHook('onClose', () => behind.close())
  await app.ready()
  answerInTurn(app.server)
  return app
}

const READS =
  /^\/[a-z0-9][a-z0-9-]*\/(checkpoint|tile\/[^%]+|addenda\/[^%]+|v1\/(events\/[0-9]+|evidence\/[0-9]+|proofs\/(inclusion|consistency)))$/
const WRITES = /^\/[a-z0-9][a-z0-9-]*\/(add|v1\/events(\/batch)?)$/

/** Whether a thread that does not write answers it. */
export function isServedHere({ method, url = '' }: Pick<IncomingMessage, 'method' | 'url'>): boolean {
  const [path = ''] = url.split('?')
  return method === 'GET' ? READS.test(path) : method === 'POST' && WRITES.test(path)
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void

/** Puts itself before the app, where no hook has seen the request yet. */
function divert(server: Server, elsewhere: Listener): void {
  const [here] = server.listeners('request') as Listener[]
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) =>
    isServedHere(request) ? here!(request, response) : elsewhere(request, response),
  )
}

/** Headers of one connection, RFC 9110 section 7.6.1; and what node has answered already. */
const OWN = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect']

function withoutOwn(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = String(headers.connection ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN.includes(name) && !named.includes(name)))
}

/** The body of a request, or an end of it: a thread that refuses what is too long closes the way to it, and its answer would be lost. Throws BODY_TOO_LARGE. */
async function* upTo(limit: number, request: IncomingMessage): AsyncGenerator<Uint8Array> {
  const tooLarge = () => new TreelineError('BODY_TOO_LARGE', `the body has more than ${limit} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge()
  let length = 0
  // The answer needs the connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > limit) throw tooLarge()
    yield chunk
  }
}

async function passOn(behind: Pool, request: IncomingMessage, response: ServerResponse, limit: number): Promise<void> {
  const { method = 'GET', url = '/', socket } = request
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const address = socket.remoteAddress ?? ''
  // Whether what the client says of itself is believed, the other side judges, by the address from which it came.
  const given = request.headers['x-forwarded-for']
  try {
    await behind.stream(
      {
        method: method as 'GET',
        path: url,
        headers: { ...withoutOwn(request.headers), 'x-forwarded-for': given ? `${given}, ${address}` : address },
        body: hasBody ? Readable.from(upTo(limit, request)) : null,
        signal: gone.signal,
      },
      ({ statusCode, headers }) => response.writeHead(statusCode, withoutOwn(headers)),
    )
  } catch (error) {
    // The client went away, or the other thread did: half an answer must not look like a whole one.
    if (response.headersSent || gone.signal.aborted) response.destroy(error as Error)
    else if (error instanceof TreelineError) {
      const answer = JSON.stringify(problemOf(error, true))
      const length = { 'content-length': Buffer.byteLength(answer) }
      response.writeHead(413, { ...PROBLEM, ...length, connection: 'close' }).write(answer)
      await readOn(request)
      response.end()
    } else response.writeHead(503, { ...PROBLEM, 'retry-after': '1', connection: 'close' }).end(UNAVAILABLE)
  }
}

const PROBLEM = { 'content-type': 'application/problem+json' }
const UNAVAILABLE = JSON.stringify({
  type: 'urn:treeline:problem:STORAGE_FAILED',
  title: 'Service Unavailable',
  status: 503,
  code: 'STORAGE_FAILED',
  detail: 'the server is starting or stopping: try again',
})
