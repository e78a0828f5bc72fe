/** Whom the reader trusts: a C2SP tlog-policy file, and keys that were confirmed by hand. The server's word pins nothing. */
import { toUtf8 } from '../core/bytes.ts'
import type { VerifierKey } from '../core/note.ts'
import { formatVkey, parseVkey } from '../core/vkey.ts'
import { parseWitnessPolicy, type WitnessPolicy } from '../core/witness-policy.ts'

const FILE = 'treeline.trust'
const PINS = 'treeline.pins'
const HEADS = 'treeline.heads'

/** How far the key of a log is the reader's own knowledge. */
export interface LogTrust {
  readonly pinned: 'file' | 'confirmed' | 'no'
  /** Lists this log alone; witnesses and quorum where the trust file has the log. */
  readonly policy: WitnessPolicy
}

export class Trust {
  #text: string
  #file: WitnessPolicy | undefined
  #pins: Readonly<Record<string, string>>
  #heads: Readonly<Record<string, string>>
  readonly #storage: Storage | undefined
  onChange: () => void = () => {}

  /** Without storage everything is forgotten with the page. */
  constructor(storage: Storage | undefined) {
    this.#storage = storage
    this.#text = storage?.getItem(FILE) ?? ''
    this.#file = this.#text === '' ? undefined : parseOrNothing(this.#text)
    this.#pins = readRecord(storage, PINS)
    this.#heads = readRecord(storage, HEADS)
  }

  get text(): string {
    return this.#text
  }

  get file(): WitnessPolicy | undefined {
    return this.#file
  }

  get pins(): Readonly<Record<string, string>> {
    return this.#pins
  }

  /** Throws MALFORMED_WITNESS_POLICY. An empty text trusts nobody. */
  useFile(text: string): void {
    const lines = text.trim() === '' ? '' : `${text.replaceAll('\r\n', '\n').trimEnd()}\n`
    this.#file = lines === '' ? undefined : parseWitnessPolicy(toUtf8(lines))
    this.#text = lines
    this.#write(FILE, lines)
  }

  /** The reader has compared the key with what its operator made known elsewhere. */
  confirm(origin: string, vkey: string): void {
    this.#pins = { ...this.#pins, [origin]: vkey }
    this.#write(PINS, JSON.stringify(this.#pins))
  }

  forget(origin: string): void {
    const { [origin]: _gone, ...rest } = this.#pins
    this.#pins = rest
    this.#write(PINS, JSON.stringify(rest))
  }

  /** `named` are keys that somebody names who is not trusted: they count when the reader knows none, and for nothing. */
  of(origin: string, named: readonly VerifierKey[]): LogTrust {
    const listed = this.#file?.logs.filter(({ key }) => key.name === origin) ?? []
    if (this.#file !== undefined && listed.length > 0)
      return { pinned: 'file', policy: { ...this.#file, logs: listed } }
    const confirmed = this.#pins[origin]
    if (confirmed !== undefined) return { pinned: 'confirmed', policy: policyOf([parseVkey(confirmed)]) }
    return { pinned: 'no', policy: policyOf(named.filter(({ name }) => name === origin)) }
  }

  isPinned(key: VerifierKey): boolean {
    const vkey = formatVkey(key)
    const { pinned, policy } = this.of(key.name, [])
    return pinned !== 'no' && policy.logs.some((log) => formatVkey(log.key) === vkey)
  }

  /** The largest head of this log that verified here before, as a signed note; each key of a log has its own. */
  head(origin: string, vkey: string): string | undefined {
    return this.#heads[`${origin} ${vkey}`]
  }

  remember(origin: string, vkey: string, note: string): void {
    this.#heads = { ...this.#heads, [`${origin} ${vkey}`]: note }
    this.#storage?.setItem(HEADS, JSON.stringify(this.#heads))
  }

  #write(name: string, text: string): void {
    this.#storage?.setItem(name, text)
    this.onChange()
  }
}

const policyOf = (keys: readonly VerifierKey[]): WitnessPolicy => ({
  logs: keys.map((key) => ({ key })),
  witnesses: [],
  quorum: { threshold: 0, members: [] },
})

function parseOrNothing(text: string): WitnessPolicy | undefined {
  try {
    return parseWitnessPolicy(toUtf8(text))
  } catch {
    return undefined
  }
}

function readRecord(storage: Storage | undefined, name: string): Readonly<Record<string, string>> {
  try {
    return Object.fromEntries(
      Object.entries(JSON.parse(storage?.getItem(name) ?? '{}') as object).filter(
        ([, value]) => typeof value === 'string',
      ),
    )
  } catch {
    return {}
  }
}
