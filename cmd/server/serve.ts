import { mkdtempSync, rmSync } from 'node:fs'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { TreelineError } from '../../src/core/errors.ts'
import { closeServer } from '../../src/http/app.ts'
import { TokenGate } from '../../src/http/auth.ts'
import { describeError, type Logger } from '../../src/http/logging.ts'
import { Metrics } from '../../src/http/metrics.ts'
import { buildServer } from '../../src/http/server.ts'
import { MAX_BATCH_MEMORY } from '../../src/log/batch-intake.ts'
import { systemClocks } from '../../src/log/clock.ts'
import { Keeper } from '../../src/log/keeper.ts'
import type { Log } from '../../src/log/log.ts'
import type { SharedLog } from '../../src/log/workers/gateway.ts'
import type { Store } from '../../src/store/store.ts'
import { tokensFile } from '../../src/store/tokens.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import { roomForConnections } from './descriptors.ts'
import { openLogs } from './open-logs.ts'
import { LEVELS, MIB, RATES, readSettings, type ServeSettings } from './settings.ts'
import { readTls, reloadTls } from './tls.ts'
import { freePort, WorkerPool } from './worker-pool.ts'

/** Largest batch of events. */
const BATCH_BYTES = 32 * MIB

/** Made by `npm run build`; where it was never run, / is a plain page. */
const EXPLORER = fileURLToPath(new URL('../../dist/explorer', import.meta.url))

export const serveCommand: Command = {
  name: 'serve',
  summary: 'Serves every log of a data folder until it is told to stop (SIGTERM, SIGINT; twice to stop at once).',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'listen', value: 'HOST:PORT', help: 'where to listen; port 0 takes a free one', default: '127.0.0.1:8640' },
    {
      name: 'workers',
      value: 'N',
      help: 'threads that serve beside the one that writes; 0 serves everything from one',
      default: '0',
    },
    { name: 'public', help: 'anyone may read; without it readers need a token as soon as there is one' },
    { name: 'insecure', help: 'speak HTTP in the clear also beyond this machine: a proxy before it speaks TLS' },
    { name: 'tls-cert', value: 'FILE.pem', help: 'certificate chain; SIGHUP reads it and the key again' },
    { name: 'tls-key', value: 'FILE.pem', help: 'its private key, mode 0600' },
    { name: 'tls-client-ca', value: 'FILE.pem', help: 'nobody connects without a certificate signed by this one' },
    {
      name: 'trust-proxy',
      value: 'ADDRESS',
      help: 'address or network of a proxy whose X-Forwarded-For is believed',
      multiple: true,
    },
    {
      name: 'rate-limit-reads',
      value: 'N',
      help: `reads a minute of one client address, 0 for no limit (default ${RATES.reads}, on loopback 0)`,
    },
    {
      name: 'rate-limit-writes',
      value: 'N',
      help: `writes a minute of one client address, 0 for no limit (default ${RATES.writes}, on loopback 0)`,
    },
    {
      name: 'rate-limit-key',
      value: 'N',
      help: 'events a minute of one signer, from whatever addresses; 0 for no limit',
      default: '0',
    },
    { name: 'max-connections', value: 'N', help: 'open connections; more are dropped', default: '8192' },
    { name: 'body-limit', value: 'BYTES', help: 'largest event', default: String(MIB) },
    { name: 'queue-entries', value: 'N', help: 'events of one log that may wait to be written', default: '16384' },
    { name: 'queue-bytes', value: 'BYTES', help: 'memory that they may take', default: String(256 * MIB) },
    {
      name: 'witness-policy',
      value: 'FILE',
      help: 'C2SP policy of log keys, witnesses with their URLs, and the quorum that a checkpoint is published with',
      multiple: true,
    },
    {
      name: 'keeper',
      value: 'URL',
      help: 'a witness that reads payloads: nothing is redacted before it has audited it',
    },
    { name: 'witness-timeout', value: 'MS', help: 'for one question to one witness', default: '5000' },
    { name: 'wait-limit', value: 'MS', help: 'how long ?wait=witnessed may hold an answer back', default: '10000' },
    { name: 'publish-interval', value: 'MS', help: 'least time between two published checkpoints', default: '1000' },
    { name: 'accept-clock', help: 'believe a clock that is behind the last entry' },
    { name: 'log-level', value: 'LEVEL', help: `what goes to standard error: ${LEVELS.join(', ')}`, default: 'info' },
    { name: 'shutdown-timeout', value: 'S', help: 'how long requests may take to end after SIGTERM', default: '8' },
  ],
  run: (options) => serve(options),
}

