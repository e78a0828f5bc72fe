/** What somebody can do to a server who does not have to speak HTTP. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** For the first byte, ms: others keep the server busy, and a connection that found its queue full comes again after seconds. */
const FIRST = 30_000

export interface Answered {
  readonly text: string
  /** Status of each answer, in their order. */
  readonly statuses: readonly number[]
  /** Whether the server ended the connection by itself. */
  readonly closed: boolean
}

export async function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Sends bytes, and takes what comes until the server closes, nothing has come for `quiet` ms, or `enough` answers are there. */
export async function exchangeBytes(
  url: string,
  bytes: string | Uint8Array,
  { quiet = 400, enough = Number.POSITIVE_INFINITY }: { quiet?: number; enough?: number } = {},
): Promise<Answered> {
  const socket = await dial(url)
  const parts: Buffer[] = []
  let closed = false
  await new Promise<void>((resolve) => {
    let timer = setTimeout(resolve, FIRST)
    let seen = 0
    socket.on('data', (part) => {
      parts.push(part)
      seen += part.toString('latin1').split('HTTP/1.1 ').length - 1
      clearTimeout(timer)
      timer = setTimeout(resolve, seen >= enough ? 0 : quiet)
    })
    socket.on('close', () => {
      closed = true
      clearTimeout(timer)
      resolve()
    })
    socket.write(bytes)
  })
  socket.destroy()
  const text = Buffer.concat(parts).toString('latin1')
  return { text, statuses: [...text.matchAll(/HTTP\/1\.1 ([0-9]{3}) /g)].map(([, code]) => Number(code)), closed }
}
