/** What one client can take of the witness: time, connections, and bodies that are bytes whatever they claim to be. */
import type { ServerOptions } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { TreelineError } from '../src/core/errors.ts'

/** Of the HTTP parser, for Node, ms and bytes. A client that sends its head or its body a byte at a time is cut off. */
export const NODE_LIMITS: ServerOptions = {
  maxHeaderSize: 16_384,
  headersTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
}

/** For Fastify, which sets them on the server by itself, ms. */
export const TIMEOUTS = {
  /** From the first byte of a request to the last: 128 KiB in this time are 105 kbit/s. */
  requestTimeout: 10_000,
  connectionTimeout: 60_000,
  /** Logs ask again each second; longer than the minute after which load balancers drop theirs. */
  keepAliveTimeout: 65_000,
} as const

export const MAX_CONNECTIONS = 1_024

export function takeBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    const coding = request.headers['content-encoding'] ?? 'identity'
    if (coding === 'identity') return done(null, new Uint8Array(body.buffer, body.byteOffset, body.byteLength))
    done(new TreelineError('UNSUPPORTED_MEDIA_TYPE', 'bodies come in no content coding'))
  })
}
