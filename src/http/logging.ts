/** One line of JSON for each request, with nothing in it that a client could want kept: no paths, queries, headers or bodies. */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Metrics } from './metrics.ts'

/** Two processes never give the same id, nor does one twice. */
const process_ = randomBytes(6).toString('base64url')
let requests = 0

/** The client's own id where it is harmless, so that its logs and ours can be laid side by side. */
export function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  if (typeof given === 'string' && /^[A-Za-z0-9._-]{8,64}$/.test(given)) return given
  requests++
  return `${process_}-${requests.toString(36)}`
}

/** What the server writes to; pino is one. */
export interface Logger extends Record<Level, (line: object, message?: string) => void> {
  isLevelEnabled(level: string): boolean
}

/** `ms` is how long the answer took. */
type RecordAnswer = (request: FastifyRequest, reply: FastifyReply, ms: number) => void

/** Counts every answer and writes its line. Before the routes; what it returns is for answers of no route. */
export function recordRequests(
  app: FastifyInstance,
  logs: ReadonlyMap<string, unknown>,
  { metrics, logger }: { readonly metrics: Metrics; readonly logger: Logger },
): RecordAnswer {
  const recorder = (method: string, route: string): RecordAnswer => {
    const series = metrics.ofRoute(method, route)
    return (request, reply, ms) => {
      const { statusCode: status } = reply
      series.add(status, ms / 1000)
      const level = levelOf(route, status)
      if (!logger.isLevelEnabled(level)) return
      const { log } = request.params as { readonly log?: string }
      logger[level]({
        id: request.id,
        method: request.method,
        route,
        log: log !== undefined && logs.has(log) ? log : undefined,
        status,
        ms: Math.round(ms * 1000) / 1000,
        bytes: Number(reply.getHeader('content-length')) || undefined,
        address: request.ip,
        token: request.reader?.token,
      })
    }
  }
  app.addHook('onRoute', (route) => {
    const record = recorder([route.method].flat().join(), route.url)
    route.onResponse = (request, reply, done) => {
      record(request, reply, reply.elapsedTime)
      done()
    }
  })
  // Node knows some thirty methods, and a client may try them all.
  return recorder('any', 'none')
}

type Level = 'debug' | 'info' | 'warn' | 'error'

/** Probes come every few seconds and say nothing while they are answered. */
function levelOf(url: string, status: number): Level {
  if (status >= 500) return status === 503 ? 'warn' : 'error'
  return url === '/healthz' || url === '/readyz' || url === '/metrics' ? 'debug' : 'info'
}

/** For tests and for programs that make a server without a log. */
export const SILENT: Logger = {
  isLevelEnabled: () => false,
  ...{ debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
}

/** How an error is written. What a JSON parser says of a text quotes it, so that message stays out. */
export function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) }
  const { name, stack = '', cause } = error
  const { code } = error as NodeJS.ErrnoException
  const message = error instanceof SyntaxError ? 'left out' : error.message
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  return { name, code, message, stack: frames.join('\n'), ...(cause !== undefined && { cause: describeError(cause) }) }
}
