import { concat, equal } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { leafHash } from '../core/merkle.ts'
import { TILE_WIDTH } from '../core/tile.ts'
import { Tree } from '../core/tree.ts'
import type { Store } from '../store/store.ts'

export interface CheckReport {
  readonly size: number
  readonly root: Uint8Array
  readonly tiles: number
}

/**
 * Rebuilds the tree of the committed head from the entries alone and compares root and every stored tile, inner nodes included.
 * Throws INVALID_LOG with the first difference. May run beside a server that writes: entries after the head that it began with are not looked at.
 * `seen` gets all entries in order.
 */
export async function checkTree(
  store: Store,
  progress: (done: number, size: number) => void,
  seen: (entries: readonly Uint8Array[], leaves: readonly Uint8Array[]) => void = () => {},
): Promise<CheckReport> {
  const { size, root } = await store.head()
  let tree = Tree.empty
  let tiles = 0
  while (tree.size < size) {
    const from = tree.size
    const entries = await readEntries(store, from, Math.min(size, from + 16 * TILE_WIDTH))
    if (entries.length === 0) throw new TreelineError('INVALID_LOG', `entry ${from} is missing`)
    const leaves = entries.map(leafHash)
    seen(entries, leaves)
    const next = tree.append(leaves)
    for (const { level, index, nodes } of next.full) {
      const stored = await store.tile(level, index)
      if (stored === undefined) throw new TreelineError('INVALID_LOG', `tile ${level}/${index} is missing`)
      const [hashes, inner] = [concat(...stored.hashes), concat(...stored.nodes)]
      if (!equal(hashes, nodes.bytes(TILE_WIDTH)) || !equal(inner, nodes.storedNodes())) {
        throw new TreelineError('INVALID_LOG', `tile ${level}/${index} does not match the entries below it`)
      }
      tiles++
    }
    tree = next.tree
    progress(tree.size, size)
  }
  if (!equal(tree.root, root))
    throw new TreelineError('INVALID_LOG', `the entries do not give the root of the head at size ${size}`)
  return { size, root, tiles }
}

/** A framing that cannot be read is as wrong as an entry that hashes to something else. */
async function readEntries(store: Store, from: number, to: number): Promise<Uint8Array[]> {
  try {
    return await store.entries(from, to)
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError('INVALID_LOG', `the entries from ${from} on cannot be read: ${error.message}`)
  }
}
