import { pino } from 'pino'
import { Cosigner } from '../../witness/cosigner.ts'
import { lockWitness, readName, witnessFiles } from '../../witness/folder.ts'
import { buildWitnessServer } from '../../witness/http.ts'
import { readLogList } from '../../witness/log-list.ts'
import { WitnessMetrics } from '../../witness/metrics.ts'
import { WitnessState } from '../../witness/state.ts'
import { Witness } from '../../witness/witness.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const

export const runCommand: Command = {
  name: 'run',
  summary: 'Cosigns checkpoints of the listed logs until it is told to stop (SIGTERM, SIGINT).',
  flags: [
    { name: 'data', value: 'DIR', help: 'the folder of the witness', required: true },
    { name: 'logs', value: 'FILE.json', help: 'the logs that it knows: see docs/operations.md', required: true },
    { name: 'listen', value: 'HOST:PORT', help: 'where to listen; port 0 takes a free one', default: '127.0.0.1:8641' },
    { name: 'log-level', value: 'LEVEL', help: `what goes to standard error: ${LEVELS.join(', ')}`, default: 'info' },
  ],
  run: (options) => run(options),
}

/** `wrap` may put something before the state: tests break the product on purpose with it. */
export async function run(
  options: Options,
  wrap: (state: WitnessState) => WitnessState = (state) => state,
): Promise<number> {
  const data = options.need('data')
  const [, host = '', port = ''] = /^(.+):([0-9]{1,5})$/.exec(options.need('listen')) ?? []
  if (host === '' || Number(port) > 65_535) throw usage('--listen takes HOST:PORT')
  const level = LEVELS.find((one) => one === options.need('log-level'))
  if (level === undefined) throw usage(`--log-level is one of ${LEVELS.join(', ')}`)
  const cosigner = Cosigner.load(data, readName(data))
  const logs = readLogList(options.need('logs'), cosigner.keys)
  const lock = lockWitness(data)
  const state = wrap(WitnessState.open(witnessFiles(data).state))
  const logger = pino({ level, base: null }, pino.destination({ dest: 2, sync: true }))
  const origins = [...logs.keys()]
  const metrics = new WitnessMetrics(state, origins).withProcess()
  const witness = new Witness({ state, cosigner, find: (origin) => logs.get(origin), now: Date.now })
  const app = await buildWitnessServer({
    witness,
    state,
    origins,
    metrics,
    onFailure: (err) => logger.error({ err }, 'a request failed'),
  })
  try {
    const url = await app.listen({
      host: host === 'localhost' ? '127.0.0.1' : host.replace(/^\[|\]$/g, ''),
      port: Number(port),
    })
    console.log(`treeline-witness listens on ${url} as ${cosigner.name} for ${origins.length} logs`)
  } catch (error) {
    state.close()
    lock.release()
    throw usage(`cannot listen on ${options.need('listen')}: ${(error as Error).message}`)
  }
  const signal = await new Promise<string>((resolve) => {
    for (const one of ['SIGTERM', 'SIGINT'] as const) {
      process.once(one, () => {
        resolve(one)
        // What was answered is durable: ending here breaks no promise.
        process.once(one, () => process.exit(EXIT.unreachable))
      })
    }
  })
  logger.info({ signal }, 'stopping')
  const reap = setInterval(() => app.server.closeIdleConnections(), 50)
  await app.close()
  clearInterval(reap)
  state.close()
  lock.release()
  return EXIT.done
}
