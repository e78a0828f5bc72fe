/** What a process did, in the order in which the kernel saw it. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { spawnChild, tempFolder } from './lane.ts'

export interface Call {
  readonly name: string
  /** What the descriptor of the first argument is: a path, or a socket's two ends. */
  readonly on: string
  /** Everything between the brackets. */
  readonly args: string
  readonly result: number
  /** Places in the one order of all calls of all threads: when it was entered, and when it returned. */
  readonly began: number
  readonly ended: number
}

const TRACED = 'read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync'

/** Traces all threads of a process while `body` runs. */
export async function trace(pid: number, body: () => Promise<void>): Promise<Call[]> {
  const file = join(tempFolder(), 'trace')
  const strace = spawnChild('strace', ['-f', '-yy', '-s', '32', '-o', file, '-e', `trace=${TRACED}`, '-p', String(pid)])
  const closed = once(strace, 'close')
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: strace.stderr! }).on('line', (line) => {
      said.push(line)
      if (line.includes(' attached')) resolve()
    })
    void closed.then(() => reject(new Error(`strace ended: ${said.join('\n')}`)))
  })
  try {
    await body()
    // The other end has the bytes of a call before the call returns, and one that has not returned is not in the trace.
    await pause(1_000)
  } finally {
    strace.kill('SIGINT')
    await closed
  }
  return parseTrace(readFileSync(file, 'latin1'))
}

/** Joins the halves of calls that another thread interrupted. */
export function parseTrace(text: string): Call[] {
  const calls: Call[] = []
  const open = new Map<string, { args: string; began: number }>()
  text.split('\n').forEach((line, at) => {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest)
    const begun = resumed ? open.get(thread) : { args: rest, began: at }
    if (begun === undefined) return
    const whole = resumed ? begun.args + resumed[2] : rest
    if (whole.endsWith('<unfinished ...>')) {
      open.set(thread, { args: whole.slice(0, -'<unfinished ...>'.length), began: at })
      return
    }
    open.delete(thread)
    const [, name, args, result] = /^(\w+)\((.*)\) += (-?\d+)/.exec(whole) ?? []
    if (name === undefined || args === undefined) return
    const [, on = ''] = /^\d+<(.*?)>\s*(?:,|$)/.exec(args.replaceAll('->', '→')) ?? []
    calls.push({ name, on, args, result: Number(result), began: begun.began, ended: at })
  })
  return calls.sort((a, b) => a.began - b.began)
}
