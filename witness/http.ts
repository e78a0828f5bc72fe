/** The two sides of a witness that others see (C2SP tlog-witness): add-checkpoint for logs, and what it cosigned for everybody. */
import { createHash } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Refusal } from './decide.ts'
import type { WitnessMetrics } from './metrics.ts'
import type { WitnessState } from './state.ts'
import type { Witness } from './witness.ts'

export interface WitnessServerParts {
  readonly witness: Witness
  readonly state: WitnessState
  /** Origins of the configured logs. */
  readonly origins: readonly string[]
  readonly metrics: WitnessMetrics
  /** Told of what is no answer: a bug, or a state that cannot be written. */
  readonly onFailure: (error: unknown) => void
}

/** A note of 16 ML-DSA signatures and 63 hashes fits. */
const MAX_BODY = 128 * 1024
const LIMITS = {
  bodyLimit: MAX_BODY,
  requestTimeout: 15_000,
  connectionTimeout: 30_000,
  // Longer than the minute after which load balancers drop theirs; both sides should keep connections (TW-18).
  keepAliveTimeout: 65_000,
  http: { maxHeaderSize: 8_192, headersTimeout: 10_000, connectionsCheckingInterval: 2_000 },
}
const HEADERS = { 'content-security-policy': "default-src 'none'", 'x-content-type-options': 'nosniff' }
const TEXT = 'text/plain; charset=utf-8'

export async function buildWitnessServer(parts: WitnessServerParts): Promise<FastifyInstance> {
  const { witness, state, metrics, onFailure } = parts
  const byHash = new Map(
    [...new Set([...parts.origins, ...state.origins()])].map((origin) => [originHash(origin), origin]),
  )
  const app = fastify({ ...LIMITS, logger: false, exposeHeadRoutes: true }) as unknown as FastifyInstance
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(HEADERS)
    done()
  })
  app.setNotFoundHandler((_request, reply) => say(reply, 404, 'there is nothing at this path'))
  app.setErrorHandler<Error & { statusCode?: number }>((error, _request, reply) => {
    const status = error.statusCode ?? 500
    if (status < 500) return say(reply, status, error.message)
    onFailure(error)
    // Nothing was cosigned, and the log may ask again.
    return say(reply.header('retry-after', '10'), 503, 'the witness cannot store what it cosigns: see its log')
  })

  app.post<{ Body: Uint8Array | undefined }>('/add-checkpoint', (request, reply) => {
    const began = performance.now()
    const answer = witness.addCheckpoint(new Uint8Array(request.body ?? []))
    const refused = 'status' in answer
    metrics.asked(refused ? answer.status : 200, (performance.now() - began) / 1000)
    return refused ? refuse(reply, answer) : reply.type(TEXT).send(answer.lines)
  })

  app.get<{ Params: { hash: string } }>('/:hash/checkpoint', (request, reply) => {
    const origin = byHash.get(request.params.hash)
    const note = origin === undefined ? undefined : witness.monitored(origin)
    if (note === undefined) return say(reply, 404, 'no checkpoint of this log was ever cosigned here')
    return reply.type(TEXT).header('cache-control', 'no-cache').header('access-control-allow-origin', '*').send(note)
  })

  app.get<{ Params: { hash: string } }>('/:hash/audited', (request, reply) => {
    const origin = byHash.get(request.params.hash)
    if (origin === undefined) return say(reply, 404, 'this witness does not know the log')
    const cosigned = Number(state.cosigned(origin)?.size ?? 0n)
    const audited = state.audited(origin)?.size ?? 0
    return reply.header('cache-control', 'no-cache').send({ origin, cosigned, audited })
  })

  app.get<{ Params: { hash: string } }>('/:hash/faults', (request, reply) => {
    const origin = byHash.get(request.params.hash)
    if (origin === undefined) return say(reply, 404, 'this witness does not know the log')
    return reply.header('cache-control', 'no-cache').send({ origin, faults: state.faults(origin) })
  })

  app.get('/healthz', (_request, reply) => reply.header('cache-control', 'no-store').send({ alive: true }))
  app.get('/readyz', (_request, reply) => {
    const frozen = state.incidents().map(({ origin, kind, opened, why }) => ({ origin, kind, opened, why }))
    return reply
      .code(frozen.length === 0 ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ ready: frozen.length === 0, frozen })
  })
  app.get('/metrics', async (_request, reply) =>
    reply
      .type(metrics.registry.contentType)
      .header('cache-control', 'no-store')
      .send(await metrics.registry.metrics()),
  )
  await app.ready()
  return app
}

function refuse(reply: FastifyReply, { status, why, size }: Refusal): FastifyReply {
  if (size !== undefined) {
    // The bytes, so that no charset is put behind the type.
    return reply
      .code(status)
      .header('content-type', 'text/x.tlog.size')
      .send(Buffer.from(`${size}\n`))
  }
  if (status === 503) reply.header('retry-after', '60')
  return say(reply, status, why)
}

const say = (reply: FastifyReply, status: number, why: string): FastifyReply =>
  reply.code(status).type(TEXT).header('cache-control', 'no-store').send(`${why}\n`)

/** The URL element of an origin. */
export const originHash = (origin: string): string => createHash('sha256').update(origin).digest('hex')
