/** Entries as evidence shows them: with their place under a head, and their documents. */
import { decodeEntry, type Entry, EVENT } from '../src/core/entry.ts'
import { TreelineError } from '../src/core/errors.ts'
import type { ProvedItem } from '../src/core/fault.ts'
import { RebuiltTree, type SignedHead } from './heads.ts'
import type { LogReader } from './log-reader.ts'

/**
 * In ascending order, each once. Documents that are not `known` are asked of the log, but for those of events. Throws UNVERIFIABLE where the log does
 * not serve them.
 */
export async function proveItems(
  reader: LogReader,
  head: SignedHead,
  indexes: readonly number[],
  known: ReadonlyMap<number, Uint8Array>,
): Promise<ProvedItem[]> {
  const tree = await RebuiltTree.of(reader, head)
  const items: ProvedItem[] = []
  for (const [from, to] of runsOf(indexes)) {
    let index = from - 1
    for await (const bytes of reader.entries(from, to, head.size)) {
      index++
      const entry = entryIn(bytes)
      const document =
        known.get(index) ?? (entry && entry.kind !== EVENT ? await reader.addendum(entry.addendum) : undefined)
      items.push({ index, bytes, proof: tree.inclusion(index, head.size), ...(document && { document }) })
    }
  }
  return items
}

/** As half-open ranges, ascending: the items of a batch are thousands, in a few bundles. */
function runsOf(indexes: readonly number[]): (readonly [number, number])[] {
  const runs: [number, number][] = []
  for (const index of [...new Set(indexes)].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last !== undefined && last[1] === index) last[1]++
    else runs.push([index, index + 1])
  }
  return runs
}

/** Undefined for what is no entry: that is a matter of the rules. */
export function entryIn(bytes: Uint8Array): Entry | undefined {
  try {
    return decodeEntry(bytes)
  } catch (error) {
    if (error instanceof TreelineError) return undefined
    throw error
  }
}
