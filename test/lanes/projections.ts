/**
 * The index of a running server, when its process is killed while it makes it, and when its disk is full: the log takes events all the same, nothing is
 * answered that is not so, and the index goes on from where it was. As root: the full disk is a small one of its own, mounted for the lane.
 */
import { mkdirSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { EventList, Lineage } from '../../schemas/types.ts'
import { logFiles } from '../../src/store/folder.ts'
import { Actor, event } from '../support/actors.ts'
import { makeHistory, writeHistory } from '../support/history.ts'
import { makeEventLog } from '../support/server.ts'
import { difference, TrueLineage, written } from '../support/true-lineage.ts'
import { check, eventually, lane, must, type Server, startServer, tempFolder } from './lane.ts'

const EVENTS = 40_000

const json = async <T>(server: Server, path: string): Promise<T & { status: number }> => {
  const answer = await fetch(`${server.url}/${path}`)
  return { status: answer.status, ...((await answer.json()) as T) }
}

async function indexSize({ url }: Server, log: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`treeline_log_index_size\\{log="${log}"\\} (\\d+)`).exec(text)?.[1] ?? 0)
}

/** What stands in the file. */
function storedSize(data: string, log: string): number {
  const db = new Database(logFiles(data, log).index)
  try {
    return db.prepare<[], number>('SELECT size FROM state').pluck().get()!
  } finally {
    db.close()
  }
}

async function killed(): Promise<void> {
  const data = tempFolder()
  const actors = Array.from({ length: 40 }, () => new Actor())
  for (const name of ['data', 'models']) {
    const signers = actors.map((actor, i) => ({ actor, name: `signer-${i}`, shared: true }))
    await makeEventLog(data, [new Actor()], signers, { name, origin: `log.example/${name}` })
  }
  const keys = actors.map(({ key }) => key.id)
  const events = makeHistory(EVENTS, keys, Date.now())
  await writeHistory(data, events)
  const total = 1 + events.filter(({ log }) => log === 'models').length
  const sizes: number[] = []
  for (let more = 0; more < total && sizes.length < 8; ) {
    const server = await startServer(data, ['--accept-clock'])
    const before = more
    more = await eventually('the next step', async () => {
      const size = await indexSize(server, 'models')
      return size > before || size === total ? size : undefined
    })
    await server.kill()
    sizes.push(storedSize(data, 'models'))
  }
  const partly = sizes.filter((size) => size > 0 && size < total).length
  check(`killed ${sizes.length} times, ${partly} of them in the middle`, partly > 0, sizes.join())
  check(
    'it went on from where it was',
    sizes.every((size, i) => i === 0 || size >= sizes[i - 1]!),
    sizes.join(),
  )

  const server = await startServer(data, ['--accept-clock'])
  await eventually('the index', async () => (await indexSize(server, 'models')) === total || undefined, 60)
  const truth = new TrueLineage(events)
  const wrong: string[] = []
  for (let i = 0; i < 100; i++) {
    const artifact = truth.artifacts[(i * 7_919) % truth.artifacts.length]!
    const way = i % 2 === 0 ? 'up' : 'down'
    const path = `models/v1/lineage/${artifact}?direction=${way}&limit=20000&depth=1000`
    const answer = await json<Lineage>(server, path)
    const why = difference(written(answer), truth.walk([artifact], way), false)
    if (why !== undefined) wrong.push(`${artifact} ${way}: ${why}`)
  }
  check('100 traces are what is true', wrong.length === 0, wrong.join('\n'))
  await server.stop()
}

async function fullDisk(): Promise<void> {
  const data = tempFolder()
  const disk = join(tempFolder(), 'disk')
  mkdirSync(disk)
  await must('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'treeline-lane', disk])
  try {
    const actor = new Actor()
    await makeEventLog(data, [new Actor()], [{ actor }])
    symlinkSync(join(disk, 'index.db'), logFiles(data, 'test').index)
    const server = await startServer(data)
    const submit = async (from: number, to: number): Promise<number[]> => {
      const statuses: number[] = []
      for (let i = from; i < to; i++) {
        const body = event(actor, `model/${i}`, {
          note: `common ${Array.from({ length: 60 }, (_, k) => `w${i}x${k}`).join(' ')}`,
        })
        const headers = { 'content-type': 'application/json' }
        statuses.push((await fetch(`${server.url}/test/v1/events`, { method: 'POST', headers, body })).status)
      }
      return statuses
    }
    const found = () => json<EventList>(server, 'test/v1/events?text=common&limit=1000')
    await submit(0, 20)
    await eventually('the index', async () => (await found()).completeTo === 21 || undefined)
    const room = statfsSync(disk).bavail * statfsSync(disk).bsize
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(Math.max(0, room - 64 * 1024)))
    const statuses = await submit(20, 320)
    check(
      'on a full disk of the index 300 events are taken',
      statuses.every((status) => status === 201),
      [...new Set(statuses)].join(),
    )
    // A while, so that the index has run into it.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const full = await found()
    const honest =
      full.status === 503 ||
      (full.status === 200 && full.completeTo < 321 && full.events.length === full.completeTo - 1)
    check(
      'a search says how far it is complete, or that it cannot',
      honest,
      `${full.status} ${full.completeTo} ${full.events?.length}`,
    )
    check('the log is ready', (await fetch(`${server.url}/readyz`)).status === 200)
    rmSync(join(disk, 'ballast'))
    await eventually('the index, once there is room', async () => (await found()).completeTo === 321 || undefined, 30)
    check('once there is room it has all of them', (await found()).events.length === 320)
    await server.stop()
  } finally {
    await must('umount', ['-l', disk])
  }
}

await lane(async () => {
  await killed()
  await fullDisk()
})
