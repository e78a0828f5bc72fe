/** The write route of `raw` logs, as public load generators speak it. */
import type { FastifyInstance } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import { MAX_ENTRY_SIZE } from '../core/tile.ts'
import { NONE } from './auth.ts'
import { operations } from './operations.ts'
import { type FrontLogs, findLog } from './served-log.ts'

/** `add` resolves to the index when the entry is durable. */
export function rawRoutes(
  app: FastifyInstance,
  logs: FrontLogs,
  add: (log: string, entry: Uint8Array) => Promise<number>,
): void {
  app.post<{ Params: { log: string }; Body: Uint8Array | undefined }>(
    '/:log/add',
    { config: NONE, schema: operations.addRaw, bodyLimit: MAX_ENTRY_SIZE },
    async (request, reply) => {
      const { log } = findLog(logs, request.params.log)
      if (log.store.profile !== 'raw')
        throw new TreelineError('NOT_FOUND', `${log.name} is not a raw log: POST to v1/events`)
      const index = await add(log.name, request.body ?? new Uint8Array(0))
      return reply.type('text/plain; charset=utf-8').send(String(index))
    },
  )
}
