/** A server in this process over a real data folder, with logs made as `treeline-server init` makes them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { type OpenLogs, openLogs } from '../../cmd/server/open-logs.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import type { WitnessPolicy } from '../../src/core/witness-policy.ts'
import { closeServer } from '../../src/http/app.ts'
import { Metrics } from '../../src/http/metrics.ts'
import { buildServer, type ServerOptions } from '../../src/http/server.ts'
import { type Clocks, systemClocks } from '../../src/log/clock.ts'
import { genesisOf } from '../../src/log/genesis.ts'
import { createLog, prepareLog } from '../../src/log/init.ts'
import type { Keeper } from '../../src/log/keeper.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import type { QueueLimits } from '../../src/log/sequencer.ts'
import type { Store } from '../../src/store/store.ts'
import { type Actor, policyDocument, type SignerRule, signedPolicy } from './actors.ts'

export const ORIGIN = 'log.example/test'

export function temporaryFolder(t: { teardown(f: () => unknown): unknown }): string {
  const folder = mkdtempSync(join(tmpdir(), 'treeline-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function makeRawLog(data: string, name = 'raw', origin = `log.example/${name}`): Promise<string> {
  const { files, signer } = prepareLog(data, name, origin, 'raw')
  await createLog(files, signer, 'raw')
  return formatVkey(signer.key)
}

export async function makeEventLog(
  data: string,
  administrators: readonly Actor[],
  signers: readonly SignerRule[],
  {
    name = 'test',
    origin = ORIGIN,
    change = {},
    succeeded,
  }: { name?: string; origin?: string; change?: object; succeeded?: string } = {},
): Promise<{ vkey: string; document: Record<string, unknown> }> {
  const { files, signer } = prepareLog(data, name, origin, 'events')
  const vkey = formatVkey(signer.key)
  const document = policyDocument(origin, vkey, administrators, signers, change)
  const policy = toUtf8(signedPolicy(document, administrators))
  await createLog(
    files,
    signer,
    'events',
    await genesisOf(data, policy, vkey, nativeVerify, succeeded === undefined ? undefined : toUtf8(succeeded)),
  )
  return { vkey, document }
}

interface TestServer {
  readonly url: string
  readonly app: FastifyInstance
  readonly opened: OpenLogs
  readonly failures: unknown[]
  readonly notices: string[]
  close(): Promise<void>
}

interface TestServerOptions {
  readonly clocks?: Clocks
  readonly wrap?: (store: Store) => Store
  readonly limits?: Partial<QueueLimits>
  readonly publishInterval?: number
  readonly acceptClock?: boolean
  readonly witnesses?: WitnessPolicy
  readonly keeper?: Keeper
  readonly keyRate?: number
  readonly http?: Partial<ServerOptions>
}

export async function startServer(data: string, options: TestServerOptions = {}): Promise<TestServer> {
  const failures: unknown[] = []
  const notices: string[] = []
  const metrics = new Metrics()
  const opened = await openLogs({
    data,
    clocks: options.clocks ?? systemClocks,
    log: {
      publishInterval: options.publishInterval ?? 1,
      acceptClock: options.acceptClock ?? false,
      witnessTimeout: 2_000,
      queueEntries: 1_000,
      queueBytes: 2 ** 24,
      batchEntries: 256,
      batchBytes: 2 ** 22,
      ...options.limits,
    },
    ...(options.keeper && { keeper: options.keeper }),
    ...(options.keyRate && { keyRate: options.keyRate }),
    ...(options.witnesses && { witnesses: () => options.witnesses }),
    onFailure: (error) => failures.push(error),
    onNotice: (log, what) => notices.push(`${log}: ${what}`),
    onCommit: (log, entries, seconds) => metrics.committed(log, entries, seconds),
    wrap: options.wrap ?? ((store) => store),
  })
  const app = await buildServer(opened.logs, {
    bodyLimit: 2 ** 20,
    batchBytes: 32 * 2 ** 20,
    waitLimit: 2_000,
    metrics,
    projections: opened.projections,
    ...options.http,
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url,
    app,
    opened,
    failures,
    notices,
    async close() {
      await closeServer(app, 5_000)
      await opened.close()
    },
  }
}
