import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Look, look, type News, type Watch } from '../../src/client/monitor.ts'
import { parseQuery } from '../../src/client/query.ts'
import { sayEntry } from '../../src/client/timeline.ts'
import type { Transport } from '../../src/client/transport.ts'
import { stateFolder, trustedLog } from '../../src/client/trusted-log.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { WitnessPolicy } from '../../src/core/witness-policy.ts'
import { type Command, EXIT, exitOf, type Flag, type Options, printable, usage } from '../cli.ts'
import { JSON_FLAG, LOG_FLAGS, readTrusts, STATE_FLAG, TRUSTS_FLAG, withTransport } from './common.ts'
import { sayOldHead } from './verified-log.ts'

/** Each is a filter by itself. */
const WATCH_FLAGS: readonly Flag[] = [
  { name: 'signer', value: 'ID', help: 'watch what the key with this id signs', multiple: true },
  { name: 'type', value: 'TYPE', help: 'watch events of this type; TYPE* for all that begin with it', multiple: true },
  { name: 'artifact', value: 'ALG:HEX', help: 'watch events that name this digest', multiple: true },
  { name: 'kind', value: 'KIND', help: 'watch policy changes (policy) or redactions (redaction)', multiple: true },
]

export const monitorCommand: Command = {
  name: 'monitor',
  summary:
    'Verifies that a log only grew and has what it gave receipts for, and tells what is new of what is watched (exit 10).',
  flags: [
    ...LOG_FLAGS,
    TRUSTS_FLAG,
    { ...STATE_FLAG, help: 'where it remembers, and where receipts are kept' },
    ...WATCH_FLAGS,
    { name: 'from', value: 'INDEX', help: 'the first time, begin there instead of at the end' },
    {
      name: 'witness',
      value: 'URL',
      help: 'monitoring prefix of a witness, whose view of the log is compared with what the log shows here',
      multiple: true,
    },
    { name: 'out', value: 'FILE', help: 'append each piece of news as a JSON line' },
    {
      name: 'webhook',
      value: 'URL',
      help: 'POST news there, {"origin","news":[…]}; what it does not take is told again',
    },
    { name: 'loop', value: 'SECONDS', help: 'look again and again, until SIGTERM or SIGINT, instead of once' },
    { ...JSON_FLAG, help: 'a JSON document on each line' },
  ],
  async run(options, operands) {
    if (operands.length > 0) throw usage(`monitor takes no ${operands[0]}`)
    const webhook = options.get('webhook')
    if (webhook !== undefined && !/^https?:$/.test(URL.parse(webhook)?.protocol ?? ''))
      throw usage(`--webhook takes a URL, not "${webhook}"`)
    const monitor = new Monitor(options)
    const seconds = options.get('loop') === undefined ? undefined : options.integer('loop', 1, 86_400)
    return withTransport(options, (transport) =>
      seconds === undefined ? monitor.once(transport) : monitor.loop(transport, 1_000 * seconds),
    )
  },
}

class Monitor {
  readonly #options: Options
  readonly #origin: string
  readonly #watches: readonly Watch[]
  readonly #trust: WitnessPolicy
  readonly #from: number | undefined

