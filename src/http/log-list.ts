/** The logs of the server, and the witnesses of each. */
import type { FastifyInstance } from 'fastify'
import type { LogList, WitnessList } from '../../schemas/types.ts'
import { toBase64, toHex } from '../core/bytes.ts'
import { TREE } from './auth.ts'
import { operations } from './operations.ts'
import { findLog, type ServedLogs } from './served-log.ts'

interface LogParams {
  readonly log: string
}

export function logListRoutes(app: FastifyInstance, logs: ServedLogs): void {
  app.get<{ Params: LogParams }>(
    '/:log/v1/witnesses',
    { config: TREE, schema: operations.listWitnesses },
    async ({ params }): Promise<WitnessList> =>
      (await findLog(logs, params.log).log.audits()).map(({ late, why = null, audited = null, ...witness }) => ({
        ...{ ...witness, late: Math.round(late), why, audited },
      })),
  )

  app.get(
    '/v1/logs',
    { config: TREE, schema: operations.listLogs },
    async ({ reader }): Promise<LogList> =>
      Promise.all(
        [...logs.values()]
          .filter(({ log }) => reader!.may(log.name, 'tree'))
          .map(async ({ log, events }) => ({
            name: log.name,
            origin: log.origin,
            profile: log.store.profile === 'raw' ? 'raw' : 'events',
            vkey: log.vkey,
            genesis: log.store.profile === 'raw' ? null : toHex(await log.prover.leaf(log.head.tree, 0)),
            size: log.head.tree.size,
            published: log.published?.size ?? null,
            ...(log.restored && { restored: true as const }),
            ...(events?.successorOf && {
              successorOf: { ...events.successorOf, root: toBase64(events.successorOf.root) },
            }),
          })),
      ),
  )
}
