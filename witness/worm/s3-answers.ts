/** Answers that are read as a whole: listings, locks, errors. The SDK reads them to their end, however far off that is and however slowly it comes. */
import { addAbortSignal, Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { TreelineError } from '../../src/core/errors.ts'

/** Bytes. The longest is a page of a listing: a thousand versions with their names. */
export const MAX_ANSWER = 4 * 2 ** 20

interface Response {
  readonly statusCode: number
  body: Readable
}

/** All answers but objects have at most MAX_ANSWER bytes, and `timeout` ms for them. What is more fails with UNREACHABLE. */
export function boundAnswers(client: S3Client, timeout: number): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (request) => {
        const result = await next(request)
        const response = result.response as Response
        if (commandName !== 'GetObjectCommand' || response.statusCode >= 300)
          response.body = Readable.from([await whole(response.body, timeout)])
        return result
      },
    // Nearest to the wire.
    { step: 'deserialize', priority: 'low', name: 'boundAnswers' },
  )
}

async function whole(body: Readable, timeout: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of addAbortSignal(AbortSignal.timeout(timeout), body) as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > MAX_ANSWER) throw new TreelineError('UNREACHABLE', `an answer of more than ${MAX_ANSWER} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
