/**
 * What every route takes and answers: the source of the API description, and of nothing that the routes do but reading the query.
 * One table, and as long as the API has routes.
 */
import type { FastifySchema } from 'fastify'
import { BATCH_BODY } from '../core/batch.ts'
import type { Code } from '../core/errors.ts'
import { MAX_ENTRY_SIZE } from '../core/tile.ts'
import { ARTIFACT_IN_PATH, FILTERS, TIME } from './event-filter.ts'
import { statusOf } from './problems.ts'
import { HASH, LIMIT, LINEAGE_DEPTH, LINEAGE_LIMIT, NUMBER, ORDER, query, WAIT } from './query.ts'

export const SCHEMAS = '#/components/schemas/'

type Content = Readonly<Record<string, { readonly schema: object }>>
interface Answer {
  readonly description: string
  readonly content?: Content
  readonly headers?: Readonly<Record<string, object>>
}

interface Operation {
  readonly id: string
  readonly tag: 'events' | 'proofs' | 'tiles' | 'policy' | 'raw' | 'server'
  readonly summary: string
  readonly description?: string
  readonly params?: Readonly<Record<string, object>>
  readonly query?: object
  readonly headers?: Readonly<Record<string, object>>
  readonly body?: Content
  readonly answers: Readonly<Record<number, Answer>>
  /** Beyond those of every route below a log. */
  readonly refusals: readonly Code[]
}

const document = (title: string): { readonly schema: object } => ({ schema: { $ref: `${SCHEMAS}${title}` } })
const json = (title: string): Content => ({ 'application/json': document(title) })
const text = (description: string): Content => ({ 'text/plain': { schema: { type: 'string', description } } })
const BYTES: Content = { 'application/octet-stream': { schema: { description: 'bytes' } } }
const lines = (title: string): Content => ({
  'application/x-ndjson': {
    schema: { type: 'string', description: `one ${title} a line`, 'x-line': { $ref: `${SCHEMAS}${title}` } },
  },
})

const LOG = { type: 'string', pattern: '^[a-z0-9][a-z0-9-]{0,62}$', description: 'name of the log: GET /v1/logs' }
const INDEX = { ...NUMBER, description: 'index of an entry' }
const ENVELOPE: Content = {
  'application/json': document('Envelope'),
  'application/vnd.dsse.envelope.v1+json': document('Envelope'),
}

const WALK = {
  direction: { type: 'string', enum: ['up', 'down', 'both'], default: 'both' },
  depth: LINEAGE_DEPTH,
  limit: LINEAGE_LIMIT,
} as const

const OF_A_READ: readonly Code[] = ['UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED']
/** Of every route below a log. */
const OF_A_LOG: readonly Code[] = ['UNKNOWN_LOG', 'NOT_FOUND', ...OF_A_READ]
/** Of every route that appends. */
const OF_A_WRITE: readonly Code[] = [
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'QUEUE_FULL',
  'STORAGE_FAILED',
  'CLOCK',
  'FROZEN',
]
/** Of every route that takes one envelope. */
const OF_AN_ENVELOPE: readonly Code[] = [
  ...OF_A_WRITE,
  'MALFORMED_ENVELOPE',
  'MALFORMED_BASE64',
  'MALFORMED_PAYLOAD',
  'DUPLICATE_JSON_KEY',
  'TOO_DEEP',
  'UNKNOWN_PARAMETER',
  'ENTRY_TOO_LARGE',
  'UNKNOWN_KEY',
  'BAD_SIGNATURE',
  'WRONG_ORIGIN',
]

/** One response for each status, which names the codes that can stand behind it. */
function refusalsOf(codes: readonly Code[], write: boolean): Record<number, Answer> {
  const byStatus = Map.groupBy([...new Set(codes)].sort(), (code) => statusOf(code, write))
  const answers = [...byStatus].map(([status, possible]): [number, Answer] => [
    status,
    {
      description: possible.join(', '),
      content: {
        'application/problem+json': {
          schema: {
            allOf: [
              { $ref: `${SCHEMAS}Problem` },
              { properties: { code: { enum: possible }, status: { const: status } } },
            ],
          },
        },
      },
      ...(status === 503 && { headers: { 'Retry-After': { type: 'integer', description: 'seconds' } } }),
      ...(status === 401 && { headers: { 'WWW-Authenticate': { type: 'string' } } }),
    },
  ])
  return Object.fromEntries(answers)
}

