/** Runs the programs of the project as anyone would in a shell, and shows each command. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export type Program = 'treeline' | 'treeline-server' | 'treeline-witness'

/** A program in the background. */
interface Running {
  readonly child: ChildProcess
  readonly url: string
}

const shown = (program: string, args: readonly string[]): string =>
  `$ ${program} ${args.map((arg) => (/^[\w./:@=-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ')}`

export class Programs {
  readonly folder: string
  readonly #running = new Map<Program, Running>()

  constructor(folder: string) {
    this.folder = folder
  }

  /** To its end; returns what it printed. Ends everything when it does not exit with `expected`. */
  run(program: Program, args: readonly string[], { expected = 0, quiet = false } = {}): string {
    if (!quiet) console.log(shown(program, args))
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, `cmd/${program}.ts`), ...args], {
      cwd: this.folder,
      encoding: 'utf8',
      env: { ...process.env, TREELINE_STATE: join(this.folder, 'state') },
    })
    const output = `${stdout}${stderr}`.trim()
    if (!quiet && output !== '') console.log(output.replace(/^/gm, '  '))
    if (status === expected) return stdout
    console.error(
      `quickstart: ${program} ended with ${status} where ${expected} was expected${quiet ? `:\n${output}` : ''}`,
    )
    this.kill()
    process.exit(70)
  }

  /** Until `stop`; resolves to its URL once it listens. */
  async start(program: Program, args: readonly string[]): Promise<string> {
    console.log(`${shown(program, args)} &`)
    const child = spawn(process.execPath, [join(ROOT, `cmd/${program}.ts`), ...args], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'inherit'],
      // Without a line for each request.
      env: { ...process.env, TREELINE_LOG_LEVEL: 'fatal' },
    })
    const lines = createInterface({ input: child.stdout })
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`${program} ended with ${code}`)
    })
    ended.catch(() => {})
    const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string]
    console.log(`  ${line}`)
    const url = /listens on (\S+)/.exec(line)![1]!
    this.#running.set(program, { child, url })
    return url
  }

  async stop(program: Program): Promise<void> {
    const running = this.#running.get(program)
    if (running === undefined) return
    this.#running.delete(program)
    console.log(`$ kill %${program}`)
    running.child.kill('SIGTERM')
    await once(running.child, 'exit')
  }

  /** When the program has ended by itself. */
  async ended(program: Program): Promise<void> {
    await once(this.#running.get(program)!.child, 'exit')
  }

  kill(): void {
    for (const { child } of this.#running.values()) child.kill('SIGTERM')
  }
}

/** The usual port, or a free one where that is taken. */
export async function choosePort(usual: number): Promise<number> {
  const probe = createServer()
  try {
    probe.listen(usual, '127.0.0.1')
    await once(probe, 'listening')
    return usual
  } catch {
    probe.listen(0, '127.0.0.1')
    await once(probe, 'listening')
    return (probe.address() as { port: number }).port
  } finally {
    probe.close()
  }
}
