import { join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { sha256 } from '#platform'
import { encodeEntry, POLICY } from '../../src/core/entry.ts'
import { formatBundle, TILE_WIDTH } from '../../src/core/tile.ts'
import { Tree } from '../../src/core/tree.ts'
import { checkTree } from '../../src/log/check.ts'
import { createStore, SqliteStore } from '../../src/store/sqlite.ts'
import { commitEntries } from '../support/bare-log.ts'
import { temporaryFolder } from '../support/server.ts'

const STEP = 16 * TILE_WIDTH
const entry = (index: number): Uint8Array =>
  encodeEntry({ kind: POLICY, time: 1, addendum: sha256(Uint8Array.of(index >> 16, index >> 8, index)) })
const entries = (from: number, to: number): Uint8Array[] => Array.from({ length: to - from }, (_, i) => entry(from + i))

interface Filled {
  readonly file: string
  readonly store: SqliteStore
  grow(count: number): Promise<void>
}

function make(t: { teardown(f: () => unknown): unknown }, profile = 'events'): Filled {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/packing', profile)
  const store = SqliteStore.open(file)
  t.teardown(() => store.close())
  let tree = Tree.empty
  const grow = async (count: number): Promise<void> => {
    tree = await commitEntries(store, tree, entries(tree.size, tree.size + count), 1)
  }
  return { file, store, grow }
}

const count = (file: string, sql: string): unknown => {
  const db = new Database(file, { readonly: true })
  try {
    return db.prepare(sql).pluck().get()
  } finally {
    db.close()
  }
}

/** Everything that reads entries, against what was written. */
async function readsAs(t: Test, reader: SqliteStore, size: number): Promise<void> {
  const all = entries(0, size)
  t.same(await reader.entries(0, size), all)
  for (const [from, to] of [
    [0, 1],
    [255, 257],
    [STEP - 3, STEP + 3],
    [size - 1, size + 9],
    [700, 1_900],
  ] as const)
    t.same(await reader.entries(from, to), all.slice(from, to), `entries ${from} to ${to}`)
  for (const index of [0, 1, 255, 256, STEP - 1, STEP, size - 1]) t.same(await reader.entry(index), all[index])
  for (let bundle = 0; bundle * TILE_WIDTH < size; bundle++) {
    const width = Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH)
    for (const some of new Set([1, Math.ceil(width / 2), width])) {
      const from = bundle * TILE_WIDTH
      t.same(await reader.bundle(bundle, some), formatBundle(all.slice(from, from + some)))
    }
  }
}

t.test('entries, bundles and the check are the same before and after', async (t) => {
  const { file, store, grow } = make(t)
  const reader = SqliteStore.open(file, { readonly: true })
  let size = 0
  for (const some of [1, 1, 70, 300, 2, 1_000, 256, 3_000, 17, 5_000]) {
    await grow(some)
    size += some
  }
  await readsAs(t, reader, size)
  const rows = count(file, 'SELECT count(*) FROM entries')
  t.equal(count(file, 'SELECT packed FROM log'), 0)
  while (await store.maintain());
  t.equal(count(file, 'SELECT packed FROM log'), 2 * STEP, 'what does not fill a step waits')
  t.ok(Number(count(file, 'SELECT count(*) FROM entries')) < Number(rows))
  await readsAs(t, reader, size)
  await readsAs(t, store, size)
  t.match(await checkTree(reader, () => {}), { size })
  await reader.close()

  await grow(STEP)
  while (await store.maintain());
  const again = SqliteStore.open(file, { readonly: true })
  t.equal(count(file, 'SELECT packed FROM log'), 3 * STEP)
  await readsAs(t, again, size + STEP)
  await again.close()
})

