/** C2SP tlog-tiles reads: checkpoint, tiles, entry bundles. */
import { promisify } from 'node:util'
import { gzip as gzipCallback } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import { parseTilePath, tileWidth } from '../core/tile.ts'
import { TREE } from './auth.ts'
import { acceptsGzip } from './gzip.ts'
import { operations } from './operations.ts'
import { type FrontLogs, findLog } from './served-log.ts'

const gzip = promisify(gzipCallback)
const IMMUTABLE = 'public, max-age=604800, immutable'

interface LogParams {
  readonly log: string
}

export function tileRoutes(app: FastifyInstance, logs: FrontLogs): void {
  app.get<{ Params: LogParams }>(
    '/:log/checkpoint',
    { config: TREE, schema: operations.getCheckpoint },
    async (request, reply) => {
      const { published } = findLog(logs, request.params.log).log
      if (published === undefined)
        throw new TreelineError('NOT_YET_PUBLISHED', 'no checkpoint is published yet: try again')
      return reply.type('text/plain; charset=utf-8').header('cache-control', 'no-cache').send(published.note)
    },
  )

  app.get<{ Params: LogParams & { '*': string } }>(
    '/:log/tile/*',
    { config: TREE, schema: operations.getTile },
    async (request, reply) => {
      const { log } = findLog(logs, request.params.log)
      const { tree } = log.head
      const path = notFound(() => parseTilePath(`tile/${request.params['*']}`))
      const { level, index, width } = path
      if (width > tileWidth(tree.size, level, index))
        throw new TreelineError('NOT_FOUND', `the log has no such tile at size ${tree.size}`)
      if (level !== 'entries') {
        const bytes = await log.prover.tileBytes(tree, level, index, width)
        return reply.type('application/octet-stream').header('cache-control', IMMUTABLE).send(bytes)
      }
      const bundle = await log.store.bundle(index, width)
      reply.type('application/octet-stream').header('cache-control', IMMUTABLE).header('vary', 'accept-encoding')
      if (!acceptsGzip(request.headers['accept-encoding'])) return reply.send(bundle)
      return reply.header('content-encoding', 'gzip').send(await gzip(bundle, { level: 4 }))
    },
  )
}

/** Another spelling of a path names nothing. */
function notFound<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new TreelineError('NOT_FOUND', (error as Error).message)
  }
}
