/** The routes that change what an `events` log allows and shows: its write policy, and redactions. */
import type { FastifyInstance } from 'fastify'
import type { RedactionAnswer } from '../../schemas/types.ts'
import { NONE } from './auth.ts'
import { receiptDocument } from './documents.ts'
import { ENVELOPE_TYPES, requireType } from './events.ts'
import { operations } from './operations.ts'
import { findEvents, type ServedLogs } from './served-log.ts'

interface LogParams {
  readonly log: string
}

export function changeRoutes(app: FastifyInstance, logs: ServedLogs): void {
  app.post<{ Params: LogParams; Body: Uint8Array }>(
    '/:log/v1/policy',
    { config: NONE, schema: operations.changePolicy },
    async (request, reply) => {
      const events = findEvents(logs, request.params.log)
      requireType(request, ENVELOPE_TYPES)
      const admitted = await events.submitPolicy(request.body ?? new Uint8Array(0))
      return reply.code(admitted.created ? 201 : 200).send(await receiptDocument(events.log, admitted))
    },
  )

  app.post<{ Params: LogParams; Body: Uint8Array }>(
    '/:log/v1/redactions',
    { config: NONE, schema: operations.redact },
    async (request, reply) => {
      const events = findEvents(logs, request.params.log)
      requireType(request, ENVELOPE_TYPES)
      const redacted = await events.redact(request.body ?? new Uint8Array(0))
      const { created, indexes, erased } = redacted
      const answer: RedactionAnswer = {
        ...(await receiptDocument(events.log, redacted)),
        indexes: [...indexes],
        erased,
      }
      return reply.code(created ? 201 : 200).send(answer)
    },
  )
}
