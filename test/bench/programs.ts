/** The programs of the project as processes, and what a benchmark wants to know of one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export interface Running {
  readonly url: URL
  readonly child: ChildProcess
  /** `journal_mode=… synchronous=…`, as SQLite said it. */
  readonly durability: string
  stop(): Promise<void>
}

/** What Node is to be told, as the first line of a program says. */
export const flagsOf = (program: string): string[] =>
  readFileSync(program, 'utf8')
    .split('\n', 1)[0]!
    .split(' ')
    .filter((word) => word.startsWith('--'))

/** A benchmark that fails leaves none behind, whose output its caller would wait for. */
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** Resolves once it has said where it listens. */
export async function start(program: string, args: readonly string[]): Promise<Running> {
  const child = spawn(process.execPath, [...flagsOf(program), program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  let durability = 'not said'
  const url = await new Promise<URL>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      durability = /\((journal_mode.*)\)/.exec(line)?.[1] ?? durability
      const found = /listens on (http\S+)/.exec(line)?.[1]
      if (found) resolve(new URL(found))
    })
  })
  return {
    ...{ url, child, durability },
    async stop() {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** What a process has used so far. */
export interface Usage {
  /** Processor time of all its threads, s: also on a machine with other work a measure of the work itself. */
  readonly cpu: number
  /** The most memory that it had, MiB. */
  readonly peak: number
}

/** Runs to its end. Throws when it does not end with 0. */
export async function run(program: string, args: readonly string[]): Promise<Usage & { readonly seconds: number }> {
  const began = performance.now()
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (part) => {
    said += part
  })
  let usage: Usage = { cpu: 0, peak: 0 }
  const timer = setInterval(() => {
    usage = usageOf(child) ?? usage
  }, 20)
  const [code] = (await once(child, 'close')) as [number | null]
  clearInterval(timer)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${said}`)
  return { seconds: (performance.now() - began) / 1000, ...usage }
}

/** Ticks of the clock in which Linux counts processor time, a second. */
const TICKS = 100

/** Undefined once it has ended. */
export function usageOf({ pid }: ChildProcess): Usage | undefined {
  try {
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    // proc(5): the fields after the name in parentheses begin with the third; utime and stime are the 14th and 15th.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    if (peak === undefined) return undefined
    return { cpu: (Number(fields[11]) + Number(fields[12])) / TICKS, peak: Number(peak) / 1024 }
  } catch {
    return undefined
  }
}
