import { buildServer } from '../../src/http/server.ts'
import { systemClocks } from '../../src/log/clock.ts'
import type { Store } from '../../src/store/store.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import { openLogs } from './open-logs.ts'

export const serveCommand: Command = {
  name: 'serve',
  summary: 'Serves every log of a data folder until it is told to stop (SIGTERM, SIGINT).',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'listen', value: 'HOST:PORT', help: 'where to listen; port 0 takes a free one', default: '127.0.0.1:8640' },
    { name: 'publish-interval', value: 'MS', help: 'least time between two published checkpoints', default: '1000' },
    { name: 'accept-clock', help: 'believe a clock that is behind the last entry' },
  ],
  run: (options) => serve(options),
}

/** `wrap` may put something before each store: tests break the product on purpose with it. */
export async function serve(options: Options, wrap: (store: Store) => Store = (store) => store): Promise<number> {
  const data = options.need('data')
  const [, host = '', port = ''] = /^(.+):([0-9]{1,5})$/.exec(options.need('listen')) ?? []
  if (host === '' || Number(port) > 65_535) throw usage('--listen takes HOST:PORT')
  const { logs, close } = await openLogs({
    data,
    clocks: systemClocks,
    log: {
      publishInterval: options.integer('publish-interval', 1, 3_600_000),
      acceptClock: options.is('accept-clock'),
      queueEntries: 16_384,
      queueBytes: 256 * 2 ** 20,
      batchEntries: 1_024,
      batchBytes: 16 * 2 ** 20,
    },
    onFailure: (error) => console.error(error),
    wrap,
  })
  const app = await buildServer(logs, { bodyLimit: 2 ** 20, batchBytes: 32 * 2 ** 20 })
  const url = await app.listen({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) })
  // What an answer is worth, as the engine says it: read back, not repeated from the code.
  const durability = new Set([...logs.values()].map(({ log }) => log.store.durability))
  console.log(`treeline-server listens on ${url} with ${[...logs.keys()].join(', ')} (${[...durability].join('; ')})`)

  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
  await app.close()
  await close()
  return EXIT.done
}
