/**
 * Entries as they are published, as server-sent events (WHATWG HTML, 9.2): `id` is the index, so that a reader who comes back with Last-Event-ID
 * misses nothing and sees nothing twice. There is no queue for a reader: a stream is a place in the log, and reads on when its reader has taken what
 * was sent. Never payloads: what a stream has shown cannot be redacted.
 */
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { parseSize } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import type { Log } from '../log/log.ts'
import { type Gate, TREE } from './auth.ts'
import { eventDocument } from './documents.ts'
import { operations } from './operations.ts'
import { findEvents, type ServedLogs } from './served-log.ts'

export interface StreamLimits {
  /** A stream says something at least this often, ms: proxies cut what is silent. */
  readonly heartbeat: number
  /** A reader who takes nothing for this long is cut off, ms; it can come back and go on. */
  readonly slow: number
  /** Streams at once. */
  readonly most: number
}

const STREAM_LIMITS: StreamLimits = { heartbeat: 15_000, slow: 30_000, most: 512 }

/** Entries in one piece: some 100 kB, which with the buffer of the socket is all that a stream holds. */
const PIECE = 64
/** How long a reader should wait before it comes back, ms. */
const RETRY = 2_000

export function streamRoute(app: FastifyInstance, logs: ServedLogs, gate: Gate, limits = STREAM_LIMITS): void {
  const open = new Set<AbortController>()
  // They never end by themselves, and the server waits for all that is in flight.
  app.addHook('preClose', (done) => {
    for (const stream of open) stream.abort()
    done()
  })

  app.get<{ Params: { log: string }; Querystring: { from?: number } }>(
    '/:log/v1/stream',
    { config: TREE, schema: operations.streamEvents },
    async (request, reply) => {
      const { log } = findEvents(logs, request.params.log)
      const next = placeOf(log, request.headers['last-event-id'], request.query.from)
      reply
        .type('text/event-stream; charset=utf-8')
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no')
      // Its answer would have no end, and nobody would see it.
      if (request.method === 'HEAD') return reply.send(Readable.from([]))
      if (open.size >= limits.most)
        throw new TreelineError('RATE_LIMITED', 'too many readers follow logs of this server: come back later')
      const stream = new AbortController()
      open.add(stream)
      reply.raw.once('close', () => {
        open.delete(stream)
        stream.abort()
      })
      const { authorization } = request.headers
      // A token that is taken away takes its streams with it.
      const allowed = (): boolean => gate.readerOf(authorization)?.may(log.name, 'tree') ?? false
      const frames = follow(log, next, { signal: stream.signal, heartbeat: limits.heartbeat, allowed })
      return reply.send(Readable.from(hurried(frames, limits.slow, () => reply.raw.destroy())))
    },
  )
}

/** Where a stream begins: after the last entry that its reader has, at the one that it asks for, or with the next one that is published. */
function placeOf(log: Log, last: string | string[] | undefined, from: number | undefined): number {
  const seen = last === undefined ? undefined : parseSize(String(last))
  if (last !== undefined && seen === undefined)
    throw new TreelineError('UNKNOWN_PARAMETER', 'the header Last-Event-ID is not the index of an entry')
  const next = seen === undefined ? (from ?? log.published?.size ?? 0) : seen + 1
  // Whoever has seen more than there is must hear it, rather than wait for what will never come.
  if (next > log.head.tree.size) throw new TreelineError('UNKNOWN_INDEX', `the log has no entry ${next - 1}`)
  return next
}

interface FollowOptions {
  readonly signal: AbortSignal
  readonly heartbeat: number
  /** Whether the reader may still read. */
  readonly allowed: () => boolean
}

async function* follow(log: Log, from: number, { signal, heartbeat, allowed }: FollowOptions): AsyncGenerator<string> {
  yield `retry: ${RETRY}\n\n`
  for (let next = from; ; ) {
    const head = await log.covering(next + 1, heartbeat, signal)
    if (signal.aborted || !allowed()) return
    if (head === undefined) {
      yield ': nothing new\n\n'
      continue
    }
    while (next < head.size) {
      const entries = await log.store.entries(next, Math.min(head.size, next + PIECE))
      let piece = ''
      for (const entry of entries) {
        piece += `id: ${next}\ndata: ${JSON.stringify(await eventDocument(log, next, entry, false))}\n\n`
        next++
      }
      yield piece
      if (signal.aborted) return
    }
    yield `event: checkpoint\ndata: ${JSON.stringify({ size: head.size, checkpoint: head.note })}\n\n`
  }
}

/** Passes pieces on; `give up` when nobody takes one for `patience` ms. */
async function* hurried(pieces: AsyncGenerator<string>, patience: number, giveUp: () => void): AsyncGenerator<string> {
  for await (const piece of pieces) {
    const timer = setTimeout(giveUp, patience)
    try {
      yield piece
    } finally {
      clearTimeout(timer)
    }
  }
}
