/** What a program does to a folder, in order, as test/tools/power-loss/recorder.c writes it down. */
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { must, ROOT, run, tempFolder } from './lane.ts'

/** Paths are below the folder; '' is the folder itself. */
export type Step =
  | { readonly kind: 'create' | 'mkdir' | 'unlink' | 'rmdir' | 'sync'; readonly path: string }
  | { readonly kind: 'rename' | 'link'; readonly path: string; readonly to: string }
  | { readonly kind: 'write'; readonly path: string; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly path: string; readonly length: number }
  /** To standard output: promises. */
  | { readonly kind: 'print'; readonly text: string }

/** Builds the library; the path of it. */
export async function buildRecorder(): Promise<string> {
  const library = join(tempFolder(), 'recorder.so')
  const source = join(ROOT, 'test/tools/power-loss/recorder.c')
  // A fortified build would call other names than those that the recorder stands in for.
  await must('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-Werror', '-U_FORTIFY_SOURCE', '-o', library, source])
  return library
}

/** Runs a program of node over a folder; `unsynced`: every fsync is a lie. */
export async function record(
  recorder: string,
  folder: string,
  program: readonly string[],
  { unsynced = false } = {},
): Promise<Step[]> {
  const journal = join(tempFolder(), 'journal')
  const env = { LD_PRELOAD: recorder, POWER_FOLDER: realpathSync(folder), POWER_JOURNAL: journal }
  const { code, output } = await run(process.execPath, program, {
    env: { ...env, ...(unsynced && { POWER_UNSYNCED: '1' }) },
  })
  if (code !== 0) throw new Error(`the recorded program ended with ${code}:\n${output}`)
  return parseJournal(readFileSync(journal))
}

function parseJournal(journal: Buffer): Step[] {
  const steps: Step[] = []
  for (let at = 0; at < journal.length; ) {
    const end = journal.indexOf('\n', at)
    const [kind = '', offset = '', length = '', path = '', to = ''] = journal.toString('utf8', at, end).split('\t')
    const bytes = journal.subarray(end + 1, end + 1 + Number(length))
    at = end + 1 + bytes.length
    // Shared memory of SQLite, which it makes again: no store of anything.
    if (path.endsWith('-shm')) continue
    steps.push(stepOf(kind, path, to, Number(offset), bytes))
  }
  return steps
}

function stepOf(kind: string, path: string, to: string, offset: number, bytes: Buffer): Step {
  switch (kind) {
    case 'print':
      return { kind, text: bytes.toString() }
    case 'write':
      return { kind, path, offset, bytes }
    case 'truncate':
      return { kind, path, length: offset }
    case 'rename':
    case 'link':
      return { kind, path, to }
    case 'create':
    case 'mkdir':
    case 'unlink':
    case 'rmdir':
    case 'sync':
      return { kind, path }
  }
  throw new Error(`the recorder wrote ${kind}`)
}
