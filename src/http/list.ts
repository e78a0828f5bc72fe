/** Events in order, a page at a time: all of them, from the log itself, or those that fit a filter, as the index says. */
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Event, EventList } from '../../schemas/types.ts'
import { TreelineError } from '../core/errors.ts'
import type { Log } from '../log/log.ts'
import type { Projections } from '../log/projections.ts'
import type { ListAnswer } from '../log/search.ts'
import { TREE } from './auth.ts'
import { eventDocument } from './documents.ts'
import { type FilterQuery, filterOf } from './event-filter.ts'
import { requireIndex } from './lineage.ts'
import { operations } from './operations.ts'
import { LIMIT } from './query.ts'
import { findEvents, type ServedLogs } from './served-log.ts'

interface ListQuery extends FilterQuery {
  readonly from?: number
  readonly limit?: number
  readonly order?: 'asc' | 'desc'
}

/** Base64 of payloads in one list, characters; the event that goes past it is the last. */
const MAX_PAGE_LENGTH = 8 * 2 ** 20
/** Events after which others get a turn. */
const TURN = 32

export function listRoutes(app: FastifyInstance, logs: ServedLogs, projections: Projections | undefined): void {
  app.get<{ Params: { log: string }; Querystring: ListQuery }>(
    '/:log/v1/events',
    { config: TREE, schema: operations.listEvents },
    async ({ params, query, reader }): Promise<EventList> => {
      const { log } = findEvents(logs, params.log)
      const { from, limit = LIMIT.default, order = 'asc' } = query
      const { tree, note } = log.head
      const payload = reader!.may(log.name, 'payload')
      const filter = filterOf(query)
      if (filter?.terms !== undefined && !payload)
        throw new TreelineError('FORBIDDEN', 'searching text takes a token with the scope payload')
      const page =
        filter === undefined
          ? everyEvent(tree.size, from, limit, order)
          : await requireIndex(projections).list({
              ...{ log: log.name, filter, limit, order, size: tree.size, payload },
              ...(from !== undefined && { from }),
            })
      return { ...(await documents(log, page, payload)), completeTo: page.completeTo, checkpoint: note }
    },
  )
}

function everyEvent(size: number, from: number | undefined, limit: number, order: 'asc' | 'desc'): ListAnswer {
  if (order === 'asc') {
    const first = Math.min(from ?? 0, size)
    const next = Math.min(size, first + limit)
    const indexes = Array.from({ length: next - first }, (_, i) => first + i)
    return { indexes, next: next < size ? next : null, completeTo: size }
  }
  const last = Math.min(from ?? size - 1, size - 1)
  const indexes = Array.from({ length: Math.min(limit, last + 1) }, (_, i) => last - i)
  return { indexes, next: last >= limit ? last - limit : null, completeTo: size }
}

/** The page ends early rather than that a thousand large payloads stand in memory at once; `next` says where. */
async function documents(
  log: Log,
  { indexes, next }: ListAnswer,
  payload: boolean,
): Promise<Pick<EventList, 'events' | 'next'>> {
  const events: Event[] = []
  const entryAt = entryReader(log, indexes)
  let length = 0
  for (const index of indexes) {
    if (length > MAX_PAGE_LENGTH) return { events, next: index }
    if (events.length % TURN === TURN - 1) await setImmediate()
    const event = await eventDocument(log, index, await entryAt(index), payload)
    length += event.envelope?.payload.length ?? event.payload?.length ?? 0
    events.push(event)
  }
  return { events, next }
}

/** Neighbours are read at once. */
function entryReader(log: Log, indexes: readonly number[]): (index: number) => Promise<Uint8Array> {
  const [low, high] = [Math.min(...indexes), Math.max(...indexes)]
  let all: Promise<Uint8Array[]> | undefined
  if (high - low >= 4 * indexes.length) return async (index) => (await log.store.entry(index))!
  return async (index) => {
    all ??= log.store.entries(low, high + 1)
    return (await all)[index - low]!
  }
}
