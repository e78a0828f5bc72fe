import fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import { plain } from '../store/plain.ts'
import { eventRoutes } from './events.ts'
import { healthRoutes } from './health.ts'
import { fromFramework, sendProblem } from './problems.ts'
import { proofRoutes } from './proofs.ts'
import { rawRoutes } from './raw.ts'
import type { ServedLogs } from './served-log.ts'
import { tileRoutes } from './tiles.ts'

export interface ServerOptions {
  /** Largest body of an event, bytes. */
  readonly bodyLimit: number
  /** Largest body of a batch of events, bytes. */
  readonly batchBytes: number
}

/** All routes over the given logs; the caller listens and closes. */
export async function buildServer(logs: ServedLogs, options: ServerOptions): Promise<FastifyInstance> {
  const app = fastify({
    bodyLimit: options.bodyLimit,
    // Unknown fields must stay visible and nothing may be coerced: a validator that repairs input hides it.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, strict: true, allErrors: false } },
    // Node refuses a longer request line by itself; below that the router must not answer in a form of its own.
    routerOptions: {
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      caseSensitive: true,
      maxParamLength: 16_384,
    },
  })
  // Bodies are judged by our own strict parsers, so they arrive as bytes whatever they claim to be.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, plain(body as Buffer)))

  app.addHook('onRequest', async (request) => {
    // The router decodes paths; no path of ours needs escapes, and a second spelling of one would escape caches and rules.
    const [path = ''] = request.raw.url?.split('?') ?? []
    if (path.includes('%')) throw new TreelineError('NOT_FOUND', 'no path here has a percent sign')
  })
  app.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, new TreelineError('NOT_FOUND', 'there is nothing at this path: docs/api.md has the routes')),
  )
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const answer = error instanceof TreelineError ? error : fromFramework(error)
    if (answer !== undefined) return sendProblem(reply, answer)
    request.log.error(error)
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

  healthRoutes(app, logs)
  tileRoutes(app, logs)
  rawRoutes(app, logs)
  proofRoutes(app, logs)
  eventRoutes(app, logs, options)
  await app.ready()
  return app
}