  constructor(options: Options) {
    this.#options = options
    const { origin, trust } = trustedLog(readTrusts(options), options.need('log'))
    this.#origin = origin
    this.#trust = trust
    this.#watches = WATCH_FLAGS.flatMap(({ name }) =>
      options.all(name).map((value) => ({ name: `${name} ${value}`, query: parseQuery({ [name]: value }) })),
    )
    this.#from = options.get('from') === undefined ? undefined : options.integer('from', 0, Number.MAX_SAFE_INTEGER)
  }

  /** Exit code. A fault is told like news, and then thrown. */
  async once(transport: Transport): Promise<number> {
    let told = 0
    for (;;) {
      const seen = await this.#look(transport)
      await this.#tell(seen.news)
      // Dies before: it is told again. Nothing is lost.
      await seen.remember()
      told += seen.news.length
      for (const witness of seen.away) console.error(`treeline: the witness ${printable(witness)} does not answer`)
      const { proved, waiting } = seen.receipts
      const receipts = proved + waiting > 0 ? `; ${proved} receipts proved, ${waiting} wait` : ''
      console.error(
        `treeline: ${printable(this.#origin)} only grew, to ${seen.size} entries; looked at ${seen.from} to ${seen.to}: ${seen.news.length} news${receipts}`,
      )
      if (seen.to >= seen.size) return told > 0 ? EXIT.news : EXIT.done
    }
  }

  /** Until it is told to stop. A log or a webhook that is away is no reason to; a fault is. */
  async loop(transport: Transport, pause: number): Promise<number> {
    const stop = new AbortController()
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
    while (!stop.signal.aborted) {
      try {
        await this.once(transport)
      } catch (error) {
        if (!(error instanceof TreelineError) || exitOf(error.code) !== EXIT.unreachable) throw error
        console.error(`treeline: ${printable(error.message)} (${printable(error.code)}): trying again`)
      }
      await sleep(pause, undefined, { signal: stop.signal }).catch(() => {})
    }
    return EXIT.done
  }

  async #look(transport: Transport): Promise<Look> {
    const [trust, origin] = [this.#trust, this.#origin]
    const folder = stateFolder(this.#options.need('state'), origin)
    try {
      return await look({
        ...{ transport, trust, origin, folder, watches: this.#watches, witnesses: this.#options.all('witness') },
        ...(this.#from !== undefined && { from: this.#from }),
      })
    } catch (error) {
      if (!(error instanceof TreelineError) || exitOf(error.code) !== EXIT.unverified) throw error
      const { code, message: why, facts } = error
      const file = typeof facts.file === 'string' ? facts.file : null
      await this.#tell([{ news: 'fault', origin, code, why, file }]).catch((failure) => {
        console.error(`treeline: ${printable((failure as Error).message)}`)
      })
      throw error
    }
  }

  /** Everywhere, or it is told again: what can fail most easily goes first. */
  async #tell(news: readonly News[]): Promise<void> {
    if (news.length === 0) return
    const webhook = this.#options.get('webhook')
    if (webhook !== undefined)
      for (let i = 0; i < news.length; i += PIECE) await post(webhook, this.#origin, news.slice(i, i + PIECE))
    const file = this.#options.get('out')
    if (file !== undefined) append(file, news.map((one) => `${JSON.stringify(one)}\n`).join(''))
    for (const one of news)
      console.log(this.#options.is('json') ? JSON.stringify(one) : say(one).map(printable).join('\n'))
  }
}

/** News in one request. */
const PIECE = 100
const WEBHOOK_TIMEOUT = 10_000

/** Throws UNREACHABLE. */
async function post(url: string, origin: string, news: readonly News[]): Promise<void> {
  let status: number | string
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ origin, news }),
      redirect: 'error',
      signal: AbortSignal.timeout(WEBHOOK_TIMEOUT),
    })
    await answer.body?.cancel()
    if (answer.ok) return
    status = answer.status
  } catch (error) {
    status = (error as Error).message
  }
  throw new TreelineError('UNREACHABLE', `the webhook did not take the news (${status}): it will be told again`)
}

function append(file: string, text: string): void {
  let handle: number
  try {
    handle = openSync(file, 'a', 0o600)
  } catch (error) {
    throw usage(`${file} cannot be written: ${(error as Error).message}`)
  }
  try {
    writeFileSync(handle, text)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

function say(one: News): string[] {
  switch (one.news) {
    case 'entry': {
      const [first = '', ...rest] = sayEntry(one.entry)
      return [`${first}  [${one.watches.join(', ')}]`, ...rest]
    }
    case 'old-head':
      return [
        one.by === null
          ? sayOldHead({ size: BigInt(one.shown) }, { size: BigInt(one.known) })
          : `the log shows an old head, of size ${one.shown}: the witness ${one.by} has seen ${one.known}`,
      ]
    case 'foreign-receipts':
      return [`${one.count} receipts are of keys that the trust policy does not list: they are set aside`]
    case 'fault':
      return [`fault: ${one.why} (${one.code})`]
  }
}
