/** What one client can take of the server: time, memory, requests. */
import type { ServerOptions as NodeOptions } from 'node:http'
import type { Socket } from 'node:net'
import { gunzip } from 'node:zlib'
import rateLimit from '@fastify/rate-limit'
import type { ConnectionError, FastifyInstance, FastifyRequest } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import { plain } from '../store/plain.ts'
import { addRouteHook } from './auth.ts'

/** Of the HTTP parser, for Node. A client that sends its head or its body a byte at a time is cut off. */
export const NODE_LIMITS: NodeOptions = {
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  /** How often the two timeouts are looked at, ms. */
  connectionsCheckingInterval: 2_000,
}

/** For Fastify, which sets them on the server by itself, ms. */
export const TIMEOUTS = {
  /** From the first byte of a request to the last of its body: 32 MiB in this time are 4 Mbit/s. */
  requestTimeout: 60_000,
  /** Without a byte in either direction, an answer that nobody reads included. */
  connectionTimeout: 120_000,
  /** Longer than the minute after which load balancers drop theirs: the side that closes first should be the client's. */
  keepAliveTimeout: 65_000,
} as const

/** Requests a minute of one client address; 0 is no limit. */
export interface RateLimits {
  readonly reads: number
  readonly writes: number
}

/** Before the routes. */
export async function limitRates(app: FastifyInstance, { reads, writes }: RateLimits): Promise<void> {
  if (reads === 0 && writes === 0) return
  await app.register(rateLimit, {
    global: false,
    timeWindow: 60_000,
    // Addresses remembered; past it the least recently seen is forgotten.
    cache: 20_000,
    errorResponseBuilder: (_request, { after }) =>
      new TreelineError('RATE_LIMITED', `this address asked too often: try again in ${after}`),
    addHeadersOnExceeding: NO_HEADERS,
    addHeaders: { ...NO_HEADERS, 'retry-after': true },
  })
  const limiter = (max: number) => (max === 0 ? undefined : app.rateLimit({ max }))
  const ofReads = limiter(reads)
  const ofWrites = limiter(writes)
  app.addHook('onRoute', (route) => {
    const limit = route.method === 'POST' ? ofWrites : ofReads
    // Whoever asks whether the server lives must get an answer also while it is flooded.
    if (limit === undefined || route.url === '/healthz' || route.url === '/readyz') return
    addRouteHook(route, (request, reply, done) => {
      ;(limit as (request: FastifyRequest, reply: unknown) => Promise<void>)(request, reply).then(() => done(), done)
    })
  })
}

const NO_HEADERS = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false }

/** Bodies are judged by our own strict parsers, so they arrive as bytes whatever they claim to be; in gzip too. */
export function takeBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (codingOf(request) === 'identity') return done(null, plain(body as Buffer))
    // Stops at the limit, however much is packed into the body: nothing larger is ever in memory.
    gunzip(body as Buffer, { maxOutputLength: request.routeOptions.bodyLimit }, (error, bytes) =>
      error ? done(unpackingFailed(error)) : done(null, plain(bytes)),
    )
  })
}

const CODINGS: Readonly<Record<string, 'identity' | 'gzip'>> = { identity: 'identity', gzip: 'gzip', 'x-gzip': 'gzip' }

/** Throws UNSUPPORTED_MEDIA_TYPE. */
export function codingOf({ headers }: FastifyRequest): 'identity' | 'gzip' {
  const named = headers['content-encoding']
  if (named === undefined) return 'identity'
  const coding = CODINGS[named.trim().toLowerCase()]
  if (coding !== undefined) return coding
  throw new TreelineError('UNSUPPORTED_MEDIA_TYPE', 'bodies come plain or in gzip, in no other content coding')
}

export const unpackingFailed = (error: NodeJS.ErrnoException): TreelineError =>
  error.code === 'ERR_BUFFER_TOO_LARGE'
    ? new TreelineError('BODY_TOO_LARGE', 'the unpacked body is larger than this server takes')
    : new TreelineError('MALFORMED_ENVELOPE', `the body is not in gzip: ${error.message}`)

/** What never became a request gets no code of ours: no log has judged it, and a client may send it again. */
export function refuseConnection(error: ConnectionError, socket: Socket): void {
  // The other side is gone, or has the beginning of an answer: more bytes would make it a wrong one.
  const answering = (socket as { _httpMessage?: { headersSent: boolean } })._httpMessage?.headersSent
  if (error.code === 'ECONNRESET' || !socket.writable || answering) {
    socket.destroy(error)
    return
  }
  const [status, title] = STATUS[error.code] ?? [400, 'Bad Request']
  const body = JSON.stringify({ type: 'about:blank', title, status })
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  )
}

const STATUS: Readonly<Record<string, readonly [number, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
}
