import type { Server } from 'node:http'
import type { ServerOptions as TlsOptions } from 'node:https'
import { BlockList, isIP } from 'node:net'
import fastify, { type FastifyError, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import { type Gate, guardRoutes, keepPrivate, OPEN } from './auth.ts'
import { answerEarly } from './early-answers.ts'
import { codingOf, limitRates, NODE_LIMITS, type RateLimits, refuseConnection, TIMEOUTS, takeBodies } from './limits.ts'
import { type Logger, recordRequests, requestIdOf, SILENT } from './logging.ts'
import { allowedMethods } from './methods.ts'
import { Metrics } from './metrics.ts'
import { describeApi } from './openapi.ts'
import { fromFramework, sendProblem } from './problems.ts'

export interface AppOptions {
  /** Largest body of an event, bytes. */
  readonly bodyLimit: number
  /** Who may read; without it everything is open. */
  readonly gate?: Gate
  readonly rates?: RateLimits
  readonly maxConnections?: number
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  readonly proxies?: readonly string[]
  /** Whether nobody connects but threads of this process, which say whom they speak for. */
  readonly fronted?: boolean
  /** HTTP in the clear without it. */
  readonly tls?: TlsOptions
  readonly logger?: Logger
  readonly metrics?: Metrics
}

/** On every answer: none of them is a page, and a browser must not guess otherwise. */
const HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
}
const HEADERS_OF_TLS = { 'strict-transport-security': 'max-age=31536000' }

const NOTHING_HERE = new TreelineError('NOT_FOUND', 'there is nothing at this path: see /docs')

/** An app that limits, guards, records and answers errors, and has no route but its own description; `logs` are the names that may be counted. */
export async function prepareApp(logs: ReadonlyMap<string, unknown>, options: AppOptions): Promise<FastifyInstance> {
  const { gate = { readerOf: () => OPEN }, rates, tls, logger = SILENT, metrics = new Metrics() } = options
  const node = { ...NODE_LIMITS, ...tls }
  const app = fastify({
    bodyLimit: options.bodyLimit,
    ...TIMEOUTS,
    ...(tls ? { https: node } : { http: node }),
    ...trustOf(options),
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
  const recordUnrouted = recordRequests(app, logs, { metrics, logger })
  takeBodies(app)
  answerEarly(app)

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
    // The route of one event would take it for an index.
    if (path.endsWith('/v1/events/batch') && request.method !== 'POST') {
      reply.header('allow', 'POST')
      throw new TreelineError('METHOD_NOT_ALLOWED', 'this path takes POST')
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
    logger[cutOff.has(app) ? 'debug' : 'error']({ id: request.id, err: error }, 'a bug')
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
  return app
}

function trustOf({ proxies = [], fronted = false }: AppOptions): Pick<FastifyServerOptions, 'trustProxy'> {
  if (!fronted) return proxies.length > 0 ? { trustProxy: [...proxies] } : {}
  const trusted = new BlockList()
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    trusted.addSubnet(address, Number(bits ?? (family === 'ipv4' ? 32 : 128)), family)
  }
  return {
    trustProxy: (address, hop) => hop === 0 || trusted.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6'),
  }
}

function watchConnections(server: Server, most: number | undefined, metrics: Metrics): void {
  if (most === undefined) return
  server.maxConnections = most
  server.on('drop', () => metrics.dropped())
}

/** Whose requests go on for nobody, and may find their log closed under them. */
const cutOff = new WeakSet<FastifyInstance>()

/**
 * Takes no connection more, and resolves when every request in flight is answered: true, or false when `patience` (ms) ended first and
 * the rest was cut off.
 */
export async function closeServer(app: FastifyInstance, patience: number): Promise<boolean> {
  let inTime = true
  const cut = setTimeout(() => {
    inTime = false
    cutOff.add(app)
    app.server.closeAllConnections()
  }, patience)
  // Connections whose last answer began before this are kept alive by their clients.
  const reap = setInterval(() => app.server.closeIdleConnections(), 50)
  await app.close()
  clearTimeout(cut)
  clearInterval(reap)
  return inTime
}