function describe({
  id,
  tag,
  params = {},
  query,
  headers,
  body,
  answers,
  refusals,
  ...about
}: Operation): FastifySchema {
  const ofALog = tag !== 'server'
  const properties = ofALog ? { log: LOG, ...params } : params
  return {
    operationId: id,
    tags: [tag],
    ...about,
    ...(Object.keys(properties).length > 0 && {
      params: { type: 'object', properties, required: Object.keys(properties) },
    }),
    ...(query && { querystring: query }),
    ...(headers && { headers: { type: 'object', properties: headers } }),
    ...(body && { body: { content: body } }),
    ...(ofALog && { security: [{}, { bearer: [] }] }),
    response: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, { content, ...answer }]) => [
          status,
          { ...answer, ...(content ? { content } : { type: 'null' }) },
        ]),
      ),
      ...refusalsOf(ofALog ? [...OF_A_LOG, ...refusals] : refusals, body !== undefined),
    },
  }
}

const RECEIPT: Content = { ...json('Receipt'), ...text('a C2SP tlog-proof, where Accept asks for text/plain') }

export const operations = {
  submitEvent: describe({
    id: 'submitEvent',
    tag: 'events',
    summary: 'Logs one signed event',
    description:
      'The answer says that the event is durable, and proves that it is in the tree. Sent again it gets the index that it has: retrying is safe. With wait=witnessed it comes when witnesses have cosigned a published checkpoint that covers the event, or, past a limit, without.',
    query: query({ wait: WAIT }),
    body: ENVELOPE,
    answers: {
      201: { description: 'logged', content: RECEIPT },
      200: { description: 'known from before', content: RECEIPT },
    },
    refusals: [
      ...OF_AN_ENVELOPE,
      'KEY_SUSPENDED',
      'KEY_EXPIRED',
      'TYPE_NOT_ALLOWED',
      'SUBJECT_NOT_ALLOWED',
      'REDACTED',
    ],
  }),
  submitBatch: describe({
    id: 'submitBatch',
    tag: 'events',
    summary: 'Logs many events, each signed for itself, or all by one signature',
    description:
      'Up to 32 MiB. As lines: up to 10,000 envelopes, independent of each other and answered in order. As a signed batch: the frames of a header and its items (docs/formats.md), taken whole or not at all; the answer is the receipt of the header, and wait is as for one event.',
    query: query({ wait: WAIT }),
    body: {
      ...lines('Envelope'),
      [BATCH_BODY]: { schema: { description: 'frames: the envelope of the header, then each item' } },
    },
    answers: {
      200: {
        description: 'an answer for each line · a header that is known from before',
        content: { ...lines('BatchLine'), ...json('BatchReceipt') },
      },
      201: { description: 'a signed batch is logged', content: json('BatchReceipt') },
    },
    refusals: [...OF_AN_ENVELOPE, 'KEY_SUSPENDED', 'KEY_EXPIRED', 'TYPE_NOT_ALLOWED', 'SUBJECT_NOT_ALLOWED'],
  }),
  getEvent: describe({
    id: 'getEvent',
    tag: 'events',
    summary: 'One entry, decoded, with its signed document',
    params: { index: INDEX },
    query: query({}),
    answers: { 200: { description: 'the entry', content: json('Event') } },
    refusals: ['UNKNOWN_INDEX', 'UNKNOWN_PARAMETER'],
  }),
  listEvents: describe({
    id: 'listEvents',
    tag: 'events',
    summary: 'Entries in order, a page at a time: all, or those that fit',
    description:
      'Filters are joined by and. A filtered page may end before it is full, also empty, when it took long: next is where to go on, and null when nothing more fits below completeTo, which is how far the index is. Descending, from is the highest index. Nothing here is proved: a verified scan of the log is.',
    query: query({ ...FILTERS, from: NUMBER, limit: LIMIT, order: ORDER }),
    answers: { 200: { description: 'a page', content: json('EventList') } },
    refusals: ['UNKNOWN_PARAMETER', 'STORAGE_FAILED'],
  }),
  getLineage: describe({
    id: 'getLineage',
    tag: 'events',
    summary: 'What an artifact was made of, and what it reached',
    description:
      'Over all logs of this server that the reader may read, joined by digest. The answer is a claim of the index: each edge is to be held against the entry that it names.',
    params: { artifact: ARTIFACT_IN_PATH },
    query: query(WALK),
    answers: { 200: { description: 'a graph', content: json('Lineage') } },
    refusals: ['UNKNOWN_PARAMETER', 'STORAGE_FAILED'],
  }),
  getLineageOfSigner: describe({
    id: 'getLineageOfSigner',
    tag: 'events',
    summary: 'What the artifacts of a key reached',
    description:
      'Begins with what the events of the key between two moments produced. Those events are listed at distance 0. Without since, it begins at the compromisedSince of the write policies in force of the logs that the reader may read, where one has it, and the answer says so; since=0 asks for all.',
    query: query({ ...WALK, signer: HASH, since: TIME, until: TIME }, ['signer']),
    answers: { 200: { description: 'a graph', content: json('Lineage') } },
    refusals: ['UNKNOWN_PARAMETER', 'STORAGE_FAILED'],
  }),
  streamEvents: describe({
    id: 'streamEvents',
    tag: 'events',
    summary: 'Entries as they are published (server-sent events)',
    description:
      'Each event has the index of its entry as id and an Event without its envelope as data; an event of the name checkpoint follows with the published head that covers what came before. Begins behind Last-Event-ID, else at from, else with the next entry that is published. Ends when the reader takes nothing for half a minute, and when the server stops: a reader comes back with the last id that it has.',
    query: query({ from: NUMBER }),
    headers: { 'last-event-id': { type: 'string', pattern: '^(0|[1-9][0-9]{0,15})$' } },
    answers: {
      200: {
        description: 'a stream that does not end by itself',
        content: { 'text/event-stream': { schema: { type: 'string' } } },
      },
    },
    refusals: ['UNKNOWN_INDEX', 'UNKNOWN_PARAMETER'],
  }),
  getEvidence: describe({
    id: 'getEvidence',
    tag: 'events',
    summary: 'All that it takes to verify one entry offline',
    params: { index: INDEX },
    query: query({}),
    answers: {
      200: { description: 'against the published checkpoint', content: text('a C2SP tlog-proof with our extra line') },
    },
    refusals: ['UNKNOWN_INDEX', 'NOT_YET_PUBLISHED', 'UNKNOWN_PARAMETER', 'FROZEN'],
  }),
  getPolicy: describe({
    id: 'getPolicy',
    tag: 'policy',
    summary: 'The write policy in force',
    query: query({}),
    answers: { 200: { description: 'the policy as it was signed', content: json('PolicyAnswer') } },
    refusals: ['UNKNOWN_PARAMETER'],
  }),
  changePolicy: describe({
    id: 'changePolicy',
    tag: 'policy',
    summary: 'Replaces the write policy',
    description: 'An envelope whose payload is a WritePolicy, signed by the threshold of the administrators in force.',
    query: query({}),
    body: ENVELOPE,
    answers: {
      201: { description: 'in force', content: json('Receipt') },
      200: { description: 'in force from before', content: json('Receipt') },
    },
    refusals: [...OF_AN_ENVELOPE, 'POLICY_CONFLICT', 'REDACTED'],
  }),
  redact: describe({
    id: 'redact',
    tag: 'policy',
    summary: 'Erases the signed documents of events',
    description: 'An envelope whose payload is a RedactionRequest. The entries stay, and so does every proof.',
    query: query({}),
    body: ENVELOPE,
    answers: {
      201: { description: 'logged', content: json('RedactionAnswer') },
      200: { description: 'known from before', content: json('RedactionAnswer') },
    },
    refusals: [...OF_AN_ENVELOPE, 'UNKNOWN_INDEX', 'MORE_INDEXES', 'REDACTED', 'NOT_YET_AUDITED'],
  }),
  proveInclusion: describe({
    id: 'proveInclusion',
    tag: 'proofs',
    summary: 'That an entry is in the tree',
    description: 'Give either index or leaf; without size, the proof is for the committed head.',
    query: query({ index: NUMBER, leaf: HASH, size: NUMBER }),
    answers: { 200: { description: 'the proof', content: json('InclusionProof') } },
    refusals: ['UNKNOWN_INDEX', 'UNKNOWN_SIZE', 'UNKNOWN_PARAMETER'],
  }),
  proveConsistency: describe({
    id: 'proveConsistency',
    tag: 'proofs',
    summary: 'That one tree is a prefix of another',
    query: query({ from: NUMBER, to: NUMBER }, ['from', 'to']),
    answers: { 200: { description: 'the proof', content: json('ConsistencyProof') } },
    refusals: ['UNKNOWN_SIZE', 'UNKNOWN_PARAMETER'],
  }),
  getCheckpoint: describe({
    id: 'getCheckpoint',
    tag: 'tiles',
    summary: 'The published checkpoint (C2SP tlog-checkpoint)',
    answers: { 200: { description: 'a signed note', content: text('a signed note') } },
    refusals: ['NOT_YET_PUBLISHED'],
  }),
  getTile: describe({
    id: 'getTile',
    tag: 'tiles',
    summary: 'Hashes, or entries, of the tree (C2SP tlog-tiles)',
    params: {
      level: { type: 'string', pattern: '^(entries|[0-9]|[1-5][0-9]|6[0-3])$', examples: ['0', 'entries'] },
      tile: {
        type: 'string',
        pattern: '^[0-9]{3}$',
        examples: ['000'],
        description: 'number of the tile; past 999 in several segments, x001/234',
      },
    },
    answers: { 200: { description: 'the tile, for ever the same', content: BYTES } },
    refusals: [],
  }),
  getAddendum: describe({
    id: 'getAddendum',
    tag: 'tiles',
    summary: 'The signed document of an entry (C2SP tlog-addenda)',
    params: {
      a: { type: 'string', pattern: '^[0-9a-f]{2}$', description: 'first byte of the digest' },
      b: { type: 'string', pattern: '^[0-9a-f]{2}$', description: 'second byte of the digest' },
      digest: HASH,
    },
    headers: { 'if-none-match': { type: 'string' } },
    answers: {
      200: { description: 'the document, blinded where it is an event', content: BYTES },
      304: { description: 'still there' },
    },
    refusals: ['REDACTED'],
  }),
  getAddendaMarker: describe({
    id: 'getAddendaMarker',
    tag: 'tiles',
    summary: 'Says that entries have addenda',
    answers: { 200: { description: 'empty', content: BYTES } },
    refusals: [],
  }),
  addRaw: describe({
    id: 'addRaw',
    tag: 'raw',
    summary: 'Logs any bytes, in a raw log',
    description: `Up to ${MAX_ENTRY_SIZE} bytes, of any media type.`,
    body: BYTES,
    answers: { 200: { description: 'the index', content: text('the index in decimal') } },
    refusals: [...OF_A_WRITE, 'MALFORMED_ENVELOPE', 'ENTRY_TOO_LARGE'],
  }),
  listLogs: describe({
    id: 'listLogs',
    tag: 'server',
    summary: 'The logs of this server',
    query: query({}),
    answers: { 200: { description: 'the logs', content: json('LogList') } },
    refusals: [...OF_A_READ, 'UNKNOWN_PARAMETER'],
  }),
  listWitnesses: describe({
    id: 'listWitnesses',
    tag: 'tiles',
    summary: 'The witnesses of the log',
    description:
      'How far each has cosigned and says that it has audited. Cosignatures on the checkpoint prove the first; nothing here proves the second.',
    query: query({}),
    answers: { 200: { description: 'the witnesses', content: json('WitnessList') } },
    refusals: ['UNKNOWN_PARAMETER'],
  }),
  getDescription: describe({
    id: 'getDescription',
    tag: 'server',
    summary: 'This document',
    answers: { 200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } } },
    refusals: [],
  }),
  isAlive: describe({
    id: 'isAlive',
    tag: 'server',
    summary: 'Whether the process answers',
    answers: { 200: { description: 'it does', content: json('Health') } },
    refusals: [],
  }),
  isReady: describe({
    id: 'isReady',
    tag: 'server',
    summary: 'Whether every log takes entries',
    answers: {
      200: { description: 'they do', content: json('Readiness') },
      503: { description: 'one does not', content: json('Readiness') },
    },
    refusals: [],
  }),
  getPage: describe({
    id: 'getPage',
    tag: 'server',
    summary: 'The explorer, or the page at /logs where it is not built',
    answers: { 200: { description: 'the page', content: { 'text/html': { schema: { type: 'string' } } } } },
    refusals: OF_A_READ,
  }),
  getPlainPage: describe({
    id: 'getPlainPage',
    tag: 'server',
    summary: 'A page that lists the logs, without any script',
    answers: { 200: { description: 'the page', content: { 'text/html': { schema: { type: 'string' } } } } },
    refusals: OF_A_READ,
  }),
  getMetrics: describe({
    id: 'getMetrics',
    tag: 'server',
    summary: 'Measurements for Prometheus',
    answers: { 200: { description: 'its text format', content: text('metrics') } },
    refusals: OF_A_READ,
  }),
} as const
