/** A log without a sequencer: entries that go straight into its store. */
import { leafHash } from '../../src/core/merkle.ts'
import type { Tree } from '../../src/core/tree.ts'
import type { SqliteStore } from '../../src/store/sqlite.ts'

/** Commits entries without documents behind those of `tree`; returns the tree with them. `time` is that of the new head. */
export async function commitEntries(
  store: SqliteStore,
  tree: Tree,
  entries: readonly Uint8Array[],
  time = 0,
): Promise<Tree> {
  const leaves = entries.map(leafHash)
  const next = tree.append(leaves)
  const head = { size: next.tree.size, root: next.tree.root, time }
  await store.commit({
    ...{ from: tree.size, entries, leaves, addenda: [], redactions: [], policies: [] },
    ...{ tiles: next.full, head },
  })
  return next.tree
}
