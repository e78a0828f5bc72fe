/**
 * The power goes at any moment of a log's life, and of a witness's: what was never synced is gone, or there in part, torn at 4 KiB or at 512 bytes.
 * Nothing that was promised before is lost, and what is left can be gone on from. The moments are those of one recorded run.
 */
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { check, lane, tempFolder } from './lane.ts'
import { ALL, type Cut, Disk, LAST, NONE, NOT_FIRST, torn, writeFiles } from './power-disk.ts'
import { buildRecorder, record, type Step } from './power-recording.ts'
import { logSubject } from './syscall-log-subject.ts'
import type { Subject } from './syscall-subject.ts'
import { witnessSubject } from './syscall-witness-subject.ts'
import { needProgram } from './tools.ts'

/** What one cut may leave; `promised` is what had been printed before it. */
interface Image {
  readonly name: string
  readonly files: ReadonlyMap<string, Buffer | null>
  readonly promised: string
}

type Cuts = (step: Step, number: number) => readonly Cut[]

/** Before each sync the most is in the air; after a promise, what it promised must not be. */
const everywhere: Cuts = ({ kind }, n) => {
  const seeds = (count: number): Cut[] =>
    Array.from({ length: count }, (_, i) => [torn(4096, 100 * n + i), torn(512, 100 * n + i)]).flat()
  if (kind === 'sync') return [NONE, ALL, LAST, NOT_FIRST, ...seeds(8)]
  return kind === 'print' ? [NONE, ...seeds(2)] : seeds(1)
}
const atPromises: Cuts = ({ kind }) => (kind === 'print' ? [NONE] : [])

async function power(): Promise<void> {
  await needProgram('cc', 'apt-get install build-essential')
  const recorder = await buildRecorder()
  const log = await logSubject({ served: false })
  await survives(log, recorder)
  await staysErased(log, recorder)
  await survives(await witnessSubject(), recorder)
}

async function survives(subject: Subject, recorder: string): Promise<void> {
  const { name } = subject
  const life = await recorded(subject, recorder)
  check(`${name}: the record gives every file as it is`, same(seen(life), life.folder))
  await holdsAt(name, subject, life)

  // Killed before a commit was synced, which the next life sees all the same, and answers by; then the power goes.
  const killed = await goneOn(subject, recorder, life)
  check(`${name}: the record of a life after a kill gives every file`, same(seen(killed), killed.folder))
  await holdsAt(`${name}, killed before`, subject, killed)

  const normal = await recorded(subject, recorder, { flags: ['--import', './test/lanes/power-normal.ts'] })
  const forgotten = await judge(subject, imagesOf(normal, atPromises))
  const lost = forgotten.filter((problem) => /lost|forgotten/.test(problem)).length
  check(`${name}: synchronous=NORMAL is found out`, lost > 0, forgotten.join('\n'))
  const lying = await recorded(subject, recorder, { unsynced: true })
  const gone = await judge(subject, imagesOf(lying, atPromises))
  check(`${name}: a disk that does not sync is found out`, gone.length > 0)
}

/** The journal has older copies of the pages in which something was erased: who was told that it is gone must not see it come back. */
async function staysErased(subject: Subject, recorder: string): Promise<void> {
  const life = await recorded(subject, recorder)
  const told = life.steps.findIndex((step) => step.kind === 'print' && step.text.includes('"erased":true'))
  const disk = new Disk(life.before)
  for (const step of life.steps.slice(0, told)) disk.apply(step)
  const [[, journal] = []] = [...disk.cut(NONE)].filter(([name]) => name.endsWith('log.db-wal'))
  check('log: the journal is empty on the disk once something is erased', told > 0 && journal?.length === 0)
}

async function holdsAt(name: string, subject: Subject, life: Life): Promise<void> {
  const began = performance.now()
  const images = imagesOf(life, everywhere)
  const broken = await judge(subject, images)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const count = (kind: Step['kind']): number => life.steps.filter((step) => step.kind === kind).length
  console.log(
    `  ${name}: ${life.steps.length} steps, ${count('sync')} syncs, ${count('print')} promises; ${images.length} disks in ${seconds} s`,
  )
  check(`${name}: it promised, and there is much to lose`, count('print') > 10 && images.length > 50)
  check(`${name}: none of ${images.length} cuts breaks a promise`, broken.length === 0, broken.slice(0, 20).join('\n'))
}

