import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { concat, toUtf8 } from '../../src/core/bytes.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { formatBundle, TILE_WIDTH } from '../../src/core/tile.ts'
import { Tree } from '../../src/core/tree.ts'
import { lockData } from '../../src/store/lock.ts'
import { createStore, SqliteStore } from '../../src/store/sqlite.ts'
import { temporaryFolder } from '../support/server.ts'

const entry = (index: number): Uint8Array => toUtf8(`entry ${index} ${'x'.repeat(index % 50)}`)

function open(t: { teardown(f: () => unknown): unknown }): { file: string; store: SqliteStore } {
  const file = join(temporaryFolder(t), 'log.db')
  createStore(file, 'log.example/store', 'raw')
  const store = SqliteStore.open(file)
  t.teardown(() => store.close())
  return { file, store }
}

async function append(store: SqliteStore, tree: Tree, count: number, time = 1): Promise<Tree> {
  const entries = Array.from({ length: count }, (_, i) => entry(tree.size + i))
  const next = tree.append(entries.map(leafHash))
  await store.commit({
    from: tree.size,
    entries,
    addenda: entries.map((bytes, i) => ({ index: tree.size + i, bytes })),
    redactions: [],
    policies: [],
    tiles: next.full,
    head: { size: next.tree.size, root: next.tree.root, time },
  })
  return next.tree
}

t.test('entries, bundles and tiles come back however they were batched', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 }), async (batches) => {
      const { file, store } = open(t)
      let tree = Tree.empty
      for (const count of batches) tree = await append(store, tree, count)
      const reader = SqliteStore.open(file, { readonly: true })
      const all = Array.from({ length: tree.size }, (_, i) => entry(i))
      t.same(await reader.entries(0, tree.size), all)
      t.same(await reader.entries(tree.size - 1, tree.size + 5), all.slice(-1))
      const middle = Math.floor(tree.size / 2)
      t.same(await reader.entry(middle), all[middle])
      t.same(await reader.addendum(middle), all[middle])
      for (let bundle = 0; bundle * TILE_WIDTH < tree.size; bundle++) {
        const width = Math.min(TILE_WIDTH, tree.size - bundle * TILE_WIDTH)
        for (const some of new Set([1, Math.ceil(width / 2), width])) {
          const expected = formatBundle(all.slice(bundle * TILE_WIDTH, bundle * TILE_WIDTH + some))
          t.same(await reader.bundle(bundle, some), expected)
        }
        const tile = await reader.tile(0, bundle)
        if (width === TILE_WIDTH)
          t.same(
            tile && concat(...tile.hashes),
            concat(...all.slice(bundle * TILE_WIDTH, (bundle + 1) * TILE_WIDTH).map(leafHash)),
          )
        else t.equal(tile, undefined)
      }
      t.equal(await store.findLeaf(leafHash(all[middle]!)), middle)
      await reader.close()
    }),
    { numRuns: 12 },
  )
})

t.test('a commit from another size is refused, and nothing of it is written', async (t) => {
  const { store } = open(t)
  const tree = await append(store, Tree.empty, 3)
  await t.rejects(append(store, Tree.empty, 5))
  const twice = {
    from: 3,
    entries: [entry(3)],
    redactions: [],
    policies: [],
    tiles: [],
    head: { size: 4, root: tree.root, time: 1 },
  }
  // The second addendum breaks a rule of the table in the middle of the transaction.
  await t.rejects(
    store.commit({
      ...twice,
      addenda: [
        { index: 3, bytes: entry(3) },
        { index: 3, bytes: entry(3) },
      ],
    }),
  )
  t.equal((await store.head()).size, 3)
  t.equal(await store.entry(3), undefined)
  t.equal(await store.addendum(3), undefined)
  t.equal((await append(store, tree, 2)).size, 5)
})

t.test('a reader sees whole commits while another connection writes', async (t) => {
  const { file, store } = open(t)
  const reader = SqliteStore.open(file, { readonly: true })
  t.teardown(() => reader.close())
  let tree = Tree.empty
  for (const count of [1, 255, 1, 300]) {
    const next = append(store, tree, count)
    t.ok([tree.size, tree.size + count].includes((await reader.head()).size))
    tree = await next
    t.match(await reader.head(), { size: tree.size, root: tree.root })
    t.equal((await reader.entries(0, tree.size + 1)).length, tree.size)
  }
  await t.rejects(append(reader, tree, 1), 'and cannot write')
  t.equal((await store.head()).size, tree.size)
})

t.test('an erased addendum is gone for every reader, and its neighbours are not', async (t) => {
  const { file, store } = open(t)
  const tree = await append(store, Tree.empty, 20)
  const next = tree.append([leafHash(entry(20))])
  await store.commit({
    from: 20,
    entries: [entry(20)],
    addenda: [],
    redactions: [
      { index: 3, by: 20 },
      { index: 4, by: 20 },
    ],
    policies: [20],
    tiles: [],
    head: { size: 21, root: next.tree.root, time: 1 },
  })
  t.equal(await store.erase(), true)
  await store.close()
  const again = SqliteStore.open(file)
  for (let index = 0; index < 20; index++) {
    const erased = index === 3 || index === 4
    t.same(await again.addendum(index), erased ? undefined : entry(index))
    t.equal(await again.redactedBy(index), erased ? 20 : undefined)
  }
  t.same(await again.policies(), [20])
  t.equal(await again.erase(), true)
  await again.close()
})

t.test('every connection syncs fully', async (t) => {
  const { file, store } = open(t)
  t.equal(store.durability, 'journal_mode=wal synchronous=FULL')
  await store.close()
  const again = SqliteStore.open(file)
  t.equal(again.durability, 'journal_mode=wal synchronous=FULL', 'a reopened file too')
  await again.close()
})

t.test('what is not a log is refused', async (t) => {
  const { file } = open(t)
  t.throws(() => SqliteStore.open(`${file}.none`), { code: 'USAGE' })
  t.throws(() => createStore(file, 'log.example/again', 'raw'), { code: 'USAGE' })
})

t.test('one server for a folder', (t) => {
  const folder = temporaryFolder(t)
  const lock = lockData(folder)
  t.throws(() => lockData(folder), { code: 'LOCKED' })
  lock.release()
  lockData(folder).release()
  t.end()
})
