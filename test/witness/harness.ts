/** A witness over a real folder and real HTTP, with the keys of the vectors and a clock that stands still. */
import { createPrivateKey } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { concat, fromHex, toUtf8 } from '../../src/core/bytes.ts'
import { loadCosigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { buildWitnessServer, closeWitnessServer, type Logger } from '../../witness/http.ts'
import { parseLogList } from '../../witness/log-list.ts'
import { Metrics } from '../../witness/metrics.ts'
import { writeNewFile } from '../../witness/secret-file.ts'
import { createState, type WitnessState } from '../../witness/state.ts'
import { type CosignedStore, Witness } from '../../witness/witness.ts'
import { exchange, type HttpQuestion } from '../support/http.ts'
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }

/** Seconds; what the vectors were signed at. */
export const VECTOR_TIME = 1767225600

/** DER of a PKCS#8 private key before its seed, RFC 8410 and RFC 9881. */
const ED25519_DER = fromHex('302e020100300506032b657004220420')!
const ML_DSA_44_DER = fromHex('3034020100300b060960864801650304031104228020')!

function pemOf(prefix: Uint8Array, seedHex: string): string | Buffer {
  const der = Buffer.from(concat(prefix, fromHex(seedHex)!))
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' })
}

export interface FolderOptions {
  readonly name?: string
  readonly mlDsa?: boolean
}

/** What `init` makes, with keys that the vectors name: w1's, and the seed of w3 for ML-DSA. */
export function makeVectorFolder(data: string, { name = keys.keys.w1.name, mlDsa = false }: FolderOptions = {}): void {
  writeNewFile(join(data, 'witness.key'), pemOf(ED25519_DER, keys.keys.w1.seed_hex))
  if (mlDsa) writeNewFile(join(data, 'witness-ml-dsa.key'), pemOf(ML_DSA_44_DER, keys.keys.w3.seed_hex))
  createState(join(data, 'witness.db'), name, 1e9)
}

export interface TestWitness {
  readonly url: string
  readonly state: WitnessState
  /** ms */
  readonly clock: { now: number }
  readonly logged: { readonly line: object; readonly message: string }[]
  close(): Promise<void>
}

export async function startWitness(
  data: string,
  vkeys: readonly (string | readonly string[])[],
  {
    now = VECTOR_TIME * 1000,
    wrap = (store) => store,
  }: { now?: number; wrap?: (store: CosignedStore) => CosignedStore } = {},
): Promise<TestWitness> {
  const state = openState(data)
  const cosigner = loadCosigner(data, state.name)
  const list = { logs: vkeys.map((vkey) => ({ vkeys: [vkey].flat() })) }
  const logs = parseLogList(toUtf8(JSON.stringify(list)), cosigner.keys)
  const clock = { now }
  const logged: { line: object; message: string }[] = []
  const write = (line: object, message: string) => void logged.push({ line, message })
  const logger: Logger = { info: write, warn: write, error: write }
  const witness = new Witness({ state: wrap(state), logs, cosigner, now: () => clock.now })
  const app = buildWitnessServer({ witness, state, metrics: new Metrics(state), logger })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url,
    state,
    clock,
    logged,
    async close() {
      await closeWitnessServer(app, 2_000)
      state.close()
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A request as it is written, and its answer as text. */
export async function send(url: string, path: string, question?: HttpQuestion): Promise<Answer> {
  const { status, headers, body } = await exchange(url, path, question)
  return { status, headers, body: body.toString() }
}

export const add = (url: string, body: string | Uint8Array): Promise<Answer> =>
  send(url, '/add-checkpoint', { method: 'POST', body })
