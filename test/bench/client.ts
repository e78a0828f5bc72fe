/** Starts the client of a benchmark, and says what came of it. */
import { type ChildProcess, fork } from 'node:child_process'
import type { Job, Result, Work } from './job.ts'

export interface Target {
  readonly host: string
  readonly port: number
}

/** Runs one job in a process of its own; requests are made before its clock starts. `rate`: see Job. */
export async function load(
  { host, port }: Target,
  connections: number,
  seconds: number,
  what: Work,
  rate?: number,
): Promise<Result> {
  const child = fork(new URL('./load.ts', import.meta.url))
  try {
    const job: Job = { host, port, connections, seconds, what, ...(rate !== undefined && { rate }) }
    child.send(job)
    await message(child)
    child.send('go')
    return (await message(child)) as Result
  } finally {
    child.kill()
  }
}

const message = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', (code) => reject(new Error(`the client ended with ${code}`)))
  })

/** min / median / max */
export const spread = (numbers: readonly number[], digits = 0): string => {
  const sorted = [...numbers].sort((a, b) => a - b)
  const text = (n: number) => n.toFixed(digits)
  return `${text(sorted[0]!)} / ${text(sorted[Math.floor(sorted.length / 2)]!)} / ${text(sorted.at(-1)!)}`
}
