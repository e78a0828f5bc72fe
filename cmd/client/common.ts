/** Flags that most commands of `treeline` share, and what is made of them. */
import { writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { TreelineClient } from '../../src/client/client.ts'
import { parseReceipt } from '../../src/client/receipts.ts'
import { readSecretFile } from '../../src/client/secret-file.ts'
import { SigningKey } from '../../src/client/signing-key.ts'
import { Transport, type TransportOptions } from '../../src/client/transport.ts'
import { requireApart } from '../../src/client/trusted-log.ts'
import { fromUtf8, parseSize } from '../../src/core/bytes.ts'
import { type PublicKey, parsePublicKeyPem } from '../../src/core/keys.ts'
import { parseWitnessPolicy, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { type Flag, type Options, usage } from '../cli.ts'
import { readInput } from '../files.ts'

/** What a connection takes beside the URL. */
export const CONNECTION_FLAGS: readonly Flag[] = [
  { name: 'token-file', value: 'FILE', help: 'a bearer token, for logs that are not public; or TREELINE_TOKEN itself' },
  { name: 'tls-ca', value: 'FILE', help: 'PEM of the authority that signed the server certificate' },
  { name: 'tls-cert', value: 'FILE', help: 'PEM of our certificate, where the log wants one' },
  { name: 'tls-key', value: 'FILE', help: 'PEM of its key' },
  { name: 'patience', value: 'MS', help: 'how long to go on asking a log that is away', default: '10000' },
]
export const LOG_FLAGS: readonly Flag[] = [
  { name: 'log', value: 'URL', help: 'the log, such as https://log.example.com/models', required: true },
  ...CONNECTION_FLAGS,
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
/** Of commands that read: logs need not have the same witnesses. */
export const TRUSTS_FLAG: Flag = {
  ...TRUST_FLAG,
  help: 'C2SP policy of log keys, witnesses and quorum: see treeline trust; one more for each log with a quorum of its own',
  multiple: true,
}
export const JSON_FLAG: Flag = { name: 'json', help: 'print JSON' }
export const OUT_FLAG: Flag = { name: 'out', value: 'FILE', help: 'where to write; standard output when left out' }
export const STATE_FLAG: Flag = {
  name: 'state',
  value: 'DIR',
  help: 'spools, rejected events and receipts, of each log apart',
  default: join(process.env.XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'treeline'),
}

const text = (file: string | undefined): string | undefined => file && new TextDecoder().decode(readInput(file))
const secret = (file: string | undefined): string | undefined => file && readSecretFile(file)

export function transportOptions(options: Options, url = options.need('log')): TransportOptions {
  if (!/^https?:\/\/[^/]+\/[a-z0-9-]+\/?$/.test(url))
    throw usage(`the URL of a log is such as http://127.0.0.1:8640/models, not "${url}"`)
  const token = secret(options.get('token-file'))?.trim() ?? process.env.TREELINE_TOKEN
  const ca = text(options.get('tls-ca'))
  const cert = text(options.get('tls-cert'))
  const key = secret(options.get('tls-key'))
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

/** Throws USAGE for policies that have a log in common. */
export const readTrusts = (options: Options): readonly WitnessPolicy[] =>
  requireApart(options.all('trust').map((file) => parseWitnessPolicy(readInput(file))))

/** Throws USAGE when there is none, and for one that others may read. */
export function readKeys(options: Options): SigningKey[] {
  const files = options.all('key')
  if (files.length === 0) throw usage('--key FILE is missing')
  return files.map((file) => SigningKey.load(file))
}

/** The key of a .pub file. Throws MALFORMED_KEY. */
export const readPublicKey = (file: string): PublicKey => parsePublicKeyPem(fromUtf8(readInput(file)) ?? '')

/** Runs `work` with an open connection to the log. */
export async function withTransport<T>(
  options: Options,
  work: (transport: Transport) => Promise<T>,
  url?: string,
): Promise<T> {
  const transport = new Transport(transportOptions(options, url))
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

/** The one operand of a command. */
export function oneOperand(operands: readonly string[], name: string): string {
  const [operand, ...rest] = operands
  if (operand === undefined || rest.length > 0) throw usage(`give one ${name}`)
  return operand
}

/** The index that an operand is, or that a receipt in this file has. */
export function indexOf(operand: string): number {
  const index = parseSize(operand)
  if (index !== undefined) return index
  const file = readInput(operand)
  try {
    return parseReceipt(JSON.parse(fromUtf8(file) ?? '')).index
  } catch (error) {
    throw usage(`${operand} is neither an index nor a receipt: ${(error as Error).message}`)
  }
}

/** RFC 3339, in ms since the Unix epoch. Throws USAGE. */
export function timeOf(value: string, name: string): number {
  const time = /^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})$/.test(value)
    ? Date.parse(value)
    : NaN
  if (Number.isNaN(time)) throw usage(`${name} takes a time such as 2026-01-31T12:00:00Z, not "${value}"`)
  return time
}
