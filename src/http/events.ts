/** The routes of `events` logs that every thread can serve: submitting, and reading single events. */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { BatchReceipt, PolicyAnswer, WritePolicy } from '../../schemas/types.ts'
import { BATCH_BODY } from '../core/batch.ts'
import { fromBase64, fromHex, parseSize, toHex, toUtf8 } from '../core/bytes.ts'
import { decodeEntry, EVENT } from '../core/entry.ts'
import { type Code, TreelineError } from '../core/errors.ts'
import { formatEvidence } from '../core/evidence.ts'
import { formatProof } from '../core/proof-file.ts'
import { BatchBody } from '../log/batch-body.ts'
import type { Admitted, AdmittedBatch } from '../log/events.ts'
import { evidenceOf } from '../log/evidence.ts'
import type { ReadableLog } from '../log/log.ts'
import type { PublishedHead } from '../log/published-heads.ts'
import { NONE, PAYLOAD, TREE } from './auth.ts'
import { streamBodies } from './body-stream.ts'
import { envelopeOf, eventDocument, receiptDocument } from './documents.ts'
import { batchAnswers } from './ndjson.ts'
import { operations } from './operations.ts'
import { type EventIntake, type FrontLogs, findEvents } from './served-log.ts'

interface LogParams {
  readonly log: string
}

export const ENVELOPE_TYPES = ['application/json', 'application/vnd.dsse.envelope.v1+json']

export interface EventRouteOptions {
  /** Largest batch, bytes. */
  readonly batchBytes: number
  /** How long an answer may be held back for witnesses, ms. */
  readonly waitLimit: number
  /** Told of each line that is refused. */
  readonly onRejected: (log: string, code: Code) => void
}

export function eventRoutes(app: FastifyInstance, logs: FrontLogs, options: EventRouteOptions): void {
  app.post<{ Params: LogParams; Body: Uint8Array; Querystring: { wait?: 'witnessed' } }>(
    '/:log/v1/events',
    { config: NONE, schema: operations.submitEvent },
    async (request, reply) => {
      const events = findEvents(logs, request.params.log)
      requireType(request, ENVELOPE_TYPES)
      const admitted = await events.submit(request.body ?? new Uint8Array(0))
      // Past the limit the receipt is a plain one: the event is in, whatever the witnesses do.
      const log = admitted.elsewhere ?? events.log
      const head = request.query.wait && (await log.witnessed(admitted.index + 1, options.waitLimit))
      return sendReceipt(request, reply, log, admitted, head ?? admitted.elsewhere?.published)
    },
  )

  app.register(async (scope) => {
    streamBodies(scope, BATCH_BODY)
    scope.post<{
      Params: LogParams
      Body: Uint8Array | AsyncIterable<Uint8Array> | undefined
      Querystring: { wait?: 'witnessed' }
    }>(
      '/:log/v1/events/batch',
      { config: NONE, schema: operations.submitBatch, bodyLimit: options.batchBytes },
      async (request, reply) => {
        const { params, query, body = new Uint8Array(0) } = request
        const events = findEvents(logs, params.log)
        const type = requireType(request, ['application/x-ndjson', BATCH_BODY])
        if (type === BATCH_BODY) return sendBatchReceipt(reply, events, chunksIn(body), query.wait && options.waitLimit)
        const lines = batchAnswers(events, body as Uint8Array, (code) => options.onRejected(events.log.name, code))
        return reply.type('application/x-ndjson').send(Readable.from(lines))
      },
    )
  })

  app.get<{ Params: LogParams & { index: string } }>(
    '/:log/v1/events/:index',
    { config: TREE, schema: operations.getEvent },
    async (request) => {
      const { log } = findEvents(logs, request.params.log)
      const index = indexOf(request.params.index)
      const entry = index < log.head.tree.size ? await log.store.entry(index) : undefined
      if (entry === undefined) throw new TreelineError('UNKNOWN_INDEX', `the log has no entry ${request.params.index}`)
      return eventDocument(log, index, entry, request.reader!.may(log.name, 'payload'))
    },
  )

  app.get<{ Params: LogParams & { index: string } }>(
    '/:log/v1/evidence/:index',
    { config: PAYLOAD, schema: operations.getEvidence },
    async (request, reply) => {
      const { log } = findEvents(logs, request.params.log)
      const file = formatEvidence(await evidenceOf(log, indexOf(request.params.index)))
      return reply
        .type('text/plain; charset=utf-8')
        .header('cache-control', 'private, no-cache')
        .send(Buffer.from(file))
    },
  )

  app.get<{ Params: LogParams }>(
    '/:log/v1/policy',
    { config: TREE, schema: operations.getPolicy },
    async (request): Promise<PolicyAnswer> => {
      const { log, policy } = findEvents(logs, request.params.log)
      const envelope = (await envelopeOf(log, policy.index, false))!
      const document = JSON.parse(Buffer.from(envelope.payload, 'base64').toString()) as WritePolicy
      return { index: policy.index, sha256: toHex(policy.sha256), policy: document, envelope }
    },
  )

  app.get<{ Params: LogParams }>(
    '/:log/addenda.v1',
    { config: TREE, schema: operations.getAddendaMarker },
    async (request, reply) => {
      findEvents(logs, request.params.log)
      return reply.type('application/octet-stream').header('cache-control', 'no-cache').send(Buffer.alloc(0))
    },
  )

  app.get<{ Params: LogParams & { a: string; b: string; digest: string } }>(
    '/:log/addenda/:a/:b/:digest',
    // Policies, redactions and batch headers are what an auditor judges entries by, and hold no payload.
    { config: TREE, schema: operations.getAddendum },
    async (request, reply) => {
      const { log } = findEvents(logs, request.params.log)
      const { a, b, digest } = request.params
      const hash =
        digest.length === 64 && digest.startsWith(a + b) && a.length === 2 && b.length === 2
          ? fromHex(digest)
          : undefined
      const [index] = hash === undefined ? [] : await log.store.findAddendum(hash)
      if (index !== undefined && !request.reader!.may(log.name, 'payload')) await requireDocument(log, index)
      const bytes = index === undefined ? undefined : await log.store.addendum(index)
      if (bytes === undefined) {
        if (index === undefined) throw new TreelineError('NOT_FOUND', 'the log has no such addendum')
        if ((await log.store.redactedBy(index)) === undefined)
          throw new TreelineError(
            'NOT_FOUND',
            `the addendum of entry ${index} is missing: nobody redacted it, and the copy that this log was restored from did not have it`,
          )
        throw new TreelineError('REDACTED', `the addendum of entry ${index} was redacted`, { index })
      }
      // It never changes, but it may go: no cache may answer for it without asking.
      reply.header('cache-control', 'private, no-cache').header('etag', `"${digest}"`)
      if (names(request.headers['if-none-match'], `"${digest}"`)) return reply.code(304).send()
      return reply.type('application/octet-stream').send(Buffer.from(bytes))
    },
  )
}

