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

/** Resolves once it has said where it listens. */
export async function start(program: string, args: readonly string[]): Promise<Running> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
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

/** Runs to its end, and gives the most memory that it had. Throws when it does not end with 0. */
export async function run(program: string, args: readonly string[]): Promise<{ seconds: number; peak: number }> {
  const began = performance.now()
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (part) => {
    said += part
  })
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, peakMemory(child))
  }, 20)
  const [code] = (await once(child, 'close')) as [number | null]
  clearInterval(timer)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${said}`)
  return { seconds: (performance.now() - began) / 1000, peak }
}

/** The most memory that a process had so far, MiB; 0 once it has ended. */
export function peakMemory({ pid }: ChildProcess): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}
