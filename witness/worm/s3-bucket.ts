/** Requests to one bucket: each with a limit of time, tried a bounded number of times, failing with one of our answers. */
import type { Readable } from 'node:stream'
import { addAbortSignal } from 'node:stream'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { TreelineError } from '../../src/core/errors.ts'
import { boundAnswers } from './s3-answers.ts'
import { isGone, s3Error } from './s3-errors.ts'
import { MAX_OBJECT_SIZE, type ObjectVersion } from './store.ts'

const ATTEMPTS = 3
/** The slowest line that a large object is still carried over, bytes/ms. */
const SLOWEST = 256

export interface S3Options {
  /** How long one try of a request without a body may take, ms. */
  readonly timeout?: number
}

export interface Body {
  readonly length: number
  /** Together exactly `length` bytes. Throws UNREACHABLE. To be read to its end or returned from, so that the connection is free again. */
  readonly chunks: AsyncIterable<Uint8Array>
}

export class S3Bucket {
  readonly name: string
  readonly #client: S3Client
  readonly #timeout: number

  /** Endpoint, region and credentials are those of the SDK's environment. */
  constructor(name: string, { timeout = 20_000 }: S3Options = {}) {
    this.name = name
    this.#timeout = timeout
    this.#client = new S3Client({
      // Servers of others than AWS have no name for each bucket.
      forcePathStyle: (process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL) !== undefined,
      maxAttempts: ATTEMPTS,
      // Content-MD5, which every server with Object Lock knows, does it; the newer sums many do not.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: timeout, requestTimeout: timeout, throwOnRequestTimeout: true },
    })
    boundAnswers(this.#client, timeout)
  }

  /** `length`: of the body that is sent, bytes. Throws an answer that begins with `step`. */
  async ask<T>(
    step: string,
    request: (client: S3Client, options: { requestTimeout: number }) => Promise<T>,
    length = 0,
  ): Promise<T> {
    try {
      return await this.askRaw(request, length)
    } catch (error) {
      throw s3Error(error, `${this.name}: ${step}`)
    }
  }

  /** The same, throwing what the SDK throws. */
  async askRaw<T>(
    request: (client: S3Client, options: { requestTimeout: number }) => Promise<T>,
    length = 0,
  ): Promise<T> {
    return await request(this.#client, { requestTimeout: this.#limit(length) })
  }

  /** Of an object whose key is whole. Throws WORM_BROKEN when it is gone or longer than MAX_OBJECT_SIZE. */
  async open({ key, version }: ObjectVersion): Promise<Body> {
    const { Body: body, ContentLength: length } = await this.ask(`get ${key}`, async (client, options) => {
      try {
        return await client.send(new GetObjectCommand({ Bucket: this.name, Key: key, VersionId: version }), options)
      } catch (error) {
        throw isGone(error) ? new TreelineError('WORM_BROKEN', `${key} is gone (version ${version})`) : error
      }
    })
    const stream = body as Readable
    if (length === undefined || length > MAX_OBJECT_SIZE) {
      stream.destroy()
      if (length === undefined) throw new TreelineError('UNREACHABLE', `${key} came without its length`)
      throw new TreelineError('WORM_BROKEN', `${key} has ${length} bytes`)
    }
    return { length, chunks: this.#chunks(key, stream, length) }
  }

  async *#chunks(key: string, stream: Readable, length: number): AsyncIterable<Uint8Array> {
    let rest = length
    try {
      for await (const chunk of addAbortSignal(AbortSignal.timeout(this.#limit(length)), stream)) {
        rest -= chunk.length
        if (rest < 0) break
        yield chunk
      }
    } catch (error) {
      throw s3Error(error, `${this.name}: get ${key}`)
    } finally {
      stream.destroy()
    }
    if (rest !== 0) throw new TreelineError('UNREACHABLE', `${key}: not the ${length} bytes that were announced`)
  }

  #limit(length: number): number {
    return this.#timeout + Math.ceil(length / SLOWEST)
  }

  close(): void {
    this.#client.destroy()
  }
}
