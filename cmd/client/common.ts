/** Flags that most commands of `treeline` share, and what is made of them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { TreelineClient } from '../../src/client/client.ts'
import { SigningKey } from '../../src/client/signing-key.ts'
import { Transport, type TransportOptions } from '../../src/client/transport.ts'
import { parseWitnessPolicy, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { type Flag, type Options, usage } from '../cli.ts'

export const LOG_FLAGS: readonly Flag[] = [
  { name: 'log', value: 'URL', help: 'the log, such as https://log.example.com/models', required: true },
  { name: 'token-file', value: 'FILE', help: 'a bearer token, for logs that are not public' },
  { name: 'tls-ca', value: 'FILE', help: 'PEM of the authority that signed the server certificate' },
  { name: 'tls-cert', value: 'FILE', help: 'PEM of our certificate, where the log wants one' },
  { name: 'tls-key', value: 'FILE', help: 'PEM of its key' },
  { name: 'patience', value: 'MS', help: 'how long to go on asking a log that is away', default: '10000' },
]
export const TRUST_FLAG: Flag = {
  name: 'trust',
  value: 'FILE',
  help: 'C2SP policy of log keys, witnesses and quorum: see treeline trust',
  required: true,
}
export const KEY_FLAG: Flag = {
  name: 'key',
  value: 'FILE',
  help: 'a private key to sign with',
  required: true,
  multiple: true,
}
export const JSON_FLAG: Flag = { name: 'json', help: 'print JSON' }
export const STATE_FLAG: Flag = {
  name: 'state',
  value: 'DIR',
  help: 'spool, rejected events and receipts',
  default: join(process.env.XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'treeline'),
}

/** Throws USAGE for a file that cannot be read. */
export function readInput(file: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file))
  } catch (error) {
    throw usage(`${file} cannot be read: ${(error as Error).message}`)
  }
}

const text = (file: string | undefined): string | undefined => file && new TextDecoder().decode(readInput(file))

export function transportOptions(options: Options): TransportOptions {
  const url = options.need('log')
  if (!/^https?:\/\/[^/]+\/[a-z0-9-]+\/?$/.test(url))
    throw usage(`--log takes the URL of a log, such as http://127.0.0.1:8640/models, not "${url}"`)
  const token = text(options.get('token-file'))?.trim() ?? process.env.TREELINE_TOKEN
  const ca = text(options.get('tls-ca'))
  const cert = text(options.get('tls-cert'))
  const key = text(options.get('tls-key'))
  return {
    url,
    patience: options.integer('patience', 0, 3_600_000),
    ...(token && { token }),
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  }
}

export const readTrust = (options: Options): WitnessPolicy => parseWitnessPolicy(readInput(options.need('trust')))

export const readKeys = (options: Options): SigningKey[] => options.all('key').map((file) => SigningKey.load(file))

/** Runs `work` with an open connection to the log. */
export async function withTransport<T>(options: Options, work: (transport: Transport) => Promise<T>): Promise<T> {
  const transport = new Transport(transportOptions(options))
  try {
    return await work(transport)
  } finally {
    await transport.close()
  }
}

export async function withClient<T>(options: Options, work: (client: TreelineClient) => Promise<T>): Promise<T> {
  const client = new TreelineClient({
    ...transportOptions(options),
    trust: readTrust(options),
    state: options.need('state'),
  })
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

/** To a file, or standard output for `-` or none. */
export function writeOutput(file: string | undefined, content: string | Uint8Array): void {
  if (file === undefined || file === '-') process.stdout.write(content)
  else {
    try {
      writeFileSync(file, content)
    } catch (error) {
      throw usage(`${file} cannot be written: ${(error as Error).message}`)
    }
  }
}

/** The one index operand of a command. */
export function indexOperand(operands: readonly string[]): number {
  const [index, ...rest] = operands
  if (index === undefined || rest.length > 0 || !/^(0|[1-9][0-9]{0,15})$/.test(index)) throw usage('give one INDEX')
  return Number(index)
}
