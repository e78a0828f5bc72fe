/**
 * What every lane shares. A lane runs the product as its users do, as processes on loopback, beside programs of
 * others that judge it; it prints one line for each check and ends with `N passed, N failed`. Run one by
 * `npm exec -- node test/lanes/NAME.ts`, all by `.ci/run`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const SERVER = 'cmd/treeline-server.ts'

// Programs are compiled once for all lanes: that is a third of the time that one takes to start.
process.env.NODE_COMPILE_CACHE ??= join(ROOT, 'node_modules/.cache/treeline-test')

let passed = 0
let failed = 0
const folders: string[] = []
const children = new Set<ChildProcess>()

/** Counts one check; `detail` is printed when it fails. */
export function check(name: string, condition: boolean, detail = ''): void {
  if (condition) passed++
  else failed++
  console.log(`${condition ? 'ok' : 'not ok'} - ${name}`)
  if (!condition && detail !== '') console.log(detail.replace(/^/gm, '    '))
}

/** Runs the body of a lane, cleans up behind it, prints the last line and ends the process. */
export async function lane(body: () => Promise<void>): Promise<never> {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  process.once('exit', () => {
    for (const child of children) child.kill('SIGKILL')
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  try {
    await body()
  } catch (error) {
    failed++
    console.log('not ok - the lane ran to its end')
    console.log(error)
  }
  if (passed === 0) console.log('nothing was checked: that is a failure')
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed === 0 && passed > 0 ? 0 : 1)
}

/** An empty folder that is gone when the lane ends. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'treeline-lane-'))
  folders.push(folder)
  return folder
}

export interface Finished {
  readonly code: number | null
  /** Standard output and standard error as they came. */
  readonly output: string
}

/** A child that dies with the lane. */
export function spawnChild(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(command, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  children.add(child)
  child.once('close', () => children.delete(child))
  return child
}

/** Runs a program to its end; past `seconds` it is killed, and its code is null. */
export async function run(
  command: string,
  args: readonly string[],
  { seconds = 120, env = {} }: { seconds?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Finished> {
  const child = spawnChild(command, args, env)
  const parts: Buffer[] = []
  child.stdout!.on('data', (part: Buffer) => parts.push(part))
  child.stderr!.on('data', (part: Buffer) => parts.push(part))
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, output: Buffer.concat(parts).toString() }
}

/** Runs a program that must succeed; returns its output. */
export async function must(...command: Parameters<typeof run>): Promise<string> {
  const { code, output } = await run(...command)
  if (code !== 0) throw new Error(`${command[0]} ${command[1].join(' ')} ended with ${code}:\n${output}`)
  return output
}

export const treelineServer = (...args: string[]): Promise<Finished> => run(process.execPath, [SERVER, ...args])

/** Makes a `raw` log `name` in a data folder; returns its verifier key. */
export async function initRaw(data: string, name: string, origin: string): Promise<string> {
  const flags = ['--data', data, '--name', name, '--origin', origin, '--profile', 'raw']
  return (await must(process.execPath, [SERVER, 'init', ...flags])).trim()
}

export interface Server {
  /** Without a slash at the end. */
  readonly url: string
  readonly process: ChildProcess
  /** SIGTERM; resolves when it is gone, to its exit code. */
  stop(): Promise<number | null>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

/** Starts `serve` on a free port; resolves when it listens. */
export const startServer = (data: string, flags: readonly string[] = [], program = SERVER): Promise<Server> =>
  startProgram(program, ['serve', '--data', data, '--listen', '127.0.0.1:0', '--log-level', 'warn', ...flags])

/** Starts a program of ours that says where it listens; resolves when it has. */
export async function startProgram(program: string, args: readonly string[]): Promise<Server> {
  const child = spawnChild(process.execPath, [program, ...args])
  const closed = once(child, 'close') as Promise<[number | null]>
  const said: string[] = []
  createInterface({ input: child.stderr! }).on('line', (line) => {
    said.push(line)
    console.log(`  server: ${line}`)
  })
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const [address] = /http:\/\/\S+/.exec(line) ?? []
      if (address !== undefined) resolve(address.replace(/\/$/, ''))
    })
    void closed.then(([code]) => reject(new Error(`the server ended with ${code}:\n${said.join('\n')}`)))
  })
  return {
    url,
    process: child,
    async stop() {
      child.kill('SIGTERM')
      return (await closed)[0]
    },
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
  }
}

/** Asks until the answer is not undefined; throws after `seconds`. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined>, seconds = 20): Promise<T> {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${what}: not within ${seconds} s`)
}

/** Entries of the tree of the first log of a server, published or not. */
export async function treeSize(url: string): Promise<number> {
  const [log] = (await (await fetch(`${url}/v1/logs`)).json()) as { size: number }[]
  return log!.size
}
