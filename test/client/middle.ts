/** A server between a client and the real one: it may delay, lie, break off, or do something at an exact point. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Question {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Answer {
  readonly status: number
  readonly body: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

/** Undefined breaks the connection off. */
type Step = (
  question: Question,
  forward: () => Promise<Answer>,
  response: ServerResponse,
) => Promise<Answer | undefined>

export async function middle(
  t: { teardown(f: () => unknown): unknown },
  real: string,
  step: Step,
): Promise<{ readonly url: string; readonly questions: Question[] }> {
  const questions: Question[] = []
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const { method = 'GET', url = '/', headers } = request
    const question = { method, path: url, headers, body: Buffer.concat(parts) }
    questions.push(question)
    const forward = async (): Promise<Answer> => {
      const init =
        method === 'GET' ? {} : { body: new Uint8Array(question.body), headers: { 'content-type': 'application/json' } }
      const answer = await fetch(`${real}${url}`, { method, ...init })
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
    }
    const answer = await step(question, forward, response)
    if (answer === undefined) return void response.destroy()
    response.writeHead(answer.status, answer.headers ?? {}).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, questions }
}

export const problem = (status: number, code: string, detail = 'because'): Answer => ({
  status,
  body: JSON.stringify({ type: `urn:treeline:problem:${code}`, title: 'title', status, code, detail }),
})
