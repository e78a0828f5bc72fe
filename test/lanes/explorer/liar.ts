/** Stands before a log's server and changes one kind of answer: what the page must see through. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Answer {
  readonly path: string
  readonly body: Buffer
}

/** The changed body, or undefined to leave it. */
export type Lie = (answer: Answer) => string | Buffer | undefined

export class Liar {
  readonly url: string
  /** Whose answers it passes on: another one in the middle shows the page two servers under one address. */
  upstream: string
  /** Undefined: everything is passed on as it is. */
  lie: Lie | undefined
  /** Paths that were asked for, since the last time that somebody looked. */
  asked: string[] = []
  readonly #server: Server

  private constructor(server: Server, upstream: string) {
    this.upstream = upstream
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async before(honest: string): Promise<Liar> {
    let liar: Liar
    const server = createServer(async (request, response) => {
      const path = request.url ?? '/'
      liar.asked.push(path)
      // No coding: a lie is easier told in the clear.
      const headers = new Headers({ 'accept-encoding': 'identity' })
      if (request.headers.authorization !== undefined) headers.set('authorization', request.headers.authorization)
      const answer = await fetch(liar.upstream + path, { headers })
      const body = Buffer.from(await answer.arrayBuffer())
      for (const [name, value] of answer.headers)
        if (!/^(connection|keep-alive|transfer-encoding|content-length|content-encoding)$/.test(name))
          response.setHeader(name, value)
      const told = liar.lie?.({ path, body }) ?? body
      response.statusCode = answer.status
      response.end(told)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    liar = new Liar(server, honest)
    return liar
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

interface Listed {
  index: number
  entry: string
  type: string | null
}

/** Rewrites the events of each list, and single events. */
const ofEvents =
  (change: (events: Listed[]) => Listed[]): Lie =>
  ({ path, body }) => {
    if (!/\/v1\/events[/?]/.test(path)) return undefined
    const document = JSON.parse(body.toString()) as { events?: Listed[] } & Listed
    if (document.events === undefined) return JSON.stringify(change([document])[0])
    return JSON.stringify({ ...document, events: change(document.events) })
  }

/** One bit of the bytes of one entry. */
export const alters = (index: number): Lie =>
  ofEvents((events) =>
    events.map((event) => {
      if (event.index !== index) return event
      const bytes = Buffer.from(event.entry, 'base64')
      // In the digest of the document: the entry stays one that can be read.
      bytes[bytes.length - 20]! ^= 1
      return { ...event, entry: bytes.toString('base64') }
    }),
  )

/** Each of two entries in the place of the other. */
export const swaps = (a: number, b: number): Lie =>
  ofEvents((events) =>
    events.map((event) =>
      event.index === a ? { ...event, index: b } : event.index === b ? { ...event, index: a } : event,
    ),
  )

/** Says something else beside the bytes, which it leaves alone. */
export const misdescribes = (index: number): Lie =>
  ofEvents((events) =>
    events.map((event) => (event.index === index ? { ...event, type: 'urn:example:harmless' } : event)),
  )

/** Serves one answer for ever. */
export const serves =
  (suffix: string, told: string): Lie =>
  ({ path }) =>
    path.endsWith(suffix) ? told : undefined

/** A key that is not the log's. */
export const namesKey =
  (vkey: string): Lie =>
  ({ path, body }) =>
    path === '/v1/logs'
      ? JSON.stringify((JSON.parse(body.toString()) as object[]).map((log) => ({ ...log, vkey })))
      : undefined

/** One byte of every bundle of entries. */
export const altersBundles: Lie = ({ path, body }) => {
  if (!path.includes('/tile/entries/')) return undefined
  const told = Buffer.from(body)
  told[told.length - 10]! ^= 1
  return told
}

/** One event of every answer about lineage gone, or one edge, or one more edge. */
export const aboutLineage =
  (
    change: (document: {
      events: { index: number }[]
      edges: { index: number; artifact: string; role: string; log: string }[]
    }) => void,
  ): Lie =>
  ({ path, body }) => {
    if (!path.includes('/v1/lineage/')) return undefined
    const document = JSON.parse(body.toString()) as Parameters<typeof change>[0]
    change(document)
    return JSON.stringify(document)
  }
