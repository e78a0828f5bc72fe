import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import type { DigestSource } from '../../src/store/digest-runs.ts'
import { DigestIndex } from '../../src/store/digests.ts'
import type { DigestKind } from '../../src/store/schema.ts'
import { createStore } from '../../src/store/sqlite.ts'
import { temporaryFolder } from '../support/server.ts'

interface Run {
  readonly id: number
  readonly level: number
  readonly first: number
  readonly last: number
  readonly pages: number
}

/** Twenty runs of level 0: they merge into five of level 1, and four of those into one of level 2. Some stay in memory. */
const SIZE = 20 * 16_384 + 777
const SAMPLES = 50

/** Entries are their own digests here: the index only asks for one to confirm a match. */
class Digests {
  readonly #bytes: Buffer
  /** Indexes with one digest, by the least of them. */
  readonly twins = new Map<number, readonly number[]>()

  constructor(size: number) {
    this.#bytes = randomBytes(32 * size)
  }

  at(index: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + 32 * index, 32)
  }

  repeat(indexes: readonly number[]): void {
    for (const index of indexes) this.at(index).set(this.at(indexes[0]!))
    for (const index of indexes) this.twins.set(index, indexes)
  }

  /** The same bytes as far as a run keeps them, and others behind. */
  collide(indexes: readonly number[], bytes: number): void {
    for (const index of indexes) this.at(index).set(this.at(indexes[0]!).subarray(0, bytes))
  }

  expected(index: number, size: number): readonly number[] {
    return (this.twins.get(index) ?? [index]).filter((one) => one < size)
  }
}

function makeDatabase(t: { teardown(f: () => unknown): unknown }): Database.Database {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/digests', 'events')
  const db = new Database(file)
  // What is durable is not asked here, and a sync for each step would be most of the time.
  db.pragma('synchronous = OFF')
  t.teardown(() => db.close())
  return db
}

const source = (kind: DigestKind, keep: 'all' | 'first' = 'all', filtered = false): DigestSource => {
  return { kind, digestOf: (entry) => entry, keep, filtered }
}

/** As a start does it: what is in runs is there, the rest is read from the entries. */
function open(db: Database.Database, digests: Digests, size: number, keep: 'all' | 'first' = 'all'): DigestIndex {
  const index = new DigestIndex(db, source('leaf', keep), (at) => digests.at(at))
  for (let at = index.covered; at < size; at++) index.add(digests.at(at), at)
  return index
}

function wrongOf(index: DigestIndex, digests: Digests, size: number, special: readonly number[]): string[] {
  const wrong: string[] = []
  const some = Array.from({ length: SAMPLES }, () => Math.floor(Math.random() * size))
  for (const at of [...special.filter((one) => one < size), 0, size - 1, ...some]) {
    const found = index.find(digests.at(at)).join()
    if (found !== digests.expected(at, size).join()) wrong.push(`${at} at ${size}: found ${found}`)
  }
  if (index.find(new Uint8Array(randomBytes(32))).length > 0) wrong.push(`a stranger at ${size}`)
  return wrong
}

const runsOf = (db: Database.Database): Run[] =>
  db.prepare<[], Run>('SELECT id, level, first, last, pages FROM leaf_runs ORDER BY first').all()

function garbageOf(db: Database.Database): number[] {
  const live = new Set(runsOf(db).map(({ id }) => id))
  const pages = db.prepare<[], number>('SELECT id FROM leaf_run_pages').pluck().all()
  return pages.filter((id) => !live.has(Math.floor(id / 2 ** 32)))
}

t.test('digests are found exactly, through runs, merges and restarts at any step', (t) => {
  const db = makeDatabase(t)
  const digests = new Digests(SIZE)
  digests.repeat([3, 4, 70_000, 200_000, SIZE - 1])
  digests.repeat([16_383, 16_384])
  // Six bytes are all that a run keeps of a digest: these collide there, within one run and across runs.
  digests.collide([8, 9, 20_000, 60_000, 300_000], 6)
  digests.collide([100, 101], 31)
  const special = [3, 4, 8, 9, 100, 101, 16_383, 16_384, 20_000, 60_000, 70_000, 200_000, 300_000, SIZE - 1]

  const wrong: string[] = []
  let index = open(db, digests, 0)
  let steps = 0
  let restarts = 0
  for (let at = 0; at < SIZE; at++) {
    index.add(digests.at(at), at)
    if (at % 4_096 !== 4_095 && at !== SIZE - 1) continue
    const size = at + 1
    while (index.maintain(size)) {
      steps++
      if (steps % 3 === 0) wrong.push(...wrongOf(index, digests, size, special))
      // Less often than the longest merge has steps, so that it ends.
      if (steps % 13 !== 0) continue
      restarts++
      index = open(db, digests, size)
      wrong.push(...wrongOf(index, digests, size, special))
    }
    if (steps > 100_000) throw new Error('the work never ends')
  }
  wrong.push(...wrongOf(index, digests, SIZE, special))
  t.same(wrong.slice(0, 5), [])
  t.ok(steps > 80 && restarts > 5, `${steps} steps, ${restarts} restarts`)

  const runs = runsOf(db)
  t.same(
    runs.map(({ level, first, last }) => [level, first, last]),
    [
      [2, 0, 16 * 16_384],
      [1, 16 * 16_384, 20 * 16_384],
    ],
    'runs follow each other, the older the larger',
  )
  t.same(garbageOf(db), [], 'no page of a run that was replaced')
  t.equal(open(db, digests, SIZE).covered, 20 * 16_384)
  t.end()
})

