/** Requests as they are written: fetch and URL would tidy the paths that tests are about. */
import { type IncomingHttpHeaders, request } from 'node:http'
import { checkAnswer } from './validate.ts'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface HttpQuestion {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

/** A question as it is written, without a content type unless one is given. */
export function exchange(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body }: HttpQuestion = {},
): Promise<HttpAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, method, headers, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** Asks a log. Every answer must be one that the API description allows. */
export async function ask(url: string, path: string, question: HttpQuestion = {}): Promise<HttpAnswer> {
  const answer = await exchange(url, path, question)
  checkAnswer(question.method ?? 'GET', path, answer.status, answer.headers['content-type'], answer.body)
  return answer
}

export const post = (
  url: string,
  path: string,
  body: string | Uint8Array,
  type = 'application/json',
): Promise<HttpAnswer> => ask(url, path, { method: 'POST', headers: { 'content-type': type }, body })

// biome-ignore lint/suspicious/noExplicitAny: documents of the service, whose members the tests are about
export const json = (answer: HttpAnswer): any => JSON.parse(answer.body.toString())
