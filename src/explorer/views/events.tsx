import type { JSX } from 'preact'
import type { EventList } from '../../../schemas/types.ts'
import { ApiError } from '../api.ts'
import { ChainLine } from '../chain.tsx'
import { type CheckedEntry, checkEntries, listOf } from '../entries.ts'
import { EventsSearch, FILTERS, isFiltered } from '../events-search.tsx'
import { EventsTable } from '../events-table.tsx'
import type { Head, ListedLog } from '../head.ts'
import { mismatch } from '../query-match.ts'
import { logHref, timelineHref } from '../route.ts'
import type { Session } from '../session.ts'
import { useSession } from '../session.ts'
import { Await, Badge, useLoad } from '../ui.tsx'
import { many, type State, verdictOf, worst } from '../verdict.ts'

const PAGE = 50

interface EventsPage {
  readonly log: ListedLog
  readonly head: Head
  readonly rows: readonly CheckedEntry[]
  readonly next: number | null
  readonly completeTo: number
  readonly names: ReadonlyMap<string, string>
}

async function loadPage(session: Session, name: string, query: URLSearchParams): Promise<EventsPage> {
  const log = await session.log(name)
  const head = await session.head(log)
  const asked = new URLSearchParams(query)
  asked.set('limit', String(PAGE))
  // The newest are what people look for.
  if (!asked.has('order')) asked.set('order', 'desc')
  const answer = await session.api.json<EventList>(`/${name}/v1/events?${asked}`)
  const rows = await checkEntries(head, listOf(answer.events, 'events'))
  return {
    log,
    head,
    rows: rows.map((row) => requireMatch(row, query)),
    next: answer.next,
    completeTo: answer.completeTo,
    names: await session.names(log),
  }
}

function requireMatch(row: CheckedEntry, query: URLSearchParams): CheckedEntry {
  const why = row.entry && row.state !== 'failed' ? mismatch(row.entry, query) : undefined
  return why === undefined ? row : { ...row, state: 'failed', why: `It is not what was asked for, by ${why}.` }
}

export function EventsView({ log: name, query }: { log: string; query: URLSearchParams }): JSX.Element {
  const session = useSession()
  const page = useLoad(() => loadPage(session, name, query), [session.version, name, String(query)])
  const unknown = page.error instanceof ApiError && page.error.code === 'UNKNOWN_PARAMETER' && isFiltered(query)
  return (
    <>
      <nav class="trail" aria-label="Where you are">
        <a href="#/">Logs</a> / {name}
      </nav>
      <div class="title">
        <h1>Events of {name}</h1>
        <p class="links">
          <a href={timelineHref(name)}>Timeline</a>
        </p>
      </div>
      <ChainLine name={name} />
      <EventsSearch log={name} query={query} />
      {unknown ? (
        <p class="notice" role="alert">
          This server cannot search by that: {(page.error as ApiError).message}
        </p>
      ) : (
        <Await loaded={page} what="events">
          {(value) => <Rows page={value} query={query} />}
        </Await>
      )}
    </>
  )
}

function Rows({ page, query }: { page: EventsPage; query: URLSearchParams }): JSX.Element {
  const { log, rows, names } = page
  const filtered = isFiltered(query)
  return (
    <>
      <Summary page={page} filtered={filtered} />
      {rows.length === 0 ? (
        <p>{filtered ? 'The server knows of no event that fits.' : 'The log is empty.'}</p>
      ) : (
        <EventsTable log={log.name} rows={rows} names={names} />
      )}
      <Pager page={page} query={query} />
    </>
  )
}

function Summary({ page: { head, rows, completeTo }, filtered }: { page: EventsPage; filtered: boolean }): JSX.Element {
  const headState = verdictOf(head.steps)
  // That there is nothing is the server's word, and proves nothing.
  const states: State[] = [
    ...rows.map(({ state }) => state),
    headState,
    ...(rows.length === 0 ? (['unverified'] as const) : []),
  ]
  const state = worst(states)
  const failed = rows.filter((row) => row.state === 'failed')
  const text =
    failed.length > 0
      ? `Of these ${many(rows.length, 'entry', 'entries')} ${failed.length} ${failed.length === 1 ? 'is' : 'are'} not what the tree holds, or not what was asked for: ${failed.map(({ index }) => index).join(', ')}.`
      : `${rows.length === 1 ? 'This entry' : `Each of these ${rows.length} entries`} was hashed here and led to the root of the published head of ${many(head.size, 'entry', 'entries')}. Open ${rows.length === 1 ? 'it' : 'one'} to have its signature checked too.`
  return (
    <div class={`verdict ${state}`} role="status" data-state={state}>
      <Badge state={state} />
      <p>
        {rows.length > 0 && text}{' '}
        {failed.length === 0 && headState !== 'verified' && 'The head itself is not verified: see the log.'}
        {filtered &&
          ` The search is the server's: that it leaves out nothing up to entry ${completeTo} is its word. "treeline search --complete" proves it.`}
      </p>
    </div>
  )
}

function Pager({ page: { log, next }, query }: { page: EventsPage; query: URLSearchParams }): JSX.Element {
  const kept = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? '']))
  const order = query.get('order') ?? ''
  const ascending = order === 'asc'
  return (
    <p class="links">
      {next !== null && (
        <a href={logHref(log.name, { ...kept, order, from: String(next) })}>{ascending ? 'Newer' : 'Older'}</a>
      )}
      {(ascending || query.has('from')) && <a href={logHref(log.name, kept)}>Newest first</a>}
      {(!ascending || query.has('from')) && <a href={logHref(log.name, { ...kept, order: 'asc' })}>Oldest first</a>}
    </p>
  )
}
