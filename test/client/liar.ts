/** A server of events that may lie: a real log, and a proxy before it that changes what comes back. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { toUtf8 } from '../../src/core/bytes.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, envelope, statement } from '../support/actors.ts'
import { post } from '../support/http.ts'
import { makeEventLog, startServer, temporaryFolder } from '../support/server.ts'

type Test = { teardown(f: () => unknown): unknown }
/** What to answer instead; undefined lets the answer through, null is a 404. */
export type Lie = (
  path: string,
  body: Buffer,
) => Uint8Array | string | undefined | null | { readonly status: number; readonly body: object }

export interface Liar {
  readonly url: string
  lie: Lie | undefined
  /** Paths that were asked for. */
  readonly asked: string[]
}

export async function liarBefore(t: Test, target: string): Promise<Liar> {
  const liar: { url: string; lie: Lie | undefined; asked: string[] } = { url: '', lie: undefined, asked: [] }
  const server = createServer((incoming, outgoing) => {
    const { method, headers, url: path = '/' } = incoming
    liar.asked.push(path)
    const onward = request(new URL(target), { method, headers, path, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const body = Buffer.concat(parts)
        const { 'content-length': _, 'transfer-encoding': __, ...kept } = answer.headers
        const said = liar.lie?.(path, body)
        if (said === null) outgoing.writeHead(404).end()
        else if (typeof said === 'object' && 'status' in said)
          outgoing.writeHead(said.status).end(JSON.stringify(said.body))
        else outgoing.writeHead(said === undefined ? (answer.statusCode ?? 500) : 200, kept).end(said ?? body)
      })
    })
    onward.on('error', () => outgoing.destroy())
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  liar.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return liar
}

export const signers = [new Actor(), new Actor()]
export const administrator = new Actor()
export const digestOf = (number: number): string => number.toString(16).padStart(64, '0')

/** The event `i` of a history: signed by one of two, of one of three types, made of the artifact before it. */
export const eventOf = (i: number): string =>
  envelope(
    'application/vnd.in-toto+json',
    {
      ...statement(`step ${i}`, { consumed: [{ digest: { sha256: digestOf(i - 1) } }] }, `urn:treeline:t${i % 3}:v1`),
      subject: [{ name: `step ${i}`, digest: { sha256: digestOf(i) } }],
    },
    [signers[i % 2]!],
  )

/** A log of `count` events behind its genesis, served by itself and behind a liar. */
export async function lyingLog(t: Test, count: number, change: object = {}) {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(
    data,
    [administrator],
    signers.map((actor) => ({ actor })),
    { change },
  )
  const server = await startServer(data, { publishInterval: 5 })
  t.teardown(() => server.close())
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  const { log } = server.opened.logs.get('test')!
  const liar = await liarBefore(t, server.url)
  const submit = async (events: readonly string[]): Promise<void> => {
    const answer = await post(server.url, '/test/v1/events/batch', events.join('\n'), 'application/x-ndjson')
    if (answer.body.toString().includes('"problem"')) throw new Error(answer.body.toString().slice(0, 500))
    while (log.published?.size !== log.head.tree.size) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await submit(Array.from({ length: count }, (_, i) => eventOf(i + 1)))
  return { data, vkey, trust, server, log, liar, submit, honest: `${server.url}/test`, url: `${liar.url}/test` }
}
