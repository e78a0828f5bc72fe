/** The `raw` profile: any bytes are an entry. It has no signatures, so it must be asked for by name. */
import { TreelineError } from '../core/errors.ts'
import { MAX_ENTRY_SIZE } from '../core/tile.ts'
import type { Log } from './log.ts'

/** Resolves to the index when the entry is durable. Throws ENTRY_TOO_LARGE. */
export async function addRaw(log: Log, entry: Uint8Array): Promise<number> {
  if (entry.length > MAX_ENTRY_SIZE) {
    throw new TreelineError('ENTRY_TOO_LARGE', `an entry has at most ${MAX_ENTRY_SIZE} bytes, not ${entry.length}`)
  }
  const { index } = await log.append({ size: entry.length, place: () => ({ entry }) })
  return index
}
