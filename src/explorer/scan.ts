/** Every entry of a log, read and hashed here: what is found in it is all that there is, whatever the server would rather leave out. */

import { equal } from '../core/bytes.ts'
import { CompactRange } from '../core/compact-range.ts'
import { decodeEntry, type Entry } from '../core/entry.ts'
import { leafHash } from '../core/merkle.ts'
import { formatTilePath, parseBundle, TILE_WIDTH } from '../core/tile.ts'
import { type Api, ApiError } from './api.ts'
import type { Head, ListedLog } from './head.ts'

/** Of all logs together: about 100 MB over the network, and some seconds of hashing. */
export const MAX_SCANNED = 300_000
/** Bundles that are asked for ahead of the one that is hashed. */
const AHEAD = 6

/**
 * Entries by index. Nothing is returned before their root is that of the head. Throws ApiError, and INVALID where it is not.
 */
export async function scan(
  api: Api,
  log: ListedLog,
  head: Head,
  progress: (done: number) => void,
): Promise<readonly Entry[]> {
  const range = CompactRange.empty()
  const entries: Entry[] = []
  const bundles = Math.ceil(head.size / TILE_WIDTH)
  const ask = (index: number) => {
    const width = Math.min(TILE_WIDTH, head.size - index * TILE_WIDTH)
    return api.bytes(`/${log.name}/${formatTilePath({ level: 'entries', index, width })}`)
  }
  const pending = Array.from({ length: Math.min(AHEAD, bundles) }, (_, i) => ask(i))
  // Whoever fails later is heard when it is awaited, or not at all once another has.
  for (const one of pending) one.catch(() => {})
  for (let index = 0; index < bundles; index++) {
    const bytes = await pending.shift()!
    if (index + AHEAD < bundles) {
      const next = ask(index + AHEAD)
      next.catch(() => {})
      pending.push(next)
    }
    for (const entry of parseBundle(bytes)) {
      range.append(leafHash(entry))
      entries.push(decodeEntry(entry))
    }
    progress(entries.length)
    // Hashing holds the thread: the page must stay alive.
    if (index % 8 === 7) await new Promise((resolve) => setTimeout(resolve))
  }
  if (range.size !== head.size || !equal(range.root(), head.checkpoint.root))
    throw new ApiError(
      0,
      'INVALID',
      `The entries that the server shows of ${log.name} are not those of the head that it signed.`,
    )
  return entries
}
