/** The programs as users run them: processes, files, exit codes, in a folder of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { TreelineClient } from '../../src/client/client.ts'
import { SigningKey, signEnvelope } from '../../src/client/signing-key.ts'
import { statementOf } from '../../src/client/statement.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const ORIGIN = 'log.example/models'
const TYPE = 'urn:treeline:train:v1'
/** Where nobody listens. */
export const NOWHERE = 'http://127.0.0.1:9/models'
export const AWAY = ['--patience', '0']

export interface Result {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface Served {
  /** Of the log. */
  readonly url: string
  stop(): Promise<void>
}

export class Programs {
  readonly folder: string
  readonly state: string
  readonly #environment: NodeJS.ProcessEnv

  constructor(folder: string) {
    this.folder = folder
    this.state = join(folder, 'state')
    // Nothing of whoever runs the tests reaches the programs, but where they are compiled once for all.
    const clean = Object.entries(process.env).filter(([name]) => !/^(TREELINE_|NODE_(?!COMPILE_CACHE$))/.test(name))
    this.#environment = { ...Object.fromEntries(clean), TREELINE_STATE: this.state }
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  write(name: string, text: string): string {
    writeFileSync(this.path(name), text)
    return name
  }

  start(program: 'treeline' | 'treeline-server', args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    return this.#node(join(ROOT, `cmd/${program}.ts`), args, env)
  }

  /** Runs the first program that stands in a page of docs/, in this folder, with some of its text replaced. */
  runDocumented(page: string, replacements: Readonly<Record<string, string>>): Promise<Result> {
    const text = readFileSync(join(ROOT, 'docs', page), 'utf8')
    let [, code = ''] = /^```ts\n(.*?)^```$/ms.exec(text) ?? []
    for (const [old, now] of Object.entries(replacements)) code = code.replaceAll(old, now)
    // Below the root, where the package can name itself.
    const file = join(ROOT, '.tap', `${page}.${process.pid}.ts`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, code)
    return finished(this.#node(file, [], {})).finally(() => rmSync(file))
  }

  #node(file: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    return spawn(process.execPath, [file, ...args], {
      cwd: this.folder,
      env: { ...this.#environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** Runs `treeline` to its end. */
  run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Result> {
    return finished(this.start('treeline', args, env))
  }

  /** Throws when it ends with another code. */
  async expecting(code: number, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Result> {
    const result = await this.run(args, env)
    if (result.code === code) return result
    throw new Error(`treeline ${args.join(' ')}: ${result.code}, not ${code}\n${result.out}${result.err}`)
  }

  /** Runs `treeline-server` to its end. */
  server(...args: string[]): Promise<Result> {
    return finished(this.start('treeline-server', args))
  }

  /** `treeline-server init`. */
  init(...more: string[]): Promise<Result> {
    return this.server('init', '--data', 'data', '--name', 'models', '--origin', ORIGIN, '--profile', 'events', ...more)
  }

  async serve(): Promise<Served> {
    const args = ['serve', '--data', 'data', '--listen', '127.0.0.1:0', '--publish-interval', '20']
    const child = this.start('treeline-server', args)
    let errors = ''
    child.stderr?.on('data', (text) => {
      errors += text
    })
    const exit = once(child, 'exit')
    const failed = exit.then(() => {
      throw new Error(`the server ended: ${errors}`)
    })
    failed.catch(() => {})
    const line = once(createInterface({ input: child.stdout! }), 'line')
    const [text] = (await Promise.race([line, failed])) as [string]
    return {
      url: `${/listens on (\S+)/.exec(text)![1]}/models`,
      async stop() {
        child.kill('SIGTERM')
        await exit
      },
    }
  }

  /** Flags of a log that is trusted by trust.txt. */
  log(url: string): string[] {
    return ['--log', url, '--trust', 'trust.txt']
  }

  /** A command that submits an event about a new file, signed by trainer.key. */
  submission(url: string, name: string, ...more: string[]): string[] {
    const produced = this.write(name, name)
    return ['submit', ...this.log(url), '--key', 'trainer.key', '--type', TYPE, '--produced', produced, ...more]
  }

  /** Fills the spool by the client of this process: as another program that uses it would. */
  async spool(names: readonly string[]): Promise<void> {
    const trust = parseWitnessPolicy(new Uint8Array(readFileSync(this.path('trust.txt'))))
    const client = new TreelineClient({ url: NOWHERE, trust, state: this.state, patience: 0 })
    const key = SigningKey.load(this.path('trainer.key'))
    for (const name of names) {
      const produced = [{ path: this.path(this.write(name, name)) }]
      const step = { type: TYPE, origin: ORIGIN, produced, consumed: [], parameters: {} }
      await client.spool.add(signEnvelope(IN_TOTO, await statementOf(step), [key]))
    }
    await client.close()
  }

  /** Names of the files in a folder of the client's state for the log. */
  stateFiles(name: string): string[] {
    const [log = ''] = readdirSync(this.state)
    mkdirSync(join(this.state, log, name), { recursive: true })
    return readdirSync(join(this.state, log, name)).filter((file) => file.endsWith('.json') || file.endsWith('.txt'))
  }
}

async function finished(child: ChildProcess): Promise<Result> {
  const [out, err]: string[][] = [[], []]
  child.stdout?.on('data', (text) => out!.push(String(text)))
  child.stderr?.on('data', (text) => err!.push(String(text)))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out: out!.join(''), err: err!.join('') }
}

/** Subjects of all events, in the order of the log. */
export async function subjectsOf(url: string): Promise<string[]> {
  const { events } = (await (await fetch(`${url}/v1/events?limit=1000`)).json()) as {
    events: { kind: string; envelope: { payload: string } | null }[]
  }
  return events.flatMap(({ kind, envelope }) =>
    kind === 'event' && envelope
      ? [JSON.parse(Buffer.from(envelope.payload, 'base64').toString()).subject[0].name as string]
      : [],
  )
}
