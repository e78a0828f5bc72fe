/**
 * Every system call of a log, of a witness, and of one that copies a log, fails once, or is the last one of the process: nothing that was promised before is lost, and
 * what is left can be gone on from. The calls are those of a run without a fault, which is fixed, so that each fault must happen.
 *
 *   node test/lanes/syscalls.ts          a sample of them, spread over all
 *   node test/lanes/syscalls.ts --only=log|witness|snapshots
 *   node test/lanes/syscalls.ts --all    at most 600 of each, with each of the three faults: some seven minutes
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { FAULTS, type InjectedFault, inject, type Point, pointsOf } from './injector.ts'
import { check, lane, tempFolder } from './lane.ts'
import { logSubject } from './syscall-log-subject.ts'
import { snapshotSubject } from './syscall-snapshot-subject.ts'
import type { Subject } from './syscall-subject.ts'
import { witnessSubject } from './syscall-witness-subject.ts'
import { needProgram } from './tools.ts'

const ALL = process.argv.includes('--all')
const MOST = 600
/** Runs of each subject without --all. */
const SAMPLE = 150

async function syscalls(): Promise<void> {
  await needProgram('strace', 'apt-get install strace')
  const only = process.argv.find((word) => word.startsWith('--only='))?.slice(7)
  for (const subject of [await logSubject(), await witnessSubject(), await snapshotSubject()])
    if (only === undefined || subject.name === only) await hurt(subject)
}

async function hurt(subject: Subject): Promise<void> {
  const { name } = subject
  const began = performance.now()
  const folders = [1, 2, 3].map(() => copyOf(subject))
  const points = spread(await pointsOf(folders, (folder) => subject.command(folder, false)), MOST)
  check(`${name}: its life without a fault is listed`, points.length > 30, `${points.length} calls`)
  const runs = points.flatMap((point) => FAULTS.map((fault) => ({ point, fault })))
  const chosen = ALL ? runs : spread(runs, subject.sample ?? SAMPLE)
  const silent: string[] = []
  const broken: string[] = []
  let promises = 0
  await inTwos(chosen, async ({ point, fault }) => {
    const said = `${fault} at ${point.call} ${point.ordinal} of ${point.file || 'the folder'}`
    const result = await once(subject, point, fault, false)
    promises += result.promises
    if (!result.fired) silent.push(said)
    for (const problem of result.problems) broken.push(`${said}: ${problem}`)
  })
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(
    `  ${name}: ${points.length} calls listed, ${chosen.length} faults in ${seconds} s, ${promises} promises made before them`,
  )
  check(`${name}: each of ${chosen.length} faults happened`, silent.length === 0, silent.slice(0, 20).join('\n'))
  check(`${name}: no promise is broken by any of them`, broken.length === 0, broken.slice(0, 20).join('\n'))

  // The end of the work, where the most has been promised.
  const late = runs.filter(
    ({ point, fault }) =>
      fault === 'SIGKILL' &&
      /^(pwrite64|fsync|fdatasync)$/.test(point.call) &&
      (subject.keptIn ?? /./).test(point.file),
  )
  let found = 0
  for (const { point, fault } of late.slice(-8)) {
    const { problems } = await once(subject, point, fault, true)
    found += problems.length
  }
  check(`${name}: one that answers before it is durable is found out`, found > 0)
}

interface Verdict {
  readonly fired: boolean
  readonly promises: number
  readonly problems: readonly string[]
}

async function once(subject: Subject, point: Point, fault: InjectedFault, early: boolean): Promise<Verdict> {
  const folder = copyOf(subject)
  try {
    const { fired, code, hung, output } = await inject(folder, subject.command(folder, early), point, fault)
    const problems = await subject.examine(folder, output).catch((error: Error) => [String(error.stack)])
    if (hung) problems.push(`it hung, and was ended`)
    if (fault === 'SIGKILL' && fired && code === 0) problems.push('it lived on')
    return { fired, promises: output.split('\n').length - 1, problems }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function copyOf({ folder }: Subject): string {
  const copy = join(tempFolder(), 'data')
  cpSync(folder, copy, { recursive: true })
  return copy
}

/** At most so many, evenly over the list, its first and its last among them. */
function spread<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return [...list]
  return Array.from({ length: most }, (_, i) => list[Math.round((i * (list.length - 1)) / (most - 1))]!)
}

/** Two cores. */
async function inTwos<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const left = [...list]
  const lane = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one)
  }
  await Promise.all([lane(), lane()])
}

await lane(syscalls)
