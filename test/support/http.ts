/** Requests as they are written: fetch and URL would tidy the paths that tests are about. */
import { type IncomingHttpHeaders, request } from 'node:http'
import { checkAnswer } from './validate.ts'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Every answer must be one that the API description allows. */
export function ask(
  url: string,
  path: string,
  {
    method = 'GET',
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string | Uint8Array } = {},
): Promise<HttpAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, method, headers, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const { statusCode: status = 0, headers } = answer
        const bytes = Buffer.concat(parts)
        try {
          checkAnswer(method, path, status, headers['content-type'], bytes)
        } catch (error) {
          return reject(error)
        }
        resolve({ status, headers, body: bytes })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

export const post = (
  url: string,
  path: string,
  body: string | Uint8Array,
  type = 'application/json',
): Promise<HttpAnswer> => ask(url, path, { method: 'POST', headers: { 'content-type': type }, body })

// biome-ignore lint/suspicious/noExplicitAny: documents of the service, whose members the tests are about
export const json = (answer: HttpAnswer): any => JSON.parse(answer.body.toString())
