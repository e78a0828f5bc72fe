/** What a server answers to a query, and whether that is all. */
import { TreelineError } from '../core/errors.ts'
import { indexOf, wrongAnswer } from './answer.ts'
import { type Query, queryParameters } from './query.ts'
import type { Transport } from './transport.ts'

/** An event document of the API, as far as it is read here. */
export interface ListedEvent {
  readonly index: number
  readonly [member: string]: unknown
}

interface Page {
  readonly events?: unknown
  readonly next?: unknown
  readonly completeTo?: unknown
}

/** How far the index of the server was when it answered. */
export interface Listing {
  readonly events: readonly ListedEvent[]
  readonly completeTo: number
  /** Whether there may be more. */
  readonly more: boolean
}

const MOST_IDLE = 20

/** All pages, or as many as it takes for `most` events. Throws INVALID_PROOF for what is no list, and what the server answers. */
export async function listEvents(
  transport: Transport,
  query: Query,
  { from = 0, most = Number.POSITIVE_INFINITY }: { readonly from?: number; readonly most?: number } = {},
): Promise<Listing> {
  const parameters = queryParameters(query)
  const events: ListedEvent[] = []
  let completeTo = Number.POSITIVE_INFINITY
  let next: number | null = from
  let idle = 0
  while (next !== null && events.length < most) {
    parameters.set('from', String(next))
    parameters.set('limit', String(Math.min(1_000, most - events.length)))
    const page: Page = await transport.json<Page>(`v1/events?${parameters}`)
    if (!Array.isArray(page.events)) throw wrongAnswer('it is not a list of events')
    for (const event of page.events as ListedEvent[]) {
      // In order, so that no page is read twice, and a list that never ends is not read for ever.
      if (indexOf(event?.index, 'index') < next) throw wrongAnswer(`entry ${event.index} is listed out of order`)
      next = event.index + 1
      events.push(event)
    }
    completeTo = Math.min(completeTo, indexOf(page.completeTo, 'completeTo'))
    const following: number | null = page.next === null ? null : indexOf(page.next, 'next')
    if (following !== null && following < next) throw wrongAnswer('the next page is one before')
    // A server that is short of time ends a page before the first event, but not again and again.
    idle = following === next && page.events.length === 0 ? idle + 1 : 0
    if (idle > MOST_IDLE) throw wrongAnswer('the next page is the same again and again')
    next = following
  }
  return { events, completeTo, more: next !== null }
}

/**
 * Holds the answer of a server against what a verified scan has found. Throws INVALID_PROOF when it left something out, or listed what does not
 * match. `unsure` are those of which only a payload that is gone could say it.
 */
export function requireSame(
  { events, completeTo }: Listing,
  {
    found,
    unsure,
    size,
  }: { readonly found: readonly number[]; readonly unsure: readonly number[]; readonly size: number },
): void {
  const listed = new Set(events.map(({ index }) => index))
  const possible = new Set([...found, ...unsure])
  const left = found.filter((index) => index < completeTo && !listed.has(index))
  const invented = [...listed].filter((index) => index < size && !possible.has(index))
  if (left.length === 0 && invented.length === 0) return
  const why = [
    ...(left.length > 0 ? [`leaves out ${some(left)}`] : []),
    ...(invented.length > 0 ? [`lists ${some(invented)}, which ${invented.length > 1 ? 'do' : 'does'} not match`] : []),
  ]
  throw new TreelineError('INVALID_PROOF', `the answer of the server ${why.join(', and ')}`, { left, invented })
}

const some = (indexes: readonly number[]): string =>
  `${indexes.slice(0, 10).join(', ')}${indexes.length > 10 ? ` and ${indexes.length - 10} more` : ''}`
