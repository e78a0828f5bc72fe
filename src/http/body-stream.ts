/** Bodies that are read while they come in: those of signed batches. */
import type { IncomingMessage } from 'node:http'
import { createGunzip } from 'node:zlib'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import { plain } from '../store/plain.ts'
import { drained, leaveUnread } from './early-answers.ts'
import { codingOf, unpackingFailed } from './limits.ts'

const tooLarge = (): TreelineError =>
  new TreelineError('BODY_TOO_LARGE', 'the body is larger than this server takes: send less, or ask its operator')

/** What is on its way already may come in before an answer, which then leaves the connection open, ms. */
const PATIENCE = 100

/** For the routes of a scope: bodies of this type come as a stream of chunks, with at most the route's limit of bytes, packed and unpacked. */
export function streamBodies(scope: FastifyInstance, type: string): void {
  scope.addContentTypeParser(type, (request, payload, done) => {
    const most = request.routeOptions.bodyLimit!
    if (Number(request.headers['content-length'] ?? 0) > most) return done(tooLarge())
    done(null, chunksOf(request, payload, most))
  })
}

async function* chunksOf(request: FastifyRequest, payload: IncomingMessage, most: number): AsyncGenerator<Uint8Array> {
  const packed = codingOf(request) === 'gzip'
  const gunzip = packed ? createGunzip() : undefined
  // An answer needs the connection: neither stream may take it down when the reader has seen enough.
  const source = payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
  if (gunzip !== undefined) payload.pipe(gunzip)
  let length = 0
  try {
    for await (const chunk of (gunzip?.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) ?? source) {
      length += chunk.length
      if (length > most) throw tooLarge()
      yield plain(chunk)
    }
  } catch (error) {
    if (error instanceof TreelineError) throw error
    if (gunzip?.errored) throw unpackingFailed(error as NodeJS.ErrnoException)
    throw new TreelineError('MALFORMED_ENVELOPE', `the body broke off: ${(error as Error).message}`)
  } finally {
    if (gunzip !== undefined) {
      payload.unpipe(gunzip)
      gunzip.destroy()
    }
    // Not more than a whole body would have been.
    if (!(await drained(payload, most, PATIENCE))) leaveUnread(payload)
  }
}
