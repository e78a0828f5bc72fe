/** Clients that begin and do not go on. They are opened first, left alone while everything else happens, and looked at in the end. */
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { check } from '../lane.ts'
import { dial } from './socket.ts'

interface Slow {
  readonly what: string
  /** Within which the server must have ended them, s. */
  readonly within: number
  readonly sockets: readonly Socket[]
  readonly ended: number[]
}

/** One byte a second of what `rest` repeats, for as long as it is let. */
async function trickle(
  url: string,
  what: string,
  count: number,
  within: number,
  begin: string | Uint8Array,
  rest: string,
): Promise<Slow> {
  const began = performance.now()
  const ended: number[] = []
  const sockets: Socket[] = []
  for (let i = 0; i < count; i++) {
    const socket = await dial(url)
    sockets.push(socket)
    socket.resume()
    socket.once('close', () => ended.push((performance.now() - began) / 1000))
    socket.write(begin)
    const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write(rest)), 1_000)
  }
  return { what, within, sockets, ended }
}

/** Asks for much, again and again, and reads nothing. */
async function deaf(url: string, count: number, path: string): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let i = 0; i < count; i++) {
    const socket = await dial(url)
    socket.pause()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(300))
    sockets.push(socket)
  }
  return sockets
}

export class SlowClients {
  readonly #slow: readonly Slow[]
  readonly #deaf: readonly Socket[]

  private constructor(slow: readonly Slow[], deafOnes: readonly Socket[]) {
    this.#slow = slow
    this.#deaf = deafOnes
  }

  /** `header` is the frame of a signed header of a batch whose items never come. */
  static async open(url: string, header: Uint8Array): Promise<SlowClients> {
    const post = (path: string, type: string, length: number) =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`
    const batch = Buffer.concat([
      Buffer.from(post('/test/v1/events/batch', 'application/vnd.treeline.batch', 2 ** 24)),
      header,
    ])
    return new SlowClients(
      [
        await trickle(url, 'heads', 100, 15, 'GET /healthz HTTP/1.1\r\nHost: x\r\n', 'X'),
        await trickle(url, 'nothing at all', 50, 125, '', ''),
        await trickle(url, 'events', 50, 65, post('/test/v1/events', 'application/json', 100_000), ' '),
        await trickle(
          url,
          'lines of a batch',
          50,
          65,
          post('/test/v1/events/batch', 'application/x-ndjson', 100_000),
          'x',
        ),
        await trickle(url, 'an item of a signed batch', 50, 65, Buffer.concat([batch, Buffer.of(0, 1, 0, 0)]), 'x'),
        // Four bytes of it are an item of no bytes: the answer is due then, and not when all of the body is there.
        await trickle(url, 'a signed batch that is refused', 50, 20, batch, '\0'),
      ],
      await deaf(url, 60, '/test/v1/events?limit=1000'),
    )
  }

  /** Waits for those whose time is up within `seconds` of now, and says of each whether the server ended it. */
  async judge(seconds: number): Promise<void> {
    const due = this.#slow.filter(({ within }) => within <= 65)
    const deadline = performance.now() + seconds * 1000
    while (performance.now() < deadline && due.some(({ sockets, ended }) => ended.length < sockets.length))
      await pause(200)
    for (const { what, within, sockets, ended } of due) {
      const last = Math.max(0, ...ended)
      check(
        `${sockets.length} slow senders of ${what} are ended within ${within} s (the last after ${last.toFixed(0)} s)`,
        ended.length === sockets.length && last <= within,
        `${ended.length} of ${sockets.length}`,
      )
    }
  }

  close(): void {
    for (const socket of [...this.#deaf, ...this.#slow.flatMap(({ sockets }) => sockets)]) socket.destroy()
  }
}
