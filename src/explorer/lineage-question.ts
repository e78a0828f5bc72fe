/** What is asked of lineage: where an artifact came from and what it reached, or what everything of a key reached. */
import type { Direction } from '../core/lineage.ts'

export interface LineageQuestion {
  /** `algorithm:hex`, or `key:` and the id of a key. */
  readonly about: string
  readonly direction: Direction
  /** For keys: half-open, ms since the Unix epoch. */
  readonly since?: number
  readonly until?: number
}

/** `key:` before the id of a key asks for everything that its events produced. */
export const keyOf = (about: string): string | undefined =>
  about.startsWith('key:') ? about.slice('key:'.length) : undefined

/** What somebody typed: bare hex of 32 bytes is SHA-256, anything else must say its algorithm. Undefined for what is neither. */
export function aboutOf(text: string): string | undefined {
  const trimmed = text.trim()
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return `sha256:${trimmed.toLowerCase()}`
  const [, algorithm, hex] = /^([!-~]{1,64}):((?:[0-9a-f]{2}){4,64})$/i.exec(trimmed) ?? []
  return algorithm === undefined ? undefined : `${algorithm}:${hex!.toLowerCase()}`
}

/** ms since the Unix epoch, of ISO 8601 or of that number; undefined for nothing, NaN for anything else. */
export function momentOf(text: string): number | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return undefined
  if (/^[0-9]{1,15}$/.test(trimmed)) return Number(trimmed)
  // Without a zone a browser would take its own: on this page all times are UTC.
  return Date.parse(
    /[zZ]$|[+-][0-9]{2}:?[0-9]{2}$/.test(trimmed) ? trimmed : `${trimmed}${trimmed.includes('T') ? 'Z' : ''}`,
  )
}
