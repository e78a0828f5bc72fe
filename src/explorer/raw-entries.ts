/** Entries of a log of bytes without a meaning: read from its bundles, and held against the tree like any other. */

import { fromUtf8 } from '../core/bytes.ts'
import { formatTilePath, parseBundle, TILE_WIDTH, tileWidth } from '../core/tile.ts'
import type { Api } from './api.ts'
import { type CheckedEntry, checkBytes, type Tree } from './entries.ts'
import type { Head, ListedLog } from './head.ts'

/** Those in [from, to), in order. Throws ApiError, and MALFORMED_BUNDLE. */
export async function readRaw(
  api: Api,
  log: ListedLog,
  head: Head,
  [from, to]: readonly [number, number],
  tree?: Tree,
): Promise<CheckedEntry[]> {
  const first = Math.floor(from / TILE_WIDTH)
  const count = Math.max(0, Math.ceil(to / TILE_WIDTH) - first)
  const bundles = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const width = tileWidth(head.size, 'entries', first + i)
      const path = formatTilePath({ level: 'entries', index: first + i, width })
      return parseBundle(await api.bytes(`/${log.name}/${path}`))
    }),
  )
  const sent = Array.from({ length: Math.max(0, to - from) }, (_, i) => {
    const index = from + i
    return { index, bytes: bundles[Math.floor(index / TILE_WIDTH) - first]?.[index % TILE_WIDTH] }
  })
  return checkBytes(head, sent, () => undefined, tree)
}

/** What people can read of bytes: text where they are text, else hex. */
export function preview(bytes: Uint8Array, most: number): string {
  const some = bytes.subarray(0, most)
  const text = fromUtf8(bytes)
  if (text !== undefined && !/[\u0000-\u0008\u000e-\u001f\u007f\u202a-\u202e\u2066-\u2069]/.test(text))
    return text.length > most ? `${text.slice(0, most)}…` : text
  return `${[...some].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}${bytes.length > most ? ' …' : ''}`
}
