/** The programs of the project as their operators run them: processes with flags, environment and disks. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface StartOptions {
  readonly uid?: number
  /** Largest file that it may write, in KiB: what a full disk looks like. */
  readonly fileKiB?: number
  /** Most files that it may have open. */
  readonly openFiles?: number
  readonly env?: NodeJS.ProcessEnv
}

/** `program` is a path in the repository. Killed at the end of the test. */
export function startProgram(
  t: Test,
  program: string,
  args: readonly string[],
  { uid, fileKiB, openFiles, env = {} }: StartOptions = {},
): ChildProcess {
  const command = [process.execPath, program, ...args]
  const limits = [
    ...(fileKiB === undefined ? [] : [`ulimit -f ${fileKiB}`]),
    ...(openFiles === undefined ? [] : [`ulimit -n ${openFiles}`]),
  ]
  const limited = limits.length === 0 ? command : ['bash', '-c', `${limits.join('; ')}; exec "$@"`, 'bash', ...command]
  const child = spawn(limited[0]!, limited.slice(1), {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(uid !== undefined && { uid, gid: uid }),
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

export interface Ended {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

/** Killed when it has not ended by itself after 30 s: then `code` is null. */
export async function runProgram(
  t: Test,
  program: string,
  args: readonly string[],
  options?: StartOptions,
): Promise<Ended> {
  const child = startProgram(t, program, args, options)
  let output = ''
  let errors = ''
  child.stdout!.on('data', (part) => {
    output += part
  })
  child.stderr!.on('data', (part) => {
    errors += part
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, output, errors }
}
