/** A line to a server that can be made to stall, break, or lose an answer. */
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'

/** Nothing set: a good line. A connection keeps those that were set when it was made. */
export interface Faults {
  /** Breaks a connection after so many bytes to the server. */
  cutAfter?: number
  /** Carries no more than so many bytes back from the server, and stays open. */
  stallAfter?: number
  /** Breaks a connection at the first byte of an answer to this method; counts down. */
  loseAnswers?: { readonly method: string; left: number }
  /** Called when one of these breaks a connection. */
  onBreak?: () => void
}

export class BadLine {
  readonly url: string
  faults: Faults = {}
  readonly #server: Server

  private constructor(server: Server, url: string) {
    this.#server = server
    this.url = url
  }

  static async to(url: string): Promise<BadLine> {
    const { hostname, port } = new URL(url)
    const server = createServer({ pauseOnConnect: true }, (near) => {
      const { faults } = line
      const far = connect(Number(port), hostname)
      const end = () => {
        near.destroy()
        far.destroy()
      }
      for (const socket of [near, far]) socket.on('error', end).on('close', end)
      let [sent, received, method] = [0, 0, '']
      near.on('data', (data) => {
        const [, verb] = /^([A-Z]+) \//.exec(data.toString('latin1', 0, 16)) ?? []
        if (verb !== undefined) method = verb
        const rest = (faults.cutAfter ?? Number.POSITIVE_INFINITY) - sent
        sent += data.length
        if (data.length < rest) far.write(data)
        else {
          far.write(data.subarray(0, Math.max(rest, 0)), end)
          faults.onBreak?.()
        }
      })
      far.on('data', (data) => {
        const lose = faults.loseAnswers
        // Not at the word that the body may be sent.
        const isAnswer = !data.toString('latin1', 0, 12).endsWith(' 100')
        if (lose !== undefined && lose.left > 0 && method === lose.method && isAnswer) {
          lose.left--
          end()
          faults.onBreak?.()
          return
        }
        const rest = (faults.stallAfter ?? Number.POSITIVE_INFINITY) - received
        received += data.length
        if (rest > 0) near.write(data.subarray(0, Math.min(rest, data.length)))
      })
      near.resume()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const line: BadLine = new BadLine(server, `http://127.0.0.1:${(server.address() as { port: number }).port}`)
    return line
  }

  close(): void {
    this.#server.close()
  }
}
