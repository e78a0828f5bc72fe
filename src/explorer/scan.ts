/** Every entry of a log, read and hashed here: what is found in it is all that there is, whatever the server would rather leave out. */
import { equal } from '../core/bytes.ts'
import { CompactRange } from '../core/compact-range.ts'
import { leafHash } from '../core/merkle.ts'
import { formatTilePath, parseBundle, TILE_WIDTH } from '../core/tile.ts'
import { type Api, ApiError } from './api.ts'
import type { Head, ListedLog } from './head.ts'
import { breathe, type Pace } from './pace.ts'

/** Of all logs together: about 100 MB over the network and in memory, and some seconds of hashing. */
export const MAX_SCANNED = 300_000
/** Bundles that are asked for ahead of the one that is hashed. */
const AHEAD = 6

/**
 * Gives the entries of each bundle to `take`, in order, before anything is proved of them: only when this returns was their root that of the head.
 * Throws ApiError, and INVALID where it is not.
 */
export async function scan(
  api: Api,
  log: ListedLog,
  head: Head,
  take: (first: number, entries: readonly Uint8Array[]) => void,
  { signal, progress }: Pace,
): Promise<void> {
  const range = CompactRange.empty()
  const bundles = Math.ceil(head.size / TILE_WIDTH)
  const ask = (index: number) => {
    const width = Math.min(TILE_WIDTH, head.size - index * TILE_WIDTH)
    const bundle = api.bytes(`/${log.name}/${formatTilePath({ level: 'entries', index, width })}`, { signal })
    // Whoever fails later is heard when it is awaited, or not at all once another has.
    bundle.catch(() => {})
    return bundle
  }
  const pending = Array.from({ length: Math.min(AHEAD, bundles) }, (_, i) => ask(i))
  for (let index = 0; index < bundles; index++) {
    const bytes = await pending.shift()!
    if (index + AHEAD < bundles) pending.push(ask(index + AHEAD))
    const entries = parseBundle(bytes)
    for (const entry of entries) range.append(leafHash(entry))
    take(index * TILE_WIDTH, entries)
    progress({ what: log.name, done: range.size, total: head.size })
    await breathe()
    signal.throwIfAborted()
  }
  if (range.size !== head.size || !equal(range.root(), head.checkpoint.root))
    throw new ApiError(
      0,
      'INVALID',
      `The entries that the server shows of ${log.name} are not those of the head that it signed.`,
    )
}
