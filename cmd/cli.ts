/** What the programs share: flags (over environment, over a configuration file), help, errors and exit codes. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Code, TreelineError } from '../src/core/errors.ts'

export const EXIT = { done: 0, unverified: 1, usage: 2, refused: 3, unreachable: 4, news: 10, bug: 70 } as const

export interface Flag {
  readonly name: string
  /** What the value is, in capitals; a flag without is on or off. */
  readonly value?: string
  readonly help: string
  readonly default?: string
  readonly required?: boolean
  readonly multiple?: boolean
}

export interface Command {
  readonly name: string
  /** What follows the flags, as it stands in the usage line. */
  readonly operands?: string
  readonly summary: string
  readonly flags: readonly Flag[]
  readonly run: (options: Options, operands: readonly string[]) => Promise<number>
}

/** Values by flag name: of one flag the last, of a multiple one all. */
export class Options {
  readonly #values: ReadonlyMap<string, readonly string[]>
  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values
  }
  get(name: string): string | undefined {
    return this.#values.get(name)?.at(-1)
  }
  /** Of a flag that is required or has a default. */
  need(name: string): string {
    const value = this.get(name)
    if (value === undefined) throw usage(`--${name} is missing`)
    return value
  }
  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }
  is(name: string): boolean {
    return this.get(name) === 'true'
  }
  /** A whole number within bounds. */
  integer(name: string, least: number, most: number): number {
    const text = this.need(name)
    const value = Number(text)
    if (!/^[0-9]+$/.test(text) || value < least || value > most) {
      throw usage(`--${name} takes a whole number from ${least} to ${most}, not "${text}"`)
    }
    return value
  }
}

export const usage = (message: string): TreelineError => new TreelineError('USAGE', message)

/** What others wrote, for a terminal: control and formatting characters could make it show something else than is there. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`)

/** Runs the command that the arguments name and sets the exit code. */
export async function main(program: string, about: string, commands: readonly Command[]): Promise<void> {
  // Whoever reads us may stop before the end (`treeline get 7 | head -1`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
  const [first = '--help', ...rest] = process.argv.slice(2)
  // Two-word commands ("token add") go before one-word ones.
  const command =
    commands.find(({ name }) => name === `${first} ${rest[0]}`) ?? commands.find(({ name }) => name === first)
  try {
    if (command === undefined) {
      const asked = first === 'help' || isHelp(first)
      const group = commands.filter(({ name }) => name.startsWith(`${first} `))
      if (asked) process.stdout.write(programHelp(program, about, commands))
      else if (group.length > 0 && isHelp(rest[0])) process.stdout.write(programHelp(program, about, group))
      else if (group.length > 0)
        throw usage(`${first} is followed by ${group.map(({ name }) => name.slice(first.length + 1)).join(', ')}`)
      else throw usage(`there is no command "${first}": ${program} --help lists them`)
      return
    }
    const words = command.name.split(' ').length - 1
    const { options, operands, help } = parse(command, rest.slice(words))
    if (help) process.stdout.write(commandHelp(program, command))
    else process.exitCode = await command.run(options, operands)
  } catch (error) {
    process.exitCode = report(program, error)
  }
}

const isHelp = (argument: string | undefined): boolean => argument === '--help' || argument === '-h'

function parse({ flags, name }: Command, args: readonly string[]) {
  const all: readonly Flag[] = [...flags, CONFIG]
  let values: Record<string, unknown>
  let operands: string[]
  try {
    const parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        ...Object.fromEntries(
          all.map((flag) => [flag.name, { type: flag.value ? 'string' : 'boolean', multiple: true } as const]),
        ),
      },
    })
    values = parsed.values
    operands = parsed.positionals
  } catch (error) {
    throw usage(`${name}: ${(error as Error).message}`)
  }
  const found = new Map<string, readonly string[]>()
  const help = values.help === true
  const config = readConfig((values.config as string[] | undefined)?.at(-1) ?? process.env.TREELINE_CONFIG, flags)
  for (const flag of all) {
    const given = (values[flag.name] as (string | boolean)[] | undefined)?.map(String)
    const environment = process.env[`TREELINE_${flag.name.toUpperCase().replaceAll('-', '_')}`]
    const value =
      given ??
      (environment === undefined ? undefined : flag.multiple ? environment.split(',') : [environment]) ??
      config.get(flag.name) ??
      (flag.default === undefined ? undefined : [flag.default])
    if (value !== undefined) found.set(flag.name, value)
    else if (flag.required && !help) throw usage(`${name}: --${flag.name} ${flag.value} is missing: ${flag.help}`)
  }
  return { options: new Options(found), operands, help }
}

