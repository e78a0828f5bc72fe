/**
 * Reads a log that may be anything: an honest one, a liar, or something that never ends. Every answer is bounded in size and time, redirects
 * are not followed, and nothing that comes back is believed here.
 */
import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { addendumPath } from '../src/core/addenda.ts'
import { fromBase64, fromUtf8 } from '../src/core/bytes.ts'
import { TreelineError } from '../src/core/errors.ts'
import { HASH_SIZE, type Hash } from '../src/core/merkle.ts'
import { MAX_NOTE_SIZE } from '../src/core/note.ts'
import { formatTilePath, MAX_ENTRY_SIZE, parseBundle, TILE_WIDTH } from '../src/core/tile.ts'
import { ahead } from './ahead.ts'

const MAX_BUNDLE = TILE_WIDTH * (MAX_ENTRY_SIZE + 2)
const MAX_ADDENDUM = 4 * 2 ** 20
/** How many documents a caller should have under way at once, or answered and waiting: 64 MiB at most. */
export const DOCUMENTS_AHEAD = 16
/** Requests for bundles that are under way at once, or answered and waiting: 17 MB each at most. */
const BUNDLES_AHEAD = 2
/** Of one answer, ms. */
const TIMEOUT = 20_000

/** The log did not give what was asked for, or gave something else: nothing is proved against it. */
const unverifiable = (why: string, cause?: unknown): TreelineError =>
  new TreelineError('UNVERIFIABLE', why, {}, { cause })

const agentFor = (most: number): Agent =>
  new Agent({
    connect: { timeout: 5_000 },
    headersTimeout: TIMEOUT,
    bodyTimeout: TIMEOUT,
    maxResponseSize: most + 1,
  })

/** Indexes of the bundles that hold the entries [from, to). */
function* bundlesOf(from: number, to: number): Generator<number> {
  for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < to; index++) yield index
}

export class LogReader {
  readonly #url: string
  readonly #tokenFile: string | undefined
  readonly #agent = agentFor(MAX_BUNDLE)
  /** Of many documents at once no answer may take more memory than a document. */
  readonly #documents = agentFor(MAX_ADDENDUM)

  constructor(url: string, tokenFile?: string) {
    this.#url = url
    this.#tokenFile = tokenFile
  }

  /** The published note. Throws UNVERIFIABLE, as all below. */
  async checkpoint(): Promise<Uint8Array> {
    return this.#need('checkpoint', MAX_NOTE_SIZE)
  }

  /** The checkpoint that another witness shows of an origin, or undefined when it never cosigned one. */
  async elsewhere(prefix: string, hash: string): Promise<Uint8Array | undefined> {
    return this.#get(`${prefix.replace(/\/$/, '')}/${hash}/checkpoint`, MAX_NOTE_SIZE, false)
  }

  /** The entries [from, to) of a tree of `size`. */
  async *entries(from: number, to: number, size: number): AsyncGenerator<Uint8Array> {
    for await (const entries of this.bundles(from, to, size)) yield* entries
  }

  /** The entries [from, to) of a tree of `size`, cut where bundles end. */
  bundles(from: number, to: number, size: number): AsyncGenerator<Uint8Array[]> {
    return ahead(bundlesOf(from, to), BUNDLES_AHEAD, async (index) => {
      const first = index * TILE_WIDTH
      const bundle = await this.#bundle(index, Math.min(TILE_WIDTH, size - first))
      return bundle.slice(Math.max(0, from - first), Math.min(TILE_WIDTH, to - first))
    })
  }

  async #bundle(index: number, width: number): Promise<Uint8Array[]> {
    const path = (wide: number) => formatTilePath({ level: 'entries', index, width: wide })
    // A partial bundle may be gone once the full one is there.
    const bytes =
      (await this.#get(`${this.#url}/${path(width)}`, MAX_BUNDLE, true)) ??
      (await this.#need(path(TILE_WIDTH), MAX_BUNDLE))
    let entries: Uint8Array[]
    try {
      entries = parseBundle(bytes)
    } catch (error) {
      throw unverifiable(`bundle ${index} cannot be read: ${(error as Error).message}`, error)
    }
    if (entries.length < width) throw unverifiable(`bundle ${index} has ${entries.length} entries, not ${width}`)
    return entries
  }

  /** The document behind an entry; undefined when the log says that it is not there. */
  addendum(digest: Hash): Promise<Uint8Array | undefined> {
    return this.#get(`${this.#url}/${addendumPath(digest)}`, MAX_ADDENDUM, true, this.#documents)
  }

  /** A consistency proof as logs of ours give it; undefined where the log has no such route or does not prove it. */
  async consistency(from: bigint, to: bigint): Promise<Hash[] | undefined> {
    const bytes = await this.#get(`${this.#url}/v1/proofs/consistency?from=${from}&to=${to}`, 16_384, true)
    try {
      const { hashes } = JSON.parse(fromUtf8(bytes ?? new Uint8Array(0)) ?? '') as { hashes?: unknown }
      if (!Array.isArray(hashes) || hashes.length > 64) return undefined
      const proof = hashes.map((hash) => fromBase64(String(hash)))
      return proof.every((hash) => hash?.length === HASH_SIZE) ? (proof as Hash[]) : undefined
    } catch {
      return undefined
    }
  }

  async #need(path: string, most: number): Promise<Uint8Array> {
    const bytes = await this.#get(`${this.#url}/${path}`, most, true)
    if (bytes === undefined) throw unverifiable(`the log does not give ${path}`)
    return bytes
  }

  /** Undefined for 404 and 410. */
  async #get(url: string, most: number, ofLog: boolean, agent = this.#agent): Promise<Uint8Array | undefined> {
    const token = ofLog && this.#tokenFile ? readFileSync(this.#tokenFile, 'utf8').trim() : undefined
    try {
      const { statusCode, body } = await request(url, {
        dispatcher: agent,
        signal: AbortSignal.timeout(TIMEOUT),
        headers: { 'accept-encoding': 'identity', ...(token && { authorization: `Bearer ${token}` }) },
      })
      if (statusCode === 404 || statusCode === 410) return void (await body.dump())
      if (statusCode !== 200) {
        await body.dump({ limit: 16_384 })
        throw new Error(`status ${statusCode}`)
      }
      const bytes = new Uint8Array(await body.arrayBuffer())
      if (bytes.length > most) throw new Error(`more than ${most} bytes`)
      return bytes
    } catch (error) {
      throw unverifiable(`${url} does not answer as it should: ${(error as Error).message}`, error)
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#agent.destroy(), this.#documents.destroy()])
  }
}
