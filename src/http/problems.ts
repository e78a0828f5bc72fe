/** Every status code of the service, and the one document that errors have (RFC 9457). */
import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply } from 'fastify'
import type { Problem } from '../../schemas/types.ts'
import { type Code, TreelineError } from '../core/errors.ts'

/** Codes that no request can cause are absent: they end as 500. */
const STATUS: Readonly<Record<Problem['code'], number>> = {
  UNKNOWN_KEY: 403,
  KEY_SUSPENDED: 403,
  KEY_EXPIRED: 403,
  TYPE_NOT_ALLOWED: 403,
  SUBJECT_NOT_ALLOWED: 403,
  WRONG_ORIGIN: 403,
  BAD_SIGNATURE: 403,
  MALFORMED_ENVELOPE: 400,
  MALFORMED_BASE64: 400,
  MALFORMED_PAYLOAD: 400,
  DUPLICATE_JSON_KEY: 400,
  TOO_DEEP: 400,
  UNKNOWN_PARAMETER: 400,
  BODY_TOO_LARGE: 413,
  ENTRY_TOO_LARGE: 422,
  UNSUPPORTED_MEDIA_TYPE: 415,
  UNKNOWN_LOG: 404,
  UNKNOWN_SIZE: 404,
  UNKNOWN_INDEX: 404,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  NOT_YET_PUBLISHED: 404,
  REDACTED: 410,
  POLICY_CONFLICT: 409,
  MORE_INDEXES: 409,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  QUEUE_FULL: 503,
  STORAGE_FAILED: 503,
  CLOCK: 503,
  FROZEN: 503,
  NOT_YET_AUDITED: 503,
  RATE_LIMITED: 429,
}

/** Seconds after which asking again can help. */
const RETRY_AFTER: Partial<Record<Code, number>> = {
  QUEUE_FULL: 1,
  STORAGE_FAILED: 10,
  CLOCK: 10,
  FROZEN: 60,
  NOT_YET_AUDITED: 10,
  NOT_YET_PUBLISHED: 1,
  RATE_LIMITED: 1,
}

/** Writers that come too fast get 503: clients of OpenLineage ask again after 5xx only. */
export const statusOf = (code: Code, write = false): number =>
  write && code === 'RATE_LIMITED' ? 503 : ((STATUS as Partial<Record<Code, number>>)[code] ?? 500)

export function problemOf({ code, message, facts }: TreelineError, write = false): Problem {
  const status = statusOf(code, write)
  return {
    ...facts,
    type: `urn:treeline:problem:${code}`,
    title: STATUS_CODES[status]!,
    status,
    code: code as Problem['code'],
    detail: message,
  }
}

/** An answer for what the framework refuses by itself; undefined for a bug of ours. */
export function fromFramework(error: FastifyError): TreelineError | undefined {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new TreelineError(
        'BODY_TOO_LARGE',
        'the body is larger than this server takes: send less, or ask its operator',
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new TreelineError('UNSUPPORTED_MEDIA_TYPE', 'this route does not take that Content-Type')
    default:
      return (error.statusCode ?? 500) < 500
        ? new TreelineError('MALFORMED_ENVELOPE', `the request could not be read: ${error.message}`)
        : undefined
  }
}

export function sendProblem(reply: FastifyReply, error: TreelineError): FastifyReply {
  const problem = problemOf(error, reply.request.method === 'POST')
  const after = RETRY_AFTER[error.code]
  // The limit of an address has said when.
  if (after !== undefined && !reply.hasHeader('retry-after')) reply.header('retry-after', after)
  if (problem.status === 401 && !reply.hasHeader('www-authenticate')) reply.header('www-authenticate', 'Bearer')
  return reply
    .code(problem.status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(JSON.stringify(problem))
}
