import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import { JOURNAL_LIMIT } from '../../src/store/journal.ts'
import { createStore, SqliteStore } from '../../src/store/sqlite.ts'
import { temporaryFolder } from '../support/server.ts'

const ENTRY = 65_000

function open(t: { teardown(f: () => unknown): unknown }): { file: string; store: SqliteStore } {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/journal', 'raw')
  const store = SqliteStore.open(file)
  t.teardown(() => store.close())
  return { file, store }
}

/** Some `megabytes` in commits of one; this is about the file, so that the tree over them is none. */
async function grow(store: SqliteStore, megabytes: number): Promise<void> {
  for (let i = 0; i < megabytes; i++) {
    const { size: from } = await store.head()
    const entries = Array.from({ length: 16 }, () => new Uint8Array(ENTRY))
    const head = { size: from + entries.length, root: new Uint8Array(32), time: 1 }
    await store.commit({ from, entries, addenda: [], redactions: [], policies: [], tiles: [], head })
    await store.maintain()
  }
}

const pages = (store: SqliteStore): { log: number; checkpointed: number } =>
  store.db.prepare('PRAGMA wal_checkpoint(NOOP)').get() as { log: number; checkpointed: number }

async function until(condition: () => boolean): Promise<boolean> {
  for (let i = 0; i < 200 && !condition(); i++) await setTimeout(25)
  return condition()
}

t.test('a long journal is copied while nobody commits', async (t) => {
  const { store } = open(t)
  await grow(store, 10)
  await setTimeout(200)
  t.equal(pages(store).checkpointed, 0, 'a short one is left alone')
  await grow(store, 10)
  t.ok(await until(() => pages(store).checkpointed >= 1_000), `${pages(store).checkpointed} pages were copied`)
  t.equal(await store.erase(), true)
  t.equal(pages(store).log, 0)
  await grow(store, 20)
  t.ok(await until(() => pages(store).checkpointed >= 1_000), 'and again')
})

t.test('whoever erases waits for the thread that copies, and for nobody else', async (t) => {
  const { file, store } = open(t)
  // A thread that is only starting is in nobody's way.
  await grow(store, 17)
  t.ok(await until(() => pages(store).checkpointed >= 1_000))
  for (let i = 0; i < 10; i++) {
    await store.erase()
    await grow(store, 17)
    await setTimeout(i)
    t.equal(await store.erase(), true, `${i} ms after it was told to copy`)
    t.equal(pages(store).log, 0)
  }
  const reader = new Database(file, { readonly: true })
  reader.exec('BEGIN')
  reader.prepare('SELECT size FROM log').get()
  await grow(store, 1)
  t.equal(await store.erase(), false, 'somebody else reads')
  reader.close()
})

t.test('a thread that fails stops no commit, and commits copy what it leaves', async (t) => {
  const { file, store } = open(t)
  // The open file stays what it is; whoever opens it by name finds nothing.
  rmSync(file)
  await grow(store, 20)
  await setTimeout(300)
  t.equal(pages(store).checkpointed, 0)
  t.equal(await store.erase(), true, 'nor does it stop whoever erases')
  await grow(store, 70)
  t.ok(pages(store).checkpointed >= 4_000 || pages(store).log < 4_000, JSON.stringify(pages(store)))
  t.equal((await store.head()).size, 90 * 16)
})

t.test('a store closes while its journal is copied', async (t) => {
  for (let i = 0; i < 5; i++) {
    const { file, store } = open(t)
    await grow(store, 17)
    await setTimeout(i * 15)
    await store.close()
    const again = SqliteStore.open(file, { readonly: true })
    t.equal((await again.head()).size, 17 * 16)
    t.same(await again.entry(17 * 16 - 1), new Uint8Array(ENTRY))
    await again.close()
  }
})

t.test('a journal that a reader made long does not stay so', async (t) => {
  const { file, store } = open(t)
  const length = (): number => statSync(`${file}-wal`).size
  const reader = new Database(file, { readonly: true })
  reader.exec('BEGIN')
  reader.prepare('SELECT size FROM log').get()
  await grow(store, 200)
  t.ok(length() > 1.3 * JOURNAL_LIMIT, `${length()} bytes beside a reader`)
  reader.close()
  // It begins anew when all of it is copied and nobody reads from it.
  for (let i = 0; i < 200 && length() > JOURNAL_LIMIT; i++) {
    await grow(store, 1)
    await setTimeout(10)
  }
  t.ok(length() <= JOURNAL_LIMIT, `${length()} bytes after it`)
})
