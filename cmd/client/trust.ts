import { parse, Transport } from '../../src/client/transport.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { type Command, EXIT, Options, usage } from '../cli.ts'
import { LOG_FLAGS, transportOptions, writeOutput } from './common.ts'

interface LogText {
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly genesis: string | null
}

export const trustCommand: Command = {
  name: 'trust',
  operands: 'URL',
  summary: 'Shows what a log says of itself, as a trust policy to be compared with another source and then pinned.',
  flags: [
    ...LOG_FLAGS.filter(({ name }) => name !== 'log'),
    { name: 'out', value: 'FILE', help: 'write the policy there' },
  ],
  async run(options, operands) {
    const [url, ...rest] = operands
    if (url === undefined || rest.length > 0) throw usage('trust takes the URL of a log')
    const merged = new Options(
      new Map([
        ['log', [url]],
        ...['token-file', 'tls-ca', 'tls-cert', 'tls-key', 'patience'].flatMap((name) =>
          options.get(name) ? [[name, [options.need(name)]] as const] : [],
        ),
      ]),
    )
    const { name, base } = split(url)
    const transport = new Transport({ ...transportOptions(merged), url: base })
    try {
      const logs = parse<LogText[]>((await transport.get('v1/logs')).body)
      const log = logs.find((one) => one.name === name)
      if (log === undefined) throw new TreelineError('UNKNOWN_LOG', `the server has no log ${name}`)
      const policy = `# ${url}\n# genesis ${log.genesis ?? 'none: a raw log'}\nlog ${log.vkey} ${url.replace(/\/$/, '')}\nquorum none\n`
      writeOutput(options.get('out'), policy)
      console.error(
        `Compare the key and the genesis of ${log.origin} with what its operator published elsewhere before you trust them.`,
      )
      return EXIT.done
    } finally {
      await transport.close()
    }
  },
}

function split(url: string): { base: string; name: string } {
  const [, base = '', name = ''] = /^(https?:\/\/[^/]+)\/([a-z0-9-]+)\/?$/.exec(url) ?? []
  if (name === '') throw usage(`"${url}" is not the URL of a log, such as http://127.0.0.1:8640/models`)
  return { base, name }
}