/** `wrap` may put something before each store: tests break the product on purpose with it. */
export async function serve(options: Options, wrap: (store: Store) => Store = (store) => store): Promise<number> {
  const settings = readSettings(options)
  const { data, host, port, tls, patience } = settings
  const certificate = tls && readTls(tls)
  const destination = pino.destination({ dest: 2, sync: false, minLength: 4096, periodicFlush: 200 })
  const logger = pino({ level: settings.level, base: null, serializers: { err: describeError } }, destination)
  const gate = new TokenGate({
    file: tokensFile(data),
    public: settings.public,
    loopback: settings.loopback,
    onFailure: (err) => logger.error({ err }, 'the tokens could not be read: those from before go on'),
  })
  const metrics = new Metrics().withProcess()
  let front: Front | undefined
  const opened = await openLogs({
    data,
    clocks: systemClocks,
    log: settings.log,
    keyRate: settings.keyRate,
    witnesses: settings.witnesses,
    ...(settings.keeper && { keeper: new Keeper(settings.keeper, settings.log.witnessTimeout) }),
    onFailure: (err, log) => {
      metrics.failed(log)
      logger.error({ log, err }, 'the log failed: /readyz says what it still does')
    },
    onIndexFailure: (err, log) => {
      metrics.failed(log)
      logger.error({ log, err }, 'the index of the log failed: search and lineage wait for it, the log goes on')
    },
    onLate: (log, witness, why) =>
      logger.warn({ log, witness, why }, 'a witness does not cosign: /readyz says since when'),
    onNotice: (log, what) => logger.warn({ log }, what),
    onCommit: (log, entries, seconds) => metrics.committed(log, entries, seconds),
    onHead: (log, head, added) => front?.pool.head(log, head, added),
    onPublished: (log, head) => front?.pool.published(log, head),
    onPolicy: (log, events) => front?.pool.policy(log, events),
    wrap,
  }).catch((error) => {
    throw storageError(error)
      ? new TreelineError('STORAGE_FAILED', `${data}: ${error.message}`, {}, { cause: error })
      : error
  })
  const { logs } = opened
  const maxConnections = roomForConnections(settings.maxConnections, logs.size, settings.workers)
  if (maxConnections < settings.maxConnections)
    logger.warn(
      { maxConnections },
      'fewer connections than --max-connections: the limit of open files (ulimit -n) has no room for more',
    )
  let app: FastifyInstance | undefined
  let url: string
  try {
    app = await buildServer(logs, {
      bodyLimit: settings.bodyLimit,
      batchBytes: BATCH_BYTES,
      waitLimit: settings.waitLimit,
      gate,
      rates: settings.rates,
      proxies: settings.proxies,
      ...(settings.workers > 0 ? { fronted: true } : { maxConnections, ...(certificate && { tls: certificate }) }),
      logger,
      metrics,
      projections: opened.projections,
      explorer: EXPLORER,
    })
    if (settings.workers > 0) {
      front = await startFront(app, { ...settings, maxConnections }, opened.shared, logger)
      metrics.withOthers(() => front!.pool.count())
      url = front.url
    } else url = await app.listen({ host, port })
  } catch (error) {
    await app?.close()
    await opened.close()
    throw (error as NodeJS.ErrnoException).syscall === undefined
      ? error
      : usage(`cannot listen on ${options.need('listen')}: ${(error as Error).message}`)
  }

  process.on('uncaughtException', (err) => {
    logger.fatal({ err }, 'a bug: the server ends')
    process.exit(EXIT.bug)
  })
  const reload = (): void => {
    try {
      if (tls && front === undefined) reloadTls(app.server, tls)
      front?.pool.reload()
      logger.info(tls ? 'read the certificate again' : 'there is no certificate to read again')
    } catch (err) {
      logger.error({ err }, 'the certificate could not be used: the one from before goes on')
    }
  }
  process.on('SIGHUP', reload)
  // Past its largest file a process gets this signal, and would die of it: heard, it is an error of the one write, as on a full disk.
  process.on('SIGXFSZ', () => {})
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal)
        // What was answered is durable, so ending here breaks no promise that was made.
        process.once(signal, () => process.exit(EXIT.unreachable))
      })
    }
  })
  // What an answer is worth, as the engine says it: read back, not repeated from the code.
  const durability = new Set([...logs.values()].map(({ log }) => log.store.durability))
  console.log(`treeline-server listens on ${url} with ${[...logs.keys()].join(', ')} (${[...durability].join('; ')})`)
  const readers = gate.readerOf(undefined) === undefined ? 'with tokens' : 'anyone'
  logger.info({ url, logs: [...logs.keys()], tls: tls !== undefined, readers }, 'started')

  warm([...logs.values()].map(({ log }) => log)).catch((err) =>
    logger.error({ err }, 'a log could not be read ahead: its first proofs are slower'),
  )

  const signal = await stopped
  logger.info({ signal }, 'stopping')
  // Those that serve end first: until then they need the logs, and the rest of the server.
  const served = (await front?.pool.close(patience)) ?? true
  const inTime = (await closeServer(app, patience)) && served
  front?.remove()
  await opened.close()
  process.off('SIGHUP', reload)
  logger.info({ inTime }, 'stopped')
  destination.flushSync()
  destination.destroy()
  return EXIT.done
}

