/** What `serve` is told on its command line, as one value that holds together. */
import { BlockList, isIP } from 'node:net'
import type { WitnessPolicy } from '../../src/core/witness-policy.ts'
import type { RateLimits } from '../../src/http/limits.ts'
import type { LogOptions } from '../../src/log/log.ts'
import { readTokens, tokensFile } from '../../src/store/tokens.ts'
import { type Options, usage } from '../cli.ts'
import type { TlsFiles } from './tls.ts'
import { readWitnessPolicies } from './witnesses.ts'

export const MIB = 2 ** 20
/** Of the log of the server. */
export const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const
/** Requests a minute of one address, where strangers can ask. An audit of 10 million entries reads 39,000 bundles. */
export const RATES: RateLimits = { reads: 12_000, writes: 60_000 }

export interface ServeSettings {
  readonly workers: number
  readonly data: string
  readonly host: string
  readonly port: number
  /** Whether only this machine can connect. */
  readonly loopback: boolean
  /** Whether logs are read without a token, come what may. */
  readonly public: boolean
  readonly tls: TlsFiles | undefined
  readonly proxies: readonly string[]
  readonly rates: RateLimits
  /** Events a minute of one signer; 0 is no limit. */
  readonly keyRate: number
  readonly maxConnections: number
  readonly bodyLimit: number
  readonly level: (typeof LEVELS)[number]
  /** For requests in flight when the server stops, ms. */
  readonly patience: number
  readonly log: LogOptions
  readonly witnesses: (vkey: string) => WitnessPolicy | undefined
  /** Monitoring prefix. */
  readonly keeper: string | undefined
  /** ms. */
  readonly waitLimit: number
}

/** Throws USAGE for what contradicts itself, and for what would open a log to strangers without being told to. */
export function readSettings(options: Options): ServeSettings {
  const data = options.need('data')
  const [, named = '', port = ''] = /^(.+):([0-9]{1,5})$/.exec(options.need('listen')) ?? []
  if (named === '' || Number(port) > 65_535) throw usage('--listen takes HOST:PORT')
  // One address, not both that the name may have: they would be two servers with one certificate to renew.
  const host = named === 'localhost' ? '127.0.0.1' : named.replace(/^\[|\]$/g, '')
  const loopback = isLoopback(host)
  const level = LEVELS.find((one) => one === options.need('log-level'))
  if (level === undefined) throw usage(`--log-level is one of ${LEVELS.join(', ')}`)
  const proxies = options.all('trust-proxy')
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/')
    if (isIP(address) === 0 || (bits !== undefined && !/^[0-9]{1,3}$/.test(bits)))
      throw usage(`--trust-proxy takes an address or a network such as 10.0.0.0/8, not "${proxy}"`)
  }
  const tls = tlsFiles(options)
  const rate = (name: string, beyond: number): number =>
    options.get(name) === undefined ? (loopback ? 0 : beyond) : options.integer(name, 0, 1e9)
  const settings: ServeSettings = {
    workers: options.integer('workers', 0, 64),
    data,
    host,
    port: Number(port),
    loopback,
    public: options.is('public'),
    tls,
    proxies,
    rates: { reads: rate('rate-limit-reads', RATES.reads), writes: rate('rate-limit-writes', RATES.writes) },
    keyRate: options.integer('rate-limit-key', 0, 1e9),
    maxConnections: options.integer('max-connections', 1, 1e6),
    bodyLimit: options.integer('body-limit', 1, 4 * MIB),
    level,
    patience: 1000 * options.integer('shutdown-timeout', 0, 3_600),
    log: {
      publishInterval: options.integer('publish-interval', 1, 3_600_000),
      acceptClock: options.is('accept-clock'),
      witnessTimeout: options.integer('witness-timeout', 1, 600_000),
      queueEntries: options.integer('queue-entries', 1, 1e6),
      queueBytes: options.integer('queue-bytes', 8 * MIB, 2 ** 40),
      batchEntries: 1_024,
      batchBytes: 16 * MIB,
    },
    witnesses: readWitnessPolicies(options.all('witness-policy')),
    keeper: keeperOf(options),
    waitLimit: options.integer('wait-limit', 0, 600_000),
  }
  if (loopback) return Object.freeze(settings)
  if (tls === undefined && !options.is('insecure'))
    throw usage(`${host} is reached from other machines: give --tls-cert and --tls-key, or --insecure`)
  if (!settings.public && !readTokens(tokensFile(data))?.length)
    throw usage(`${host} is reached from other machines: make a token (treeline-server token add), or give --public`)
  return Object.freeze(settings)
}

function keeperOf(options: Options): string | undefined {
  const url = options.get('keeper')
  if (url !== undefined && !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    throw usage(`--keeper takes a URL, not "${url}"`)
  return url
}

function tlsFiles(options: Options): TlsFiles | undefined {
  const cert = options.get('tls-cert')
  const key = options.get('tls-key')
  const clientCa = options.get('tls-client-ca')
  if (cert !== undefined && key !== undefined) return { cert, key, clientCa }
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined
  throw usage('TLS takes --tls-cert and --tls-key, and --tls-client-ca only beside them')
}

function isLoopback(host: string): boolean {
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8)
  loopback.addAddress('::1', 'ipv6')
  const family = isIP(host)
  return family !== 0 && loopback.check(host, family === 4 ? 'ipv4' : 'ipv6')
}
