/**
 * Answers to requests whose bodies are still coming in: too large, or refused before their end. They go out at once, and the client need not send the rest.
 * What comes nevertheless is read and forgotten for a while: a connection that is closed over unread bytes is reset, and the answer may be lost with it.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'

/** How long, ms, and how many bytes. */
const LINGER = 5_000
const MOST = 64 * 2 ** 20

const unread = new WeakSet<IncomingMessage>()

/** The connection is to be closed behind the answer to it. */
export const leaveUnread = (request: IncomingMessage): void => void unread.add(request)

/** Before the routes. */
export function answerEarly(app: FastifyInstance): void {
  app.addHook('onSend', ({ raw }, reply, answer, done) => {
    // Fastify says so itself where a body is too large.
    if (raw.complete || !(unread.has(raw) || reply.getHeader('connection') === 'close')) return done(null, answer)
    if (typeof answer !== 'string' && !Buffer.isBuffer(answer)) return done(null, answer)
    reply.header('connection', 'close').header('content-length', Buffer.byteLength(answer))
    done(null, Readable.from(answerFirst(answer, raw), { objectMode: false }))
  })
}

async function* answerFirst(answer: string | Buffer, request: IncomingMessage): AsyncGenerator<Buffer> {
  yield Buffer.from(answer)
  await readOn(request)
}

/** Behind an answer that has gone out, whose end closes the connection. */
export async function readOn(request: IncomingMessage): Promise<void> {
  await drained(request, MOST, LINGER)
}

/** Reads what is left for so many ms, at most so many bytes, and forgets it. Says whether it was all. */
export function drained(payload: Readable, most: number, ms: number): Promise<boolean> {
  if (payload.readableEnded || payload.destroyed) return Promise.resolve(true)
  return new Promise((resolve) => {
    let length = 0
    const stop = (whole: boolean) => {
      clearTimeout(timer)
      payload.off('data', count).off('end', end).off('error', end).off('close', end)
      payload.pause()
      resolve(whole)
    }
    const end = () => stop(true)
    const count = ({ length: more }: Buffer) => {
      length += more
      if (length > most) stop(false)
    }
    const timer = setTimeout(stop, ms, false)
    payload.on('data', count).once('end', end).once('error', end).once('close', end)
    payload.resume()
  })
}
