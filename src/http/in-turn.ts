/**
 * One request of a connection after the other. HTTP lets a client send the next ones before it has an answer, and Node would begin with all that came in
 * one packet: a thousand lists at once, whose answers wait in memory for a reader who need not read. Nothing is begun here before the answer to what
 * came before has gone out.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

type Listener = (request: IncomingMessage, response: ServerResponse) => void
type Exchange = readonly [IncomingMessage, ServerResponse]

/** What waits, by connection; nothing where nobody is being answered. */
const WAITING = Symbol('waiting')
type Connection = Socket & { [WAITING]?: Exchange[] | undefined }

/** Puts itself before whatever listens to requests. */
export function answerInTurn(server: Server): void {
  const [listener] = server.listeners('request') as Listener[]
  const begin = (connection: Connection, [request, response]: Exchange): void => {
    response.once('close', () => {
      const next = connection[WAITING]?.shift()
      if (next === undefined || connection.destroyed) connection[WAITING] = undefined
      else begin(connection, next)
    })
    if (isAmbiguous(request)) refuse(response)
    else listener!(request, response)
  }
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = request.socket as Connection
    if (connection[WAITING] !== undefined) {
      connection[WAITING].push([request, response])
      return
    }
    connection[WAITING] = []
    begin(connection, [request, response])
  })
}

/** What Node takes and RFC 9112 does not: another version (2.3), or two hosts (3.2), of which a proxy may have believed the other one. */
function isAmbiguous({ httpVersionMajor, rawHeaders }: IncomingMessage): boolean {
  if (httpVersionMajor !== 1) return true
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts > 1
}

function refuse(response: ServerResponse): void {
  const body = JSON.stringify({ type: 'about:blank', title: 'Bad Request', status: 400 })
  response.writeHead(400, { 'content-type': 'application/problem+json', connection: 'close' }).end(body)
}
