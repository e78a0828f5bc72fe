import type { Server } from 'node:http'
import type { ServerOptions as TlsOptions } from 'node:https'
import fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import type { Projections } from '../log/projections.ts'
import { type Gate, guardRoutes, keepPrivate, OPEN } from './auth.ts'
import { eventRoutes } from './events.ts'
import { explorerRoutes, readExplorer } from './explorer.ts'
import { healthRoutes } from './health.ts'
import { codingOf, limitRates, NODE_LIMITS, type RateLimits, refuseConnection, TIMEOUTS, takeBodies } from './limits.ts'
import { lineageRoutes } from './lineage.ts'
import { listRoutes } from './list.ts'
import { type Logger, recordRequests, requestIdOf, SILENT } from './logging.ts'
import { allowedMethods } from './methods.ts'
import { Metrics, metricsRoute } from './metrics.ts'
import { describeApi } from './openapi.ts'
import { pageRoutes } from './page.ts'
import { fromFramework, sendProblem } from './problems.ts'
import { proofRoutes } from './proofs.ts'
import { rawRoutes } from './raw.ts'
import type { ServedLogs } from './served-log.ts'
import { type StreamLimits, streamRoute } from './stream.ts'
import { tileRoutes } from './tiles.ts'

export interface ServerOptions {
  /** Largest body of an event, bytes. */
  readonly bodyLimit: number
  /** Largest body of a batch of events, bytes. */
  readonly batchBytes: number
  /** How long an answer may be held back for witnesses, ms. */
  readonly waitLimit: number
  /** Who may read; without it everything is open. */
  readonly gate?: Gate
  readonly rates?: RateLimits
  readonly maxConnections?: number
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  readonly proxies?: readonly string[]
  /** HTTP in the clear without it. */
  readonly tls?: TlsOptions
  readonly logger?: Logger
  readonly metrics?: Metrics
  /** Search and lineage of the logs with events. */
  readonly projections?: Projections | undefined
  readonly streams?: StreamLimits
  /** Folder of the built explorer. Where there is none, / is the plain page. */
  readonly explorer?: string
}

/** On every answer: none of them is a page, and a browser must not guess otherwise. */
const HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
}
const HEADERS_OF_TLS = { 'strict-transport-security': 'max-age=31536000' }

const NOTHING_HERE = new TreelineError('NOT_FOUND', 'there is nothing at this path: see /docs')

/** All routes over the given logs; the caller listens and closes. */
export async function buildServer(logs: ServedLogs, options: ServerOptions): Promise<FastifyInstance> {
  const { gate = { readerOf: () => OPEN }, rates, tls, logger = SILENT, metrics = new Metrics() } = options
  const node = { ...NODE_LIMITS, ...tls }
  const app = fastify({
    bodyLimit: options.bodyLimit,
    ...TIMEOUTS,
    ...(tls ? { https: node } : { http: node }),
    ...(options.proxies?.length && { trustProxy: [...options.proxies] }),
    // What arrives on an open connection while the server stops is answered like everything before, and is the last there.
    return503OnClosing: false,
    clientErrorHandler: refuseConnection,
    // It would make a logger for each request. Lines are written by recordRequests.
    logger: false,
    genReqId: requestIdOf,
    requestIdHeader: false,
    // What the router itself cannot read, such as %ff.
    frameworkErrors: (_error, _request, reply) => sendProblem(reply, NOTHING_HERE),
    // Node refuses a longer request line by itself; below that the router must not answer in a form of its own.
    routerOptions: {
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      caseSensitive: true,
      maxParamLength: 16_384,
    },
  }) as unknown as FastifyInstance
  watchConnections(app.server, options.maxConnections, metrics)
  metrics.watch(logs, options.projections)
  const recordUnrouted = recordRequests(app, logs, { metrics, logger })
  takeBodies(app)

  const methodsOf = allowedMethods(app)
  const headers = tls ? { ...HEADERS, ...HEADERS_OF_TLS } : HEADERS
  let closing = false
  app.addHook('preClose', (done) => {
    closing = true
    done()
  })
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-request-id', request.id)
    // The router decodes paths; no path of ours needs escapes, and a second spelling of one would escape caches and rules.
    const [path = ''] = request.raw.url?.split('?') ?? []
    if (request.is404) {
      const began = performance.now()
      reply.raw.once('finish', () => recordUnrouted(request, reply, performance.now() - began))
    }
    if (path.includes('%')) throw new TreelineError('NOT_FOUND', 'no path here has a percent sign')
    if (request.is404) {
      // Here and not in the handler of what is not found: that one would read the body first, and may refuse it.
      const methods = methodsOf(path)
      if (methods.length === 0) throw NOTHING_HERE
      reply.header('allow', methods.join(', '))
      throw new TreelineError('METHOD_NOT_ALLOWED', `this path takes ${methods.join(' and ')}`)
    }
    if (request.method === 'POST') codingOf(request)
    done()
  })
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (request.reader?.token !== undefined) keepPrivate(reply)
    if (closing) reply.header('connection', 'close')
    done()
  })
  // Before the guard: who guesses tokens is slowed down too.
  if (rates !== undefined) await limitRates(app, rates)
  guardRoutes(app, gate)
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, NOTHING_HERE))
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const answer = error instanceof TreelineError ? error : fromFramework(error)
    if (answer !== undefined) {
      const { log = '' } = request.params as { readonly log?: string }
      if (request.method === 'POST' && logs.has(log)) metrics.rejected(log, answer.code)
      return sendProblem(reply, answer)
    }
    logger.error({ id: request.id, err: error }, 'a bug')
    return reply
      .code(500)
      .type('application/problem+json')
      .send(
        JSON.stringify({
          type: 'urn:treeline:problem:BUG',
          title: 'Internal Server Error',
          status: 500,
          code: 'BUG',
          detail: 'this is a bug of the server',
        }),
      )
  })

  await describeApi(app)
  healthRoutes(app, logs, gate)
  metricsRoute(app, metrics)
  const explorer = options.explorer === undefined ? undefined : readExplorer(options.explorer)
  if (explorer !== undefined) explorerRoutes(app, explorer)
  await pageRoutes(app, logs, explorer === undefined)
  tileRoutes(app, logs)
  rawRoutes(app, logs)
  proofRoutes(app, logs)
  eventRoutes(app, logs, {
    batchBytes: options.batchBytes,
    waitLimit: options.waitLimit,
    onRejected: (log, code) => metrics.rejected(log, code),
  })
  listRoutes(app, logs, options.projections)
  lineageRoutes(app, logs, options.projections)
  streamRoute(app, logs, gate, options.streams)
  await app.ready()
  return app
}

function watchConnections(server: Server, most: number | undefined, metrics: Metrics): void {
  if (most === undefined) return
  server.maxConnections = most
  server.on('drop', () => metrics.dropped())
}

/**
 * Takes no connection more, and resolves when every request in flight is answered: true, or false when `patience` (ms) ended first and
 * the rest was cut off.
 */
export async function closeServer(app: FastifyInstance, patience: number): Promise<boolean> {
  let inTime = true
  const cut = setTimeout(() => {
    inTime = false
    app.server.closeAllConnections()
  }, patience)
  // Connections whose last answer began before this are kept alive by their clients.
  const reap = setInterval(() => app.server.closeIdleConnections(), 50)
  await app.close()
  clearTimeout(cut)
  clearInterval(reap)
  return inTime
}
