/** The routes of `events` logs: submit, policy, redaction, and reading single events. */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fromHex, parseSize, toHex, toUtf8 } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { formatEvidence } from '../core/evidence.ts'
import { formatProof } from '../core/proof-file.ts'
import type { Admitted, EventLog } from '../log/events.ts'
import { evidenceOf } from '../log/evidence.ts'
import { envelopeOf, eventDocument, receiptDocument } from './documents.ts'
import { batchAnswers } from './ndjson.ts'
import { LIMIT, NUMBER, query } from './query.ts'
import { findLog, type ServedLogs } from './served-log.ts'

interface LogParams {
  readonly log: string
}

const ENVELOPE_TYPES = ['application/json', 'application/vnd.dsse.envelope.v1+json']
const DEFAULT_LIMIT = 100

export function eventRoutes(app: FastifyInstance, logs: ServedLogs, limits: { readonly batchBytes: number }): void {
  app.post<{ Params: LogParams; Body: Uint8Array }>('/:log/v1/events', async (request, reply) => {
    const events = findEvents(logs, request.params.log)
    requireType(request, ENVELOPE_TYPES)
    const admitted = await events.submit(request.body ?? new Uint8Array(0))
    return sendReceipt(request, reply, events, admitted)
  })

  app.post<{ Params: LogParams; Body: Uint8Array }>(
    '/:log/v1/events/batch',
    { bodyLimit: limits.batchBytes },
    async (request, reply) => {
      const events = findEvents(logs, request.params.log)
      requireType(request, ['application/x-ndjson'])
      const lines = batchAnswers(events, request.body ?? new Uint8Array(0))
      return reply.type('application/x-ndjson').send(Readable.from(lines))
    },
  )

  app.get<{ Params: LogParams & { index: string } }>(
    '/:log/v1/events/:index',
    { schema: { querystring: query({}) } },
    async (request) => {
      const { log } = findEvents(logs, request.params.log)
      const index = indexOf(request.params.index)
      const entry = index < log.head.tree.size ? await log.store.entry(index) : undefined
      if (entry === undefined) throw new TreelineError('UNKNOWN_INDEX', `the log has no entry ${request.params.index}`)
      return eventDocument(log, index, entry, true)
    },
  )

  app.get<{ Params: LogParams; Querystring: { from?: string; limit?: string } }>(
    '/:log/v1/events',
    { schema: { querystring: query({ from: NUMBER, limit: LIMIT }) } },
    async (request) => {
      const { log } = findEvents(logs, request.params.log)
      const from = Number(request.query.from ?? 0)
      const limit = Number(request.query.limit ?? DEFAULT_LIMIT)
      const { tree, note } = log.head
      const to = Math.min(tree.size, from + limit)
      const entries = from < to ? await log.store.entries(from, to) : []
      const events = await Promise.all(entries.map((entry, i) => eventDocument(log, from + i, entry, true)))
      return { events, next: to < tree.size ? to : null, completeTo: tree.size, checkpoint: note }
    },
  )

  app.get<{ Params: LogParams & { index: string } }>(
    '/:log/v1/evidence/:index',
    { schema: { querystring: query({}) } },
    async (request, reply) => {
      const { log } = findEvents(logs, request.params.log)
      const file = formatEvidence(await evidenceOf(log, indexOf(request.params.index)))
      return reply
        .type('text/plain; charset=utf-8')
        .header('cache-control', 'private, no-cache')
        .send(Buffer.from(file))
    },
  )

  app.get<{ Params: LogParams }>('/:log/v1/policy', { schema: { querystring: query({}) } }, async (request) => {
    const { log, policy } = findEvents(logs, request.params.log)
    const envelope = (await envelopeOf(log, policy.index, false)) as { payload: string }
    const document = JSON.parse(Buffer.from(envelope.payload, 'base64').toString()) as unknown
    return { index: policy.index, sha256: toHex(policy.sha256), policy: document, envelope }
  })

  app.post<{ Params: LogParams; Body: Uint8Array }>('/:log/v1/policy', async (request, reply) => {
    const events = findEvents(logs, request.params.log)
    requireType(request, ENVELOPE_TYPES)
    const admitted = await events.submitPolicy(request.body ?? new Uint8Array(0))
    return reply.code(admitted.created ? 201 : 200).send(await receiptDocument(events.log, admitted))
  })

  app.post<{ Params: LogParams; Body: Uint8Array }>('/:log/v1/redactions', async (request, reply) => {
    const events = findEvents(logs, request.params.log)
    requireType(request, ENVELOPE_TYPES)
    const redacted = await events.redact(request.body ?? new Uint8Array(0))
    const receipt = await receiptDocument(events.log, redacted)
    return reply
      .code(redacted.created ? 201 : 200)
      .send({ ...receipt, indexes: redacted.indexes, erased: redacted.erased })
  })

  app.get<{ Params: LogParams }>('/:log/addenda.v1', async (request, reply) => {
    findEvents(logs, request.params.log)
    return reply.type('application/octet-stream').header('cache-control', 'no-cache').send(Buffer.alloc(0))
  })

  app.get<{ Params: LogParams & { a: string; b: string; digest: string } }>(
    '/:log/addenda/:a/:b/:digest',
    async (request, reply) => {
      const { log } = findEvents(logs, request.params.log)
      const { a, b, digest } = request.params
      const hash =
        digest.length === 64 && digest.startsWith(a + b) && a.length === 2 && b.length === 2
          ? fromHex(digest)
          : undefined
      const [index] = hash === undefined ? [] : await log.store.findAddendum(hash)
      const bytes = index === undefined ? undefined : await log.store.addendum(index)
      if (bytes === undefined) {
        if (index === undefined) throw new TreelineError('NOT_FOUND', 'the log has no such addendum')
        throw new TreelineError('REDACTED', `the addendum of entry ${index} was redacted`, { index })
      }
      // It never changes, but it may go: no cache may answer for it without asking.
      reply.header('cache-control', 'private, no-cache').header('etag', `"${digest}"`)
      if (request.headers['if-none-match'] === `"${digest}"`) return reply.code(304).send()
      return reply.type('application/octet-stream').send(Buffer.from(bytes))
    },
  )
}

function findEvents(logs: ServedLogs, name: string): EventLog {
  const { events } = findLog(logs, name)
  if (events === undefined) throw new TreelineError('NOT_FOUND', `${name} is a raw log: it has no events`)
  return events
}

/** No type at all is fine: curl and scripts forget it. */
function requireType(request: FastifyRequest, types: readonly string[]): void {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type === undefined || type === '' || types.includes(type)) return
  throw new TreelineError('UNSUPPORTED_MEDIA_TYPE', `this route takes ${types.join(' or ')}, not ${type.slice(0, 100)}`)
}

function indexOf(text: string): number {
  const index = parseSize(text)
  if (index === undefined) throw new TreelineError('UNKNOWN_INDEX', `"${text.slice(0, 32)}" is no index`)
  return index
}

async function sendReceipt(
  request: FastifyRequest,
  reply: FastifyReply,
  { log }: EventLog,
  admitted: Admitted,
): Promise<FastifyReply> {
  reply.code(admitted.created ? 201 : 200)
  const accept = request.headers.accept ?? ''
  if (!accept.includes('text/plain') || accept.includes('application/json'))
    return reply.send(await receiptDocument(log, admitted))
  const { tree, note } = log.head
  const hashes = await log.prover.inclusion(tree, admitted.index, tree.size)
  const proof = formatProof({ index: BigInt(admitted.index), hashes, checkpoint: toUtf8(note) })
  return reply.type('text/plain; charset=utf-8').send(Buffer.from(proof))
}