/** One after the other: each takes threads and the disk for a while. */
async function warm(logs: readonly Log[]): Promise<void> {
  for (const log of logs) await log.warm()
}

/** The threads that serve, where there are any. */
interface Front {
  readonly pool: WorkerPool
  readonly url: string
  remove(): void
}

/** `app` answers them on a socket that only this user can open, and nobody else. */
async function startFront(
  app: FastifyInstance,
  settings: ServeSettings,
  logs: ReadonlyMap<string, SharedLog>,
  logger: Logger,
): Promise<Front> {
  const { host, tls, workers, log, maxConnections } = settings
  const port = await freePort(host, settings.port)
  const folder = mkdtempSync(join(tmpdir(), 'treeline-'))
  const behind = join(folder, 'http')
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    await app.listen({ path: behind })
    const { data, proxies, rates, bodyLimit, waitLimit, level, loopback } = settings
    const pool = await WorkerPool.start({
      count: workers,
      settings: {
        ...{ data, host, port, behind, tls, proxies, rates, bodyLimit, waitLimit, level, loopback },
        public: settings.public,
        batchBytes: BATCH_BYTES,
        // Never so little that two of the largest would not fit.
        batchMemory: Math.max(3 * BATCH_BYTES, Math.floor(MAX_BATCH_MEMORY / workers)),
        maxConnections: Math.ceil(maxConnections / workers),
        queue: { entries: log.queueEntries, bytes: log.queueBytes },
      },
      logs,
      onDeath: (worker, err) => logger.error({ worker, err }, 'a thread that serves ended: another takes its place'),
      onBug: (err) => logger.error({ err }, 'a bug'),
    })
    const name = isIP(host) === 6 ? `[${host}]` : host
    return { pool, url: `${tls ? 'https' : 'http'}://${name}:${port}`, remove }
  } catch (error) {
    remove()
    throw error
  }
}

const storageError = (error: unknown): error is Error =>
  /^SQLITE_(FULL|IOERR|READONLY|CANTOPEN)/.test((error as { code?: string }).code ?? '')
