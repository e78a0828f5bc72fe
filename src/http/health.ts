/** Whether the process lives, and whether its logs take entries. */
import type { FastifyInstance } from 'fastify'
import { type Gate, NONE } from './auth.ts'
import { operations } from './operations.ts'
import type { ServedLogs } from './served-log.ts'

export function healthRoutes(app: FastifyInstance, logs: ServedLogs, gate: Gate): void {
  app.get('/healthz', { config: NONE, schema: operations.isAlive }, async (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ alive: true }),
  )

  app.get('/readyz', { config: NONE, schema: operations.isReady }, async (request, reply) => {
    const states = [...logs.values()].map(({ log }) => {
      const { refusal } = log
      return {
        name: log.name,
        ready: refusal === undefined,
        ...(log.restored && { restored: true as const }),
        code: refusal?.code ?? null,
        why: refusal?.message ?? null,
        // A witness that is late holds back what is published, and nothing else: the log is ready all the same.
        witnesses: log.witnesses.map(({ name, size, late, why }) => ({
          name,
          size,
          late: Math.round(late),
          why: why ?? null,
        })),
      }
    })
    // A restored log never takes an entry again: that is no reason to send nobody to the other logs, or to its own reads.
    const ready = states.every((state) => state.ready || state.restored)
    // The status is for everyone who must restart or route; names and reasons are for readers.
    const reader = gate.readerOf(request.headers.authorization)
    return reply
      .code(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ ready, logs: states.filter(({ name }) => reader?.may(name, 'tree')) })
  })
}
