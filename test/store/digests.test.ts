import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import { DigestIndex } from '../../src/store/digests.ts'
import { createStore } from '../../src/store/sqlite.ts'
import { temporaryFolder } from '../support/server.ts'

/** Enough for five runs of level 0 in one merge, and some left in memory. */
const SIZE = 5 * 16_384 + 777

t.test('digests are found exactly, through runs, merges and restarts', (t) => {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/digests', 'events')
  const db = new Database(file)
  t.teardown(() => db.close())
  // An entry is its own digest here: the index only asks for it to confirm a match.
  const entries: Uint8Array[] = Array.from({ length: SIZE }, () => new Uint8Array(randomBytes(32)))
  entries[70_000] = entries[3]!
  entries[SIZE - 1] = entries[3]!
  // The first six bytes are all that a run keeps: these collide, and are still told apart.
  for (const at of [9, 20_000, 60_000]) entries[at]!.set(entries[8]!.subarray(0, 6))
  const open = () => {
    const index = new DigestIndex(
      db,
      'leaf',
      (entry) => entry,
      (at) => entries[at]!,
    )
    return index
  }
  const wrong: string[] = []
  const judge = (index: DigestIndex, size: number, step: number): void => {
    for (let at = step % 97; at < size; at += 97) {
      const found = index.find(entries[at]!)
      const expected = at === 3 ? [3, 70_000, SIZE - 1].filter((one) => one < size) : [at]
      if (![3, 70_000, SIZE - 1].includes(at) && found.join() !== expected.join())
        wrong.push(`${at} at ${size}: ${found}`)
    }
    for (const at of [3, 8, 9, 20_000, 60_000]) {
      if (at >= size) continue
      const expected = at === 3 ? [3, 70_000, SIZE - 1].filter((one) => one < size) : [at]
      if (index.find(entries[at]!).join() !== expected.join())
        wrong.push(`${at} at ${size}: ${index.find(entries[at]!)}`)
    }
    if (index.find(new Uint8Array(randomBytes(32))).length > 0) wrong.push('found what is not there')
  }

  let index = open()
  let steps = 0
  for (let at = 0; at < SIZE; at++) {
    index.add(entries[at]!, at)
    if (at % 4_096 !== 4_095) continue
    const size = at + 1
    while (index.maintain(size)) {
      steps++
      judge(index, size, steps)
      // A process that dies here leaves what is committed; the next one reads the rest from the entries.
      if (steps % 5 !== 0) continue
      index = open()
      for (let again = index.covered; again < size; again++) index.add(entries[again]!, again)
      judge(index, size, steps)
    }
  }
  judge(index, SIZE, 0)
  t.same(wrong.slice(0, 5), [])
  t.ok(steps > 20, `${steps} steps`)
  const runs = db.prepare('SELECT id, level, first, last, pages FROM leaf_runs ORDER BY first').all() as {
    id: number
    level: number
    first: number
    last: number
    pages: number
  }[]
  t.ok(
    runs.some(({ level }) => level > 0),
    'runs were merged',
  )
  t.same(
    runs.map(({ first }) => first),
    [0, ...runs.slice(0, -1).map(({ last }) => last)],
    'runs follow each other',
  )
  const pages = db.prepare('SELECT id FROM leaf_run_pages').pluck().all() as number[]
  const live = new Set(runs.map(({ id }) => id))
  t.same(
    pages.filter((id) => !live.has(Math.floor(id / 2 ** 32))),
    [],
    'no page of a run that was replaced',
  )
  t.end()
})
