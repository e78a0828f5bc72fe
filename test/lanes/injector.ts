/** A program that is run again and again, each time with one of its system calls failing, or killed at it. strace does both. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run, tempFolder } from './lane.ts'

/** The nth call of its name on a file. */
export interface Point {
  readonly call: string
  /** Below the folder of the run; '' is the folder itself. */
  readonly file: string
  readonly ordinal: number
}

export const FAULTS = ['EIO', 'ENOSPC', 'SIGKILL'] as const
export type InjectedFault = (typeof FAULTS)[number]

/** Whatever reads or changes a file, a folder, or what is on the disk of them. */
const CALLS = [
  ...['openat', 'read', 'pread64', 'write', 'pwrite64', 'pwritev', 'fsync', 'fdatasync', 'ftruncate'],
  ...[
    'rename',
    'renameat',
    'renameat2',
    'link',
    'linkat',
    'unlink',
    'unlinkat',
    'mkdir',
    'mkdirat',
    'fchmod',
    'utimensat',
  ],
]
/** strace counts the calls of each thread by itself: with one thread for files, a file has its calls from one. */
const ENV = { UV_THREADPOOL_SIZE: '1' }

/**
 * Every call that the program makes on something below the folder of each of these runs, in order of name and file. How often a head is published
 * depends on time: what only some runs do, a fault may wait for in vain.
 */
export async function pointsOf(
  folders: readonly string[],
  program: (folder: string) => readonly string[],
): Promise<Point[]> {
  const runs: ReadonlyMap<string, number>[] = []
  for (const folder of folders) runs.push(await countsOf(folder, program(folder)))
  return [...runs[0]!.keys()].flatMap((name) => {
    const [call = '', file = ''] = name.split(' ')
    const least = Math.min(...runs.map((counts) => counts.get(name) ?? 0))
    // Of two heads close together only one is published, on a busy machine more often than on an idle one.
    const length = /log\.db|witness\.db|keys\.db| worm/.test(name) ? least : Math.max(0, least - 3)
    return Array.from({ length }, (_, i) => ({ call, file, ordinal: i + 1 }))
  })
}

async function countsOf(folder: string, program: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const log = join(tempFolder(), 'calls')
  const strace = ['-f', '-qq', '-y', '-s', '0', '-o', log, '-e', 'signal=none', '-e', `trace=${CALLS.join()}`]
  const { code, output } = await run('strace', [...strace, process.execPath, ...program], { env: ENV })
  if (code !== 0) throw new Error(`without a fault the program ends with ${code}:\n${output}`)
  const counts = new Map<string, number>()
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    const [, call = '', args = ''] = /^\d+ +(\w+)\((.*)/.exec(line) ?? []
    const path = pathIn(folder, call, args)
    if (path !== undefined) counts.set(`${call} ${path}`, (counts.get(`${call} ${path}`) ?? 0) + 1)
  }
  return counts
}

/** The file that a call is about, if it lies below the folder. */
function pathIn(folder: string, call: string, args: string): string | undefined {
  const byName = /^(openat|rename|renameat|renameat2|link|linkat|unlink|unlinkat|mkdir|mkdirat)$/.test(call)
  const [, path = ''] = (byName ? /"([^"]*)"/ : /^\d+<([^>]*)>/).exec(args) ?? []
  return path === folder || path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : undefined
}

export interface Injected {
  /** Whether the fault happened: one that did not shows nothing. */
  readonly fired: boolean
  /** null when it was killed, or hung. */
  readonly code: number | null
  readonly hung: boolean
  readonly output: string
}

export async function inject(
  folder: string,
  program: readonly string[],
  { call, file, ordinal }: Point,
  fault: InjectedFault,
): Promise<Injected> {
  const log = join(tempFolder(), 'calls')
  const how = fault === 'SIGKILL' ? 'signal=KILL' : `error=${fault}`
  const only = ['-e', `trace=${call}`, '-P', join(folder, file), '-e', `inject=${call}:${how}:when=${ordinal}`]
  const began = performance.now()
  const { code, output } = await run('strace', ['-f', '-qq', '-o', log, ...only, process.execPath, ...program], {
    ...{ env: ENV, seconds: SECONDS },
  })
  const text = readFileSync(log, 'latin1')
  return {
    fired: fault === 'SIGKILL' ? /killed by SIGKILL/.test(text) : /\(INJECTED\)/.test(text),
    code,
    hung: performance.now() - began > SECONDS * 1000,
    output,
  }
}

/** A run takes about one. */
const SECONDS = 60