t.test('a reader in the middle of a read sees one or the other', async (t) => {
  const { file, store, grow } = make(t)
  for (let i = 0; i < 64; i++) await grow(64)
  const reader = SqliteStore.open(file, { readonly: true })
  reader.db.exec('BEGIN')
  t.same(await reader.entry(5), entry(5))
  while (await store.maintain());
  t.equal(count(file, 'SELECT packed FROM log'), STEP)
  t.same(await reader.entries(0, STEP), entries(0, STEP), 'the rows of before')
  reader.db.exec('COMMIT')
  t.same(await reader.entries(0, STEP), entries(0, STEP))
  await reader.close()
})

t.test('a step that fails leaves what was there', async (t) => {
  const { file, store, grow } = make(t)
  for (let i = 0; i < 100; i++) await grow(100)
  const faults: Record<string, [string, string]> = {
    'at its last write': [
      "CREATE TRIGGER broken BEFORE UPDATE OF packed ON log BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END",
      'DROP TRIGGER broken',
    ],
    'in its middle': [
      "CREATE TRIGGER broken BEFORE INSERT ON entries WHEN NEW.first = 512 BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END",
      'DROP TRIGGER broken',
    ],
  }
  for (const [name, [fault, mend]] of Object.entries(faults)) {
    store.db.exec(fault)
    await t.rejects(store.maintain(), /disk I\/O error/, name)
    t.equal(count(file, 'SELECT packed FROM log'), 0, name)
    t.same(await store.entries(0, 10_000), entries(0, 10_000), name)
    t.equal(store.db.pragma('secure_delete', { simple: true }), 1, 'and what is erased is overwritten as before')
    store.db.exec(mend)
  }
  while (await store.maintain());
  t.equal(count(file, 'SELECT packed FROM log'), 2 * STEP)
})

t.test('a file with a gap is not packed', async (t) => {
  const { file, store, grow } = make(t)
  for (let i = 0; i < 64; i++) await grow(64)
  store.db.exec('DELETE FROM entries WHERE first = 640')
  await t.rejects(store.maintain(), /entries from 512 on are no whole bundle/)
  t.equal(count(file, 'SELECT packed FROM log'), 0)
})

t.test('a packed bundle that was changed is found', async (t) => {
  const { file, store, grow } = make(t)
  await grow(2 * STEP)
  while (await store.maintain());
  const bundle = store.db.prepare('SELECT bundle FROM entries WHERE first = 512').pluck().get() as Buffer
  const put = store.db.prepare('UPDATE entries SET bundle = ? WHERE first = 512')
  let refused = 0
  for (let at = 0; at < bundle.length; at += 97) {
    const broken = Buffer.from(bundle)
    broken[at]! ^= 1
    put.run(broken)
    const reader = SqliteStore.open(file, { readonly: true })
    try {
      await checkTree(reader, () => {})
      // The only bits that mean nothing: some of the frame's header.
      t.same(await reader.entries(512, 768), entries(512, 768), `a flip at ${at} changes nothing`)
    } catch (error) {
      t.match(error, { code: 'INVALID_LOG' })
      refused++
    }
    await reader.close()
  }
  t.ok(refused > 80, `${refused} flips are refused`)
})

t.test('a raw log keeps the rows of its commits', async (t) => {
  const { file, store, grow } = make(t, 'raw')
  for (let i = 0; i < 20; i++) await grow(300)
  while (await store.maintain());
  t.equal(count(file, 'SELECT packed FROM log'), 0)
})

t.test('a file of the version before is packed from its start', async (t) => {
  const { file, store, grow } = make(t)
  await grow(STEP + 10)
  store.db.exec('ALTER TABLE log DROP COLUMN packed; DROP TABLE addendum_run_filters; PRAGMA user_version = 3')
  t.throws(() => SqliteStore.open(file, { readonly: true }), {
    code: 'USAGE',
    message: /earlier version: serve it once/,
  })
  const opened = SqliteStore.open(file)
  while (await opened.maintain());
  t.equal(count(file, 'SELECT packed FROM log'), STEP)
  await readsAs(t, opened, STEP + 10)
  await opened.close()
})