/** Throws FORBIDDEN when the addendum of the entry is an event's. */
async function requireDocument(log: ReadableLog, index: number): Promise<void> {
  if (decodeEntry((await log.store.entry(index))!).kind === EVENT)
    throw new TreelineError('FORBIDDEN', 'the addendum of an event takes a token with the scope payload')
}

/** If-None-Match, RFC 9110 section 13.1.2: any, or a list in which a proxy may have marked ours as weak. */
const names = (header: string | undefined, etag: string): boolean =>
  (header ?? '').split(',').some((one) => ['*', etag, `W/${etag}`].includes(one.trim()))

/** No type at all is fine: curl and scripts forget it. */
export function requireType(request: FastifyRequest, types: readonly string[]): string | undefined {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type === undefined || type === '' || types.includes(type)) return type
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
  log: ReadableLog,
  admitted: Admitted,
  published: PublishedHead | undefined,
): Promise<FastifyReply> {
  reply.code(admitted.created ? 201 : 200)
  const accept = request.headers.accept ?? ''
  const document = await receiptDocument(log, admitted, published)
  if (!accept.includes('text/plain') || accept.includes('application/json')) return reply.send(document)
  const proof = formatProof({
    index: BigInt(admitted.index),
    hashes: document.hashes.map((hash) => fromBase64(hash)!),
    checkpoint: toUtf8(document.checkpoint),
  })
  return reply.type('text/plain; charset=utf-8').send(Buffer.from(proof))
}

/** A request without a body has no stream either. */
async function* chunksIn(body: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) yield body
  else yield* body
}

async function sendBatchReceipt(
  reply: FastifyReply,
  events: EventIntake,
  chunks: AsyncIterable<Uint8Array>,
  waitLimit: number | undefined,
): Promise<FastifyReply> {
  const body = new BatchBody(chunks)
  let admitted: AdmittedBatch
  try {
    admitted = await events.submitBatch(body)
  } finally {
    await body.close()
  }
  const { index, size, created, elsewhere } = admitted
  const log = elsewhere ?? events.log
  // The last item is in the same commit.
  const head = waitLimit === undefined ? undefined : await log.witnessed(index + 1 + size, waitLimit)
  const receipt = await receiptDocument(log, admitted, head ?? elsewhere?.published)
  const answer: BatchReceipt = { ...receipt, first: index + 1, size }
  return reply.code(created ? 201 : 200).send(answer)
}
