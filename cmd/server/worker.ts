/** A thread that serves: HTTP, signatures, reads and proofs. What it takes in goes to the thread that started it, which writes. */
import { parentPort, workerData } from 'node:worker_threads'
import type { FastifyListenOptions } from 'fastify'
import { pino } from 'pino'
import { closeServer } from '../../src/http/app.ts'
import { TokenGate } from '../../src/http/auth.ts'
import { buildFront } from '../../src/http/front.ts'
import type { RateLimits } from '../../src/http/limits.ts'
import { describeError } from '../../src/http/logging.ts'
import { Metrics } from '../../src/http/metrics.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import type { FromWorker, ToWorker } from '../../src/log/workers/messages.ts'
import { RemoteLogs } from '../../src/log/workers/remote-logs.ts'
import { type LinkLimits, WriterLink } from '../../src/log/workers/writer-link.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { tokensFile } from '../../src/store/tokens.ts'
import { readTls, reloadTls, type TlsFiles } from './tls.ts'

export interface WorkerSettings {
  readonly number: number
  readonly data: string
  readonly host: string
  readonly port: number
  /** Unix socket of the thread that writes. */
  readonly behind: string
  readonly public: boolean
  readonly loopback: boolean
  readonly tls: TlsFiles | undefined
  readonly proxies: readonly string[]
  readonly rates: RateLimits
  readonly maxConnections: number
  readonly bodyLimit: number
  readonly batchBytes: number
  /** Of all batches of one log that the thread holds, bytes. */
  readonly batchMemory: number
  readonly waitLimit: number
  readonly level: string
  readonly queue: LinkLimits
}

/** To the thread, beside what concerns logs. */
export type Order =
  | { readonly kind: 'count'; readonly id: number }
  | { readonly kind: 'reload' }
  /** `patience`: for requests in flight, ms. */
  | { readonly kind: 'stop'; readonly patience: number }

/** From the thread. */
export type Report =
  | { readonly kind: 'listening' }
  | { readonly kind: 'counted'; readonly id: number; readonly metrics: Awaited<ReturnType<Metrics['count']>> }
  | { readonly kind: 'stopped'; readonly inTime: boolean }

const settings = workerData as WorkerSettings
const { number, data, host, port, tls } = settings
const main = parentPort!
const report = (message: Report): void => main.postMessage(message)

// Each line in one write: threads share the descriptor.
const destination = pino.destination({ dest: 2, sync: true })
const base = { worker: number }
const logger = pino({ level: settings.level, base, serializers: { err: describeError } }, destination)
const metrics = new Metrics()
const link = new WriterLink(
  (message: FromWorker, transfer) => main.postMessage(message, transfer as ArrayBuffer[]),
  settings.queue,
)
const files: SqliteStore[] = []
const open = (database: string): SqliteStore => {
  const file = SqliteStore.open(database, { readonly: true })
  files.push(file)
  return file
}
const remote = new RemoteLogs({ link, verify: nativeVerify, open, batchMemory: settings.batchMemory })
const orders = new Map<string, (order: Order) => void>()
main.on('message', (message: ToWorker | Order) => {
  const obey = orders.get(message.kind)
  if (obey === undefined) remote.heard(message as ToWorker)
  else obey(message as Order)
})

const { tls: _, ...options } = settings
const app = await buildFront(await remote.opened, {
  ...options,
  gate: new TokenGate({
    file: tokensFile(data),
    public: settings.public,
    loopback: settings.loopback,
    onFailure: (err) => logger.error({ err }, 'the tokens could not be read: those from before go on'),
  }),
  ...(tls && { tls: readTls(tls) }),
  logger,
  metrics,
  add: (log, entry) => link.add(log, entry),
})
const on = <K extends Order['kind']>(kind: K, obey: (order: Order & { readonly kind: K }) => void): void => {
  orders.set(kind, obey as (order: Order) => void)
}
on('count', ({ id }) => void metrics.count().then((counted) => report({ kind: 'counted', id, metrics: counted })))
on('reload', () => {
  try {
    if (tls) reloadTls(app.server, tls)
  } catch (err) {
    logger.error({ err }, 'the certificate could not be used: the one from before goes on')
  }
})
on('stop', ({ patience }) => {
  void closeServer(app, patience).then(async (inTime) => {
    for (const file of files) await file.close()
    report({ kind: 'stopped', inTime })
    main.close()
  })
})
const shared: FastifyListenOptions & { readonly reusePort: true } = { host, port, reusePort: true }
await app.listen(shared)
report({ kind: 'listening' })
