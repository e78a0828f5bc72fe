/** A writer of a folder, killed before each of its calls that change something: what it leaves is whole or nothing, and can be gone on from. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { FolderStore } from '../../witness/worm/folder.ts'
import { unmakeImmutable } from '../support/immutable.ts'
import { keysOf } from '../witness/worm-contract.ts'
import { check, must, run, tempFolder } from './lane.ts'
import { needProgram } from './tools.ts'

const WRITER = 'test/lanes/worm-writer.ts'
const KEY = 'log/entries/0-5'
const TEXT = 'five entries'
const HOUR = 3_600_000
const UNTIL = Math.floor(Date.now() / 1000) * 1000 + HOUR
/** Node itself makes none of them when it starts. */
const CALLS = ['mkdir', 'fchmod', 'utimensat', 'fsync', 'link', 'unlink']

/** Needs root, whose files can be immutable, and strace. */
export async function killedWriters(): Promise<void> {
  await needProgram('strace', 'install strace')
  // Before the lane removes them.
  process.prependOnceListener('exit', () => unmakeImmutable(...folders))
  check('a file is on the disk before it has its name, and its name before put returns', await syncsInOrder())
  const { killed, broken } = await killEverywhere([])
  check(`a writer killed at ${killed} calls leaves nothing half`, killed > 10 && broken.length === 0, broken.join('\n'))
  const careless = await killEverywhere(['careless'])
  check('one that writes under the final name is found out', careless.broken.length > 0)
  console.log(`  ${careless.broken[0] ?? ''}`)
}

const folders: string[] = []

/** The page cache survives a kill, so that shows nothing of fsync. */
async function syncsInOrder(): Promise<boolean> {
  const folder = tempFolder()
  folders.push(folder)
  const log = join(tempFolder(), 'calls')
  const strace = ['-f', '-qq', '-o', log, '-e', 'signal=none', '-e', 'trace=fsync,utimensat,link']
  await must('strace', [...strace, process.execPath, WRITER, folder, KEY, TEXT, `${UNTIL}`])
  const calls = readFileSync(log, 'utf8').match(/\b(fsync|utimensat|link)(?=\()/g) ?? []
  // Three folders: that of the file, the one above, and the store's.
  return calls.join(' ').startsWith('utimensat fsync link fsync fsync fsync')
}

async function killEverywhere(flags: readonly string[]): Promise<{ killed: number; broken: string[] }> {
  let killed = 0
  const broken: string[] = []
  const killAt = async (call: string): Promise<void> => {
    for (let nth = 1; ; nth++) {
      const folder = tempFolder()
      folders.push(folder)
      // Not --seccomp-bpf, with which strace 6.1 injects no signals.
      const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${nth}`]
      const strace = ['-f', '-qq', '-o', '/dev/null', ...inject]
      const writer = [process.execPath, WRITER, folder, KEY, TEXT, `${UNTIL}`, ...flags]
      // strace counts the calls of each thread by itself.
      const { code, output } = await run('strace', [...strace, ...writer], { env: { UV_THREADPOOL_SIZE: '1' } })
      if (code === 0) return
      if (output !== '') throw new Error(`strace or the writer failed:\n${output}`)
      killed++
      const problem = await examine(folder).catch(String)
      if (problem !== undefined) broken.push(`killed at ${call} ${nth}: ${problem}`)
    }
  }
  // Two cores.
  await Promise.all(
    [CALLS.slice(0, 3), CALLS.slice(3)].map(async (calls) => {
      for (const call of calls) await killAt(call)
    }),
  )
  return { killed, broken }
}

/** What is wrong with what is left, or with what comes after. */
async function examine(folder: string): Promise<string | undefined> {
  const file = join(folder, KEY)
  const store = await FolderStore.open(folder)
  if (existsSync(file)) {
    if (readFileSync(file, 'utf8') !== TEXT) return 'the file is half'
    const { mode, mtimeMs } = statSync(file)
    if ((mode & 0o222) !== 0) return 'the file is writable'
    if (mtimeMs !== UNTIL && mtimeMs !== UNTIL + HOUR) return 'the file has no end of retention'
    if ((await keysOf(store.list(''))) !== KEY) return 'it is not listed alone'
  } else if ((await keysOf(store.list(''))) !== '') return 'a file is listed that is not there'

  const object = await store.put(KEY, toUtf8(TEXT), UNTIL)
  if (!equal(await store.get(object), toUtf8(TEXT))) return 'put again, it has other bytes'
  if ((await store.lockOf(object)).until < UNTIL) return 'put again, it is not locked'
  return (await keysOf(store.list(''))) === KEY ? undefined : 'put again, it is not listed alone'
}
