import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { TILE_WIDTH } from '../../src/core/tile.ts'
import { Tree } from '../../src/core/tree.ts'
import { createStore, SqliteStore } from '../../src/store/sqlite.ts'
import { FEW_TILES, Warming } from '../../src/store/warming.ts'
import { commitEntries } from '../support/bare-log.ts'
import { temporaryFolder } from '../support/server.ts'

/** Of the hashes and the nodes of one full tile. */
const TILE_BYTES = 8_192 + 512

const threads = (): number => readdirSync('/proc/self/task').length
/** Bytes that the process has read so far, from files or the memory of the system. */
const bytesRead = (): number => Number(/^rchar: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))![1])

async function until(what: () => boolean): Promise<boolean> {
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(10)) if (what()) return true
  return false
}

/** The threads keep no process alive, and no test. */
async function held(reading: Promise<void>): Promise<void> {
  const timer = setInterval(() => {}, 1_000)
  await reading
  clearInterval(timer)
}

t.test('the tiles of a large log are read ahead, beside commits', async (t) => {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/warming', 'raw')
  const store = SqliteStore.open(file)
  let tree = Tree.empty
  const grow = async (count: number): Promise<void> => {
    const entries = Array.from({ length: count }, (_, i) => Buffer.from(String(tree.size + i)))
    tree = await commitEntries(store, tree, entries)
  }
  while (tree.size < (FEW_TILES - 1) * TILE_WIDTH) await grow(TILE_WIDTH)
  const alone = threads()
  await held(store.warm())
  t.equal(threads(), alone, 'of a small one nothing is')

  await grow(TILE_WIDTH)
  let before = bytesRead()
  const nowhere = new Warming(`${file}-missing`)
  await held(nowhere.ended)
  t.ok(await until(() => threads() === alone), 'what cannot be read ends it, and nothing else')
  /** The code of the threads. */
  const code = bytesRead() - before

  before = bytesRead()
  await held(store.warm())
  t.ok(await until(() => threads() === alone), 'the threads end')
  const all = bytesRead() - before - code
  t.ok(all >= FEW_TILES * TILE_BYTES, `every tile was read: ${all} bytes`)
  await held(store.warm())
  t.ok(bytesRead() - before - code < 1.5 * all, 'once')

  before = bytesRead()
  const little = new Warming(file, 64 * 16_384)
  await held(little.ended)
  const some = bytesRead() - before - code
  t.ok(some > 64 * 16_384 && some < 0.7 * all, `no more than memory has room for: ${some} bytes`)

  const cut = new Warming(file)
  await grow(1_000)
  await cut.close()
  await held(cut.ended)
  t.equal(threads(), alone, 'threads that are in the middle of it end with the store')
  t.equal((await store.head()).size, FEW_TILES * TILE_WIDTH + 1_000)
  await store.close()
  await held(store.warm())
  t.equal(threads(), alone, 'a closed one is not read')
})