const CONFIG: Flag = {
  name: 'config',
  value: 'FILE.json',
  help: 'flags by name; the command line and TREELINE_<FLAG> go before it',
}

function readConfig(file: string | undefined, flags: readonly Flag[]): Map<string, readonly string[]> {
  if (file === undefined) return new Map()
  let document: unknown
  try {
    document = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw usage(`the configuration ${file} cannot be read: ${(error as Error).message}`)
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw usage(`the configuration ${file} is not a JSON object`)
  }
  return new Map(
    Object.entries(document).map(([key, value]) => {
      const flag = flags.find(({ name }) => name === key)
      if (flag === undefined) throw usage(`the configuration ${file} has the unknown key "${key}"`)
      const list = Array.isArray(value) ? value : [value]
      if ((list.length > 1 && !flag.multiple) || list.some((one) => typeof one === 'object')) {
        throw usage(`the configuration ${file} has no plain value for "${key}"`)
      }
      return [key, list.map(String)]
    }),
  )
}

function programHelp(program: string, about: string, commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  const list = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`).join('')
  return `${about}\n\nusage: ${program} COMMAND [FLAGS]\n\n${list}\n${program} COMMAND --help says more of one.\n`
}

function commandHelp(program: string, { name, operands, summary, flags }: Command): string {
  const left = (flag: Flag) => `--${flag.name}${flag.value ? ` ${flag.value}` : ''}`
  const all = [...flags, CONFIG]
  const width = Math.max(...all.map((flag) => left(flag).length))
  const lines = all.map((flag) => {
    const notes = [
      flag.required && 'required',
      flag.multiple && 'may be repeated',
      flag.default && `default ${flag.default}`,
    ].filter(Boolean)
    return `  ${left(flag).padEnd(width)}  ${flag.help}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}\n`
  })
  return `${summary}\n\nusage: ${program} ${name} [FLAGS]${operands ? ` ${operands}` : ''}\n\n${lines.join('')}`
}

const UNVERIFIED = new Set<Code>([
  'UNVERIFIED_NOTE',
  'INVALID_PROOF',
  'INVALID_LOG',
  'MALFORMED_NOTE',
  'MALFORMED_CHECKPOINT',
  'MALFORMED_PROOF',
  'MALFORMED_ENTRY',
  'MALFORMED_BUNDLE',
  'MALFORMED_CBOR',
  'MALFORMED_COSIGNATURE',
  'MALFORMED_FAULT',
  'MALFORMED_SNAPSHOT',
  'WORM_BROKEN',
  'UNVERIFIABLE',
])
const USAGE = new Set<Code>(['USAGE', 'LOCKED', 'MALFORMED_KEY', 'MALFORMED_VKEY', 'MALFORMED_WITNESS_POLICY'])
const UNREACHABLE = new Set<Code>([
  'UNREACHABLE',
  'QUEUE_FULL',
  'STORAGE_FAILED',
  'CLOCK',
  'RATE_LIMITED',
  'FROZEN',
  'NOT_YET_AUDITED',
  'NOT_YET_PUBLISHED',
])

/** Says what went wrong on standard error; returns the exit code. */
function report(program: string, error: unknown): number {
  if (!(error instanceof TreelineError)) {
    console.error(`${program}: this is a bug:`, error)
    return EXIT.bug
  }
  console.error(`${program}: ${printable(error.message)} (${printable(error.code)})`)
  return exitOf(error.code)
}

export function exitOf(code: Code): number {
  if (USAGE.has(code)) return EXIT.usage
  if (UNVERIFIED.has(code)) return EXIT.unverified
  return UNREACHABLE.has(code) ? EXIT.unreachable : EXIT.refused
}
