/** A witness in this process over a real folder, with a clock that a test sets. */
import { createPrivateKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Cosigner } from '../../witness/cosigner.ts'
import { witnessFiles } from '../../witness/folder.ts'
import { buildWitnessServer } from '../../witness/http.ts'
import { parseLogList } from '../../witness/log-list.ts'
import { WitnessMetrics } from '../../witness/metrics.ts'
import { createState, WitnessState } from '../../witness/state.ts'
import { Witness } from '../../witness/witness.ts'
import { temporaryFolder } from '../support/server.ts'

export interface TestWitness {
  readonly url: string
  readonly data: string
  readonly cosigner: Cosigner
  readonly failures: unknown[]
  state: WitnessState
  /** ms since the Unix epoch. */
  clock: { now: number }
  add(body: string | Uint8Array): Promise<Response>
  get(path: string): Promise<Response>
  restart(): Promise<void>
}

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

interface Options {
  readonly name: string
  /** Of each log, its verifier keys. */
  readonly logs: readonly (readonly string[])[]
  /** Of the Ed25519 key, hex. */
  readonly seed?: string
  readonly mlDsa?: boolean
  readonly now?: number
}

export async function startWitness(
  t: { teardown(f: () => unknown): unknown },
  { name, logs: listed, seed, mlDsa = false, now = Date.now() }: Options,
): Promise<TestWitness> {
  const data = temporaryFolder(t)
  if (seed !== undefined) {
    const key = createPrivateKey({
      key: Buffer.concat([PKCS8_PREFIX, Buffer.from(seed, 'hex')]),
      format: 'der',
      type: 'pkcs8',
    })
    writeFileSync(join(data, 'witness.key'), key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  }
  const algorithms = [...(seed === undefined ? ['ed25519' as const] : []), ...(mlDsa ? ['ml-dsa-44' as const] : [])]
  const cosigner = Cosigner.create(data, name, algorithms)
  createState(witnessFiles(data).state)
  const clock = { now }
  const failures: unknown[] = []
  const logs = parseLogList(Buffer.from(JSON.stringify({ logs: listed.map((vkeys) => ({ vkeys })) })), cosigner.keys)
  const open = async () => {
    const state = WitnessState.open(witnessFiles(data).state)
    const origins = [...logs.keys()]
    const app = await buildWitnessServer({
      witness: new Witness({ state, cosigner, find: (origin) => logs.get(origin), now: () => clock.now }),
      state,
      origins,
      metrics: new WitnessMetrics(state, origins),
      onFailure: (error) => failures.push(error),
    })
    return { state, app, url: await app.listen({ host: '127.0.0.1', port: 0 }) }
  }
  let opened = await open()
  const close = async () => {
    opened.app.server.closeAllConnections()
    await opened.app.close()
    opened.state.close()
  }
  t.teardown(close)
  return {
    data,
    cosigner,
    failures,
    clock,
    get url() {
      return opened.url
    },
    get state() {
      return opened.state
    },
    add: (body) => fetch(`${opened.url}/add-checkpoint`, { method: 'POST', body: new Uint8Array(Buffer.from(body)) }),
    get: (path) => fetch(`${opened.url}${path}`),
    async restart() {
      await close()
      opened = await open()
    },
  }
}