/** What was done to a folder. */
interface Life {
  /** As it was. */
  readonly before: string
  /** As it is. */
  readonly folder: string
  readonly steps: readonly Step[]
}

/** A run over a copy. */
async function recorded(
  { folder, command }: Pick<Subject, 'folder' | 'command'>,
  recorder: string,
  { flags = [], unsynced = false }: { flags?: readonly string[]; unsynced?: boolean } = {},
): Promise<Life> {
  const parent = realpathSync(tempFolder())
  const [before, copy] = [join(parent, 'before'), join(parent, 'after')]
  for (const to of [before, copy]) cpSync(folder, to, { recursive: true })
  const steps = await record(recorder, copy, [...flags, ...command(copy, false)], { unsynced })
  return { before, folder: copy, steps }
}

/** A life that was killed before its last but one commit was synced, and the next one, which begins with what was seen then. */
async function goneOn(subject: Subject, recorder: string, { before, steps }: Life): Promise<Life> {
  const commits = steps.flatMap(({ kind }, n) => (kind === 'print' ? [lastSync(steps, n)] : []))
  const killed = { before, steps: steps.slice(0, commits.at(-2)) }
  const folder = tempFolder()
  writeFiles(folder, seen(killed))
  const next = await recorded({ ...subject, folder }, recorder)
  return { before, folder: next.folder, steps: [...killed.steps, ...next.steps] }
}

function lastSync(steps: readonly Step[], before: number): number {
  return steps.findLastIndex((step, n) => n < before && step.kind === 'sync' && step.path.endsWith('-wal'))
}

/** The files as a program sees them in the end. */
function seen({ before, steps }: Pick<Life, 'before' | 'steps'>): ReadonlyMap<string, Buffer | null> {
  const disk = new Disk(before)
  for (const step of steps) disk.apply(step)
  return disk.cut(ALL)
}

/** The disks that cuts leave, each different one once, with the most that had been promised by then. */
function imagesOf({ before, steps }: Life, cuts: Cuts): Image[] {
  const disk = new Disk(before)
  const images = new Map<string, Image>()
  let promised = ''
  steps.forEach((step, n) => {
    if (step.kind === 'print') promised += step.text
    for (const cut of cuts(step, n)) {
      const files = disk.cut(cut)
      const name = `before step ${n} (${step.kind} ${'path' in step ? step.path : ''}), ${cut.name}`
      images.set(digestOf(files), { name, files, promised })
    }
    disk.apply(step)
  })
  return [...images.values()]
}

function digestOf(files: ReadonlyMap<string, Buffer | null>): string {
  const hash = createHash('sha256')
  for (const [name, content] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${name}\0${content?.length ?? 'folder'}\0`).update(content ?? '')
  return hash.digest('hex')
}

/** What is wrong with what each of them leaves; two at a time. */
async function judge(subject: Subject, images: readonly Image[]): Promise<string[]> {
  const broken: string[] = []
  const left = [...images]
  const work = async (): Promise<void> => {
    for (let image = left.shift(); image !== undefined; image = left.shift()) {
      const folder = join(tempFolder(), 'data')
      mkdirSync(folder)
      writeFiles(folder, image.files)
      const problems = await subject.examine(folder, image.promised).catch((error: Error) => [String(error.stack)])
      for (const problem of problems) broken.push(`${image.name}: ${problem}`)
      rmSync(folder, { recursive: true, force: true })
    }
  }
  await Promise.all([work(), work()])
  return broken
}

/** Whether a folder holds these files, byte for byte, and no others. */
function same(files: ReadonlyMap<string, Buffer | null>, folder: string): boolean {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => !name.endsWith('-shm'))
  return (
    names.length === files.size &&
    names.every((name) => {
      const content = files.get(name)
      if (content === undefined) return false
      return statSync(join(folder, name)).isDirectory()
        ? content === null
        : content?.equals(readFileSync(join(folder, name)))
    })
  )
}

await lane(power)
