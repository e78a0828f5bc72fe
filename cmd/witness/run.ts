import { join } from 'node:path'
import { pino } from 'pino'
import { Alerts } from '../../witness/alerts.ts'
import { Auditor } from '../../witness/auditor.ts'
import { loadCosigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { buildWitnessServer, closeWitnessServer } from '../../witness/http.ts'
import { lockData } from '../../witness/lock.ts'
import { type FollowedLog, parseLogList } from '../../witness/log-list.ts'
import { LogReader } from '../../witness/log-reader.ts'
import { Metrics } from '../../witness/metrics.ts'
import { logVerifier, nativeVerify } from '../../witness/native-verify.ts'
import { Watch } from '../../witness/watch.ts'
import { type CosignedStore, Witness } from '../../witness/witness.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { openWorm, type Worm } from './worm.ts'

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const
/** For requests in flight when the witness stops, ms. */
const PATIENCE = 8_000

export const runCommand: Command = {
  name: 'run',
  summary: 'Cosigns for the listed logs until it is told to stop (SIGTERM, SIGINT; twice to stop at once).',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'logs', value: 'FILE.json', help: 'the logs that it follows', required: true },
    { name: 'listen', value: 'HOST:PORT', help: 'where to listen; port 0 takes a free one', default: '127.0.0.1:8641' },
    { name: 'audit-interval', value: 'MS', help: 'between two audits of the logs that have a URL', default: '10000' },
    { name: 'audit-patience', value: 'S', help: 'how long an audit may lag before cosigning stops', default: '3600' },
    { name: 'alert-webhook', value: 'URL', help: 'where alerts are POSTed as JSON, beside DIR/alerts.ndjson' },
    { name: 'worm', value: 'STORE', help: 'where copies go that cannot be deleted: s3://BUCKET[/PREFIX] or a folder' },
    { name: 'snapshot-interval', value: 'MS', help: 'between two snapshots of a log', default: '3600000' },
    { name: 'new-keys', help: 'the keys that sealed earlier copies are lost: go on with new ones' },
    { name: 'log-level', value: 'LEVEL', help: `what goes to standard error: ${LEVELS.join(', ')}`, default: 'info' },
  ],
  run: (options) => run(options),
}

/** Work beside the answering of requests. */
interface Loop {
  start(): void
  /** Resolves when it has ended. */
  stop(): Promise<void>
}

/** `wrap` may put something before the store: tests break the product on purpose with it. */
export async function run(
  options: Options,
  wrap: (store: CosignedStore) => CosignedStore = (store) => store,
): Promise<number> {
  const data = options.need('data')
  const { host, port } = address(options.need('listen'))
  const level = LEVELS.find((one) => one === options.need('log-level'))
  if (level === undefined) throw usage(`--log-level is one of ${LEVELS.join(', ')}`)
  const logger = pino({ level, base: null }, pino.destination({ dest: 2, sync: true }))

  // Before the lock, which would leave a file of its own in a folder that is none of a witness.
  const state = openState(data)
  let lock: { release(): void } | undefined
  let worm: Worm | undefined
  try {
    lock = lockData(data)
    const cosigner = loadCosigner(data, state.name)
    const logs = parseLogList(readInput(options.need('logs'), 'list of logs'), cosigner.keys)
    const metrics = new Metrics(state).withProcess()
    const webhook = options.get('alert-webhook')
    if (webhook !== undefined && !/^https?:$/.test(URL.parse(webhook)?.protocol ?? ''))
      throw usage(`--alert-webhook takes a URL, not "${webhook}"`)
    const alerts = new Alerts({ file: join(data, 'alerts.ndjson'), webhook, metrics, logger, now: Date.now })
    const spec = options.get('worm')
    const interval = options.integer('snapshot-interval', 100, 30 * 86_400_000)
    const newKeys = options.is('new-keys')
    if (spec !== undefined)
      worm = await openWorm({ data, spec, interval, newKeys, logs, state, alerts, metrics, logger })
    const keys = worm?.keys
    const patience = 1000 * options.integer('audit-patience', 1, 1e7)
    const watched = logs.flatMap((log) => {
      if (log.url === undefined) return []
      const reader = new LogReader(log.url, log.tokenFile)
      const verifiers = log.keys.map(logVerifier)
      const parts = { log, reader, verifiers, state, alerts, verify: nativeVerify, now: Date.now, patience }
      const erase = keys && log.keeper && ((indexes: readonly number[]) => void keys.puncture(log.origin, indexes))
      return [{ origin: log.origin, reader, auditor: new Auditor({ ...parts, ...(erase && { erase }) }) }]
    })
    const auditors = new Map(watched.map(({ origin, auditor }) => [origin, auditor]))
    const hold = (origin: string) => auditors.get(origin)?.hold
    const witness = new Witness({ state: wrap(state), logs, cosigner, now: Date.now, hold })
    const app = buildWitnessServer({ witness, state, metrics, logger })
    const watch = new Watch(watched, options.integer('audit-interval', 10, 3_600_000), logger)
    const loops: readonly Loop[] = worm === undefined ? [watch] : [watch, worm.copies]

    const url = await app.listen({ host, port }).catch((error: Error) => {
      throw usage(`cannot listen on ${options.need('listen')}: ${error.message}`)
    })
    process.on('uncaughtException', (err) => {
      logger.fatal({ err }, 'a bug: the witness ends')
      process.exit(EXIT.bug)
    })
    // Past its largest file a process gets this signal, and would die of it: heard, it is an error of the one write.
    process.on('SIGXFSZ', () => {})
    const stopped = told()
    for (const loop of loops) loop.start()
    console.log(`treeline-witness listens on ${url} as ${state.name} (${state.durability})`)
    if (worm !== undefined) console.log(`copies go to ${worm.description}`)
    warnOfForgotten(logs)
    logger.info({ url, logs: logs.length }, 'started')

    const signal = await stopped
    logger.info({ signal }, 'stopping')
    await Promise.all([closeWitnessServer(app, PATIENCE), ...loops.map((loop) => loop.stop())])
    await alerts.close()
    logger.info('stopped')
    return EXIT.done
  } finally {
    worm?.keys?.close()
    state.close()
    lock?.release()
  }

  function warnOfForgotten(logs: readonly FollowedLog[]): void {
    for (const { origin } of state.all()) {
      if (!logs.some((log) => log.origin === origin))
        logger.warn({ origin }, 'cosigned before, and not listed any more')
    }
  }
}

function told(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal)
        // What was answered is durable, so ending here breaks no promise that was made.
        process.once(signal, () => process.exit(EXIT.unreachable))
      })
    }
  })
}

function address(listen: string): { host: string; port: number } {
  const [, named = '', port = ''] = /^(.+):([0-9]{1,5})$/.exec(listen) ?? []
  if (named === '' || Number(port) > 65_535) throw usage('--listen takes HOST:PORT')
  return { host: named.replace(/^\[|\]$/g, ''), port: Number(port) }
}