t.test('a process that dies after any step leaves what the next one can go on from', (t) => {
  const size = 4 * 16_384 + 100
  const digests = new Digests(size)
  digests.repeat([5, 17_000, 40_000, size - 1])
  const wrong: string[] = []
  // Four runs and their merge take some twenty steps. One death after each of the first, then after every third.
  let deaths = 0
  for (let lives = 0; ; lives += lives < 10 ? 1 : 3) {
    const db = makeDatabase(t)
    let left = lives
    let index = open(db, digests, size)
    while (left > 0 && index.maintain(size)) left--
    const whole = left > 0
    // Dies here. Now and then the next one dies after its first step too, before one lives.
    if (lives % 4 === 0) open(db, digests, size).maintain(size)
    index = open(db, digests, size)
    wrong.push(...wrongOf(index, digests, size, [5]).map((one) => `after ${lives} steps: ${one}`))
    while (index.maintain(size)) {}
    wrong.push(...wrongOf(index, digests, size, [5]).map((one) => `after ${lives} steps, in the end: ${one}`))
    if (garbageOf(db).length > 0) wrong.push(`after ${lives} steps: ${garbageOf(db).length} pages of nobody`)
    if (runsOf(db).length !== 1) wrong.push(`after ${lives} steps: ${runsOf(db).length} runs`)
    db.close()
    if (whole) break
    deaths++
  }
  t.same(wrong.slice(0, 5), [])
  t.ok(deaths > 12, `${deaths} deaths`)
  t.end()
})

t.test('a step that fails leaves everything to be found', (t) => {
  const db = makeDatabase(t)
  const size = 16_384 + 5
  const digests = new Digests(size)
  const index = open(db, digests, size)
  index.maintain(size)
  db.pragma('query_only = ON')
  t.throws(() => {
    while (index.maintain(size)) {}
  })
  t.same(wrongOf(index, digests, size, []), [])
  db.pragma('query_only = OFF')
  t.equal(db.pragma('secure_delete', { simple: true }), 1, 'and nothing else is written without care')
  while (index.maintain(size)) {}
  t.same(wrongOf(index, digests, size, []), [])
  t.equal(runsOf(db).length, 1)
  t.end()
})

t.test('a digest that stands everywhere costs no more than another where the first index is enough', (t) => {
  const db = makeDatabase(t)
  const size = 5 * 16_384 + 10
  const digests = new Digests(size)
  const everywhere = Array.from({ length: size - 10 }, (_, i) => i).filter((at) => at >= 7 && at % 100 !== 0)
  digests.repeat(everywhere)
  let index = open(db, digests, 0, 'first')
  for (let at = 0; at < size; at++) {
    index.add(digests.at(at), at)
    if (at % 10_000 === 9_999) t.equal(index.first(digests.at(7)), 7)
    if (at % 4_096 === 4_095) while (index.maintain(at + 1)) {}
  }
  for (let life = 0; life < 2; life++) {
    t.equal(index.first(digests.at(7)), 7)
    t.ok(index.find(digests.at(7)).length <= 6, 'one for each spilled run')
    for (const at of [0, 6, 100, 40_000, 81_900, size - 1]) t.equal(index.first(digests.at(at)), at)
    t.equal(index.first(new Uint8Array(32)), undefined)
    index = open(db, digests, size, 'first')
  }
  t.end()
})

t.test(
  'a digest that nobody has is looked for in hardly any page, also after a start, and one of a log that has no filters',
  (t) => {
    const file = join(temporaryFolder(t), 'log.db')
    createStore(file, 'log.example/digests', 'events')
    const digests = new Digests(SIZE)
    let reads = 0
    const db = new Database(file, {
      verbose: (sql) => {
        if (/FROM addendum_run_pages WHERE id = /.test(String(sql))) reads++
      },
    })
    db.pragma('synchronous = OFF')
    t.teardown(() => db.close())
    const entryAt = (index: number) => digests.at(index)
    const make = (filtered: boolean) => new DigestIndex(db, source('addendum', 'all', filtered), entryAt)
    const readsOf = (index: DigestIndex): number => {
      reads = 0
      for (let i = 0; i < 1_000; i++) t.same(index.find(randomBytes(32)), [])
      return reads
    }
    const index = make(true)
    for (let i = 0; i < SIZE; i++) {
      index.add(digests.at(i), i)
      if (i % 4_096 === 4_095) while (index.maintain(i + 1)) {}
    }
    while (index.maintain(SIZE)) {}
    const runs = db.prepare('SELECT count(*) FROM addendum_runs').pluck().get() as number
    const found = readsOf(index)
    t.ok(found < 0.05 * 1_000 * runs, `${found} pages for a thousand digests in ${runs} runs`)
    t.equal(readsOf(make(false)), 1_000 * runs, 'without filters a page of each run')

    const filters = () => db.prepare('SELECT id, bits FROM addendum_run_filters ORDER BY id').all()
    const written = filters()
    for (const stored of [true, false]) {
      if (!stored) db.exec('DELETE FROM addendum_run_filters')
      const started = make(true)
      t.equal(readsOf(started), 1_000 * runs, 'after a start there are none yet')
      reads = 0
      while (started.maintain(SIZE)) {}
      if (stored) t.equal(reads, 0, 'what is stored is read behind the commits')
      else t.ok(reads > 100, 'what is not is made from the pages')
      t.ok(readsOf(started) < 0.05 * 1_000 * runs)
      for (let i = 0; i < SIZE - 20_000; i += 997) t.same(started.find(digests.at(i)), [i])
      t.same(filters(), written, 'and is the same')
    }
    t.end()
  },
)
