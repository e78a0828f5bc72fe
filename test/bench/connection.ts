/** HTTP over a socket, with as little as a load generator needs. */
import { connect, type Socket } from 'node:net'

export function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

/** Reads one response after the other: just enough HTTP to find where one ends. */
export class Answers {
  #held: Buffer = Buffer.alloc(0)
  #waiting: (() => void) | undefined
  #failed: Error | undefined

  constructor(socket: Socket) {
    socket.on('data', (chunk) => {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
      this.#waiting?.()
    })
    socket.on('close', () => {
      this.#failed ??= new Error('the server closed the connection')
      this.#waiting?.()
    })
    socket.on('error', (error) => {
      this.#failed = error
    })
  }

  async next(): Promise<{ status: string; length: number }> {
    for (;;) {
      const answer = this.#take()
      if (answer !== undefined) return answer
      if (this.#failed !== undefined) throw this.#failed
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }

  #take(): { status: string; length: number } | undefined {
    const end = this.#held.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const head = this.#held.toString('latin1', 0, end).toLowerCase()
    const status = head.slice(9, 12)
    const fixed = /content-length: (\d+)/.exec(head)
    let total: number
    if (fixed !== null) total = end + 4 + Number(fixed[1])
    else if (head.includes('transfer-encoding: chunked')) {
      // A chunk of NDJSON or gzip could hold these bytes too, but only the last one is followed by nothing.
      const last = this.#held.indexOf('\r\n0\r\n\r\n', end)
      if (last < 0 || last + 7 !== this.#held.length) return undefined
      total = last + 7
    } else total = end + 4
    if (this.#held.length < total) return undefined
    this.#held = this.#held.subarray(total)
    return { status, length: total }
  }
}
