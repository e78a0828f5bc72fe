/** The witness over HTTP: C2SP add-checkpoint and monitoring, what was found at fault, and what its operator watches. */

import type { IncomingMessage } from 'node:http'
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify'
import { type Code, TreelineError } from '../src/core/errors.ts'
import { MAX_BODY_SIZE, statusOf } from './decide.ts'
import { MAX_CONNECTIONS, NODE_LIMITS, TIMEOUTS, takeBodies } from './limits.ts'
import type { Metrics } from './metrics.ts'
import type { Cosigned, WitnessState } from './state.ts'
import type { Witness } from './witness.ts'

type Write = (line: object, message: string) => void
/** What the witness writes to; pino is one. */
export interface Logger {
  readonly info: Write
  readonly warn: Write
  readonly error: Write
}

interface HttpOptions {
  readonly witness: Witness
  readonly state: WitnessState
  readonly metrics: Metrics
  readonly logger: Logger
}

const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
/** C2SP tlog-witness: without a charset. */
const SIZE_TYPE = 'text/x.tlog.size'

/** Seconds after which asking again can help. */
const RETRY_AFTER: Partial<Record<Code, number>> = { STORAGE_FAILED: 10, CLOCK: 10, FROZEN: 60 }

const NOTHING_HERE = new TreelineError('NOT_FOUND', 'there is nothing at this path')

/** What Node takes and RFC 9112 does not (2.3, 3.2): of two hosts a proxy may have believed the other one. */
const isAmbiguous = ({ httpVersionMajor, rawHeaders }: IncomingMessage): boolean =>
  httpVersionMajor !== 1 || rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === 'host').length > 1

/** All routes; the caller listens and closes. */
export function buildWitnessServer({ witness, state, metrics, logger }: HttpOptions): FastifyInstance {
  const app = fastify({
    bodyLimit: MAX_BODY_SIZE,
    ...TIMEOUTS,
    http: NODE_LIMITS,
    return503OnClosing: false,
    frameworkErrors: (_error, _request, reply) => refuse(reply, NOTHING_HERE),
    routerOptions: { ignoreTrailingSlash: false, ignoreDuplicateSlashes: false, caseSensitive: true },
  }) as unknown as FastifyInstance
  app.server.maxConnections = MAX_CONNECTIONS
  takeBodies(app)
  /** Whether the last write failed. */
  let failed = false

  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store')
    if (isAmbiguous(request.raw)) {
      reply.code(400).header('connection', 'close').type(TEXT).send('a request has one host, and is of HTTP/1\n')
      return
    }
    // The router decodes paths; none of ours needs an escape, and a second spelling would get around rules of proxies.
    if (request.raw.url?.split('?')[0]?.includes('%')) throw NOTHING_HERE
    done()
  })
  app.setNotFoundHandler((_request, reply) => refuse(reply, NOTHING_HERE))
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const answer = error instanceof TreelineError ? error : fromFramework(error)
    if (request.routeOptions.url === '/add-checkpoint') metrics.answered(answer?.code ?? 'BUG')
    if (answer === undefined) {
      logger.error({ err: error }, 'a bug')
      return reply.code(500).type(TEXT).send('this is a bug of the witness\n')
    }
    if (answer.code === 'STORAGE_FAILED') {
      failed = true
      logger.error({ err: answer }, 'the state could not be stored: nothing was cosigned')
    }
    if (answer.facts.fork !== undefined) {
      metrics.contradicted()
      logger.warn({ notes: answer.facts.fork }, 'a log signed two roots of one size')
    }
    return refuse(reply, answer)
  })

  app.post('/add-checkpoint', (request, reply) => {
    const began = performance.now()
    const lines = witness.addCheckpoint((request.body as Uint8Array | undefined) ?? new Uint8Array(0))
    failed = false
    metrics.answered('OK')
    metrics.cosigned((performance.now() - began) / 1000)
    return reply.type(TEXT).send(lines)
  })

  app.get<OfOrigin>('/:hash/checkpoint', (request, reply) =>
    reply.type(TEXT).send(cosignedAt(request.params.hash).note),
  )

  app.get<OfOrigin>('/:hash/audited', (request, reply) => {
    const { origin, size } = cosignedAt(request.params.hash)
    // Written out, because a JSON number may be larger than one of ours.
    const audited = state.audited(origin)?.size ?? 0
    return reply.type(JSON_TYPE).send(`{"origin":${JSON.stringify(origin)},"cosigned":${size},"audited":${audited}}`)
  })

  app.get<OfOrigin>('/:hash/faults', (request, reply) => {
    const { origin } = cosignedAt(request.params.hash)
    // Cleared ones too: clearing says that a person looked, not that it did not happen.
    const faults = state.incidents(origin).map(({ evidence }) => evidence)
    return reply.type(TEXT).send(faults.join('\n'))
  })

  app.get('/healthz', (_request, reply) => reply.type(JSON_TYPE).send('{"alive":true}'))

  app.get('/readyz', (_request, reply) => {
    // A witness that nobody asks any more must find out by itself that the disk has room again.
    if (failed) state.probe()
    failed = false
    const frozen = state.all().flatMap(({ origin }) => (state.frozen(origin) === undefined ? [] : [origin]))
    return reply.type(JSON_TYPE).send(JSON.stringify({ ready: true, frozen }))
  })

  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )

  function cosignedAt(hash: string): Cosigned {
    const cosigned = state.cosignedByHash(hash)
    if (cosigned === undefined) throw new TreelineError('NOT_FOUND', 'no checkpoint of that origin was cosigned')
    return cosigned
  }

  return app
}

interface OfOrigin {
  readonly Params: { readonly hash: string }
}

function refuse(reply: FastifyReply, { code, message, facts }: TreelineError): FastifyReply {
  const after = RETRY_AFTER[code]
  if (after !== undefined) reply.header('retry-after', after)
  reply.code(statusOf(code))
  // As bytes, because the framework adds a charset to what is sent as text.
  if (code === 'SIZE_CONFLICT') return reply.type(SIZE_TYPE).send(Buffer.from(`${facts.size}\n`))
  return reply.type(TEXT).send(`${message} (${code})\n`)
}

/** An answer for what the framework refuses by itself; undefined for a bug of ours. */
function fromFramework(error: FastifyError): TreelineError | undefined {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new TreelineError('BODY_TOO_LARGE', `more than ${MAX_BODY_SIZE} bytes`)
  }
  return (error.statusCode ?? 500) < 500
    ? new TreelineError('MALFORMED_ADD_CHECKPOINT', `the request could not be read: ${error.message}`)
    : undefined
}

/** Takes no connection more, answers what is in flight, and cuts off the rest after `patience` ms. */
export async function closeWitnessServer(app: FastifyInstance, patience: number): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), patience)
  const reap = setInterval(() => app.server.closeIdleConnections(), 50)
  await app.close()
  clearTimeout(cut)
  clearInterval(reap)
}
