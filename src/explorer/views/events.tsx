import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { EventList } from '../../../schemas/types.ts'
import { toHex } from '../../core/bytes.ts'
import { EVENT, KIND_NAMES } from '../../core/entry.ts'
import type { LineageMark } from '../../core/lineage.ts'
import { ApiError } from '../api.ts'
import { ChainLine } from '../chain.tsx'
import { type CheckedEntry, checkEntries, listOf } from '../entries.ts'
import type { Head, ListedLog } from '../head.ts'
import { MarkList } from '../mark-list.tsx'
import { NO_MARKS } from '../marks.ts'
import { mismatch } from '../query-match.ts'
import { eventHref, logHref, timelineHref } from '../route.ts'
import type { Session } from '../session.ts'
import { useSession } from '../session.ts'
import { Await, Badge, Mark, Short, Time, useLoad } from '../ui.tsx'
import { type State, verdictOf, worst } from '../verdict.ts'

const PAGE = 50
const FILTERS = ['type', 'artifact', 'signer', 'role', 'text', 'since', 'until'] as const

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

const isFiltered = (query: URLSearchParams): boolean => FILTERS.some((name) => query.has(name))

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
      <Search log={name} query={query} />
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
  const session = useSession()
  const { log, rows, names } = page
  const marks = useLoad(() => session.marks(), [session.version]).value ?? NO_MARKS
  const filtered = isFiltered(query)
  return (
    <>
      <Summary page={page} filtered={filtered} />
      {rows.length === 0 ? (
        <p>Nothing here.</p>
      ) : (
        <div class="scroll">
          <table class="events">
            <thead>
              <tr>
                <th scope="col">Proof</th>
                <th scope="col" class="number">
                  Index
                </th>
                <th scope="col">Time of the log</th>
                <th scope="col">Type</th>
                <th scope="col">Signer</th>
                <th scope="col" class="number">
                  Artifacts
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <Row
                  key={row.index}
                  log={log.name}
                  row={row}
                  names={names}
                  marks={marks.get(`${log.name} ${row.index}`) ?? []}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Pager page={page} query={query} />
    </>
  )
}

function Summary({ page: { head, rows, completeTo }, filtered }: { page: EventsPage; filtered: boolean }): JSX.Element {
  const states: State[] = [...rows.map(({ state }) => state), verdictOf(head.steps)]
  const state = worst(states)
  const failed = rows.filter((row) => row.state === 'failed')
  const text =
    failed.length > 0
      ? `${failed.length} of these ${rows.length} entries are not what the tree holds, or not what was asked for: ${failed.map(({ index }) => index).join(', ')}.`
      : `Each of these ${rows.length} entries was hashed here and led to the root of the published head of ${head.size} entries. Open one to have its signature checked too.`
  const head_ = verdictOf(head.steps)
  return (
    <div class={`verdict ${state}`} role="status" data-state={state}>
      <Badge state={state} />
      <p>
        {rows.length > 0 && text}{' '}
        {failed.length === 0 && head_ !== 'verified' && 'The head itself is not verified: see the log.'}
        {filtered &&
          ` The search is the server's: that it leaves out nothing up to entry ${completeTo} is its word. "treeline search --complete" proves it.`}
      </p>
    </div>
  )
}

interface RowProps {
  readonly log: string
  readonly row: CheckedEntry
  readonly names: ReadonlyMap<string, string>
  readonly marks: readonly LineageMark[]
}

function Row({ log, row, names, marks }: RowProps): JSX.Element {
  const { index, state, why, entry } = row
  const event = entry?.kind === EVENT ? entry : undefined
  return (
    <tr class={state} data-state={state}>
      <td>
        <Mark state={state} />
      </td>
      <td class="number">
        <a href={eventHref(log, index)}>{index}</a>
      </td>
      <td>{entry === undefined ? '–' : <Time ms={entry.time} />}</td>
      <td class="type">
        {entry === undefined ? why : (event?.type ?? `${KIND_NAMES[entry.kind]} of the log`)}
        {state === 'failed' && entry !== undefined && <p class="why">{why}</p>}
        <MarkList marks={marks} />
      </td>
      <td>
        {event?.keys.map(toHex).map((key) => {
          const named = names.get(key)
          return <div key={key}>{named === undefined ? <Short>{key}</Short> : <span title={key}>{named}</span>}</div>
        })}
      </td>
      <td class="number">{event === undefined ? '' : event.artifacts.length + event.hidden}</td>
    </tr>
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

const LABELS: Readonly<Record<(typeof FILTERS)[number], readonly [label: string, hint: string]>> = {
  type: ['Type', 'exact, or a beginning with *'],
  artifact: ['Artifact', 'sha256:… or hex'],
  signer: ['Signer', 'id of its key'],
  role: ['Role', 'produced, consumed, examined'],
  text: ['Text in payloads', 'words'],
  since: ['Since', '2026-01-31T00:00:00Z'],
  until: ['Until', '2026-02-01T00:00:00Z'],
}

function Search({ log, query }: { log: string; query: URLSearchParams }): JSX.Element {
  const [values, setValues] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ''])),
  )
  const set =
    (name: string) =>
    ({ currentTarget: { value } }: { currentTarget: HTMLInputElement | HTMLSelectElement }) =>
      setValues((before) => ({ ...before, [name]: value }))
  return (
    <details open={isFiltered(query)} class="search">
      <summary>Search</summary>
      <search>
        <form
          onSubmit={(event) => {
            event.preventDefault()
            location.hash = logHref(log, Object.fromEntries(FILTERS.map((name) => [name, values[name]!.trim()])))
          }}
        >
          {FILTERS.map((name) => (
            <label key={name} for={`by-${name}`}>
              {LABELS[name][0]}
              {name === 'role' ? (
                <select id={`by-${name}`} name={name} value={values[name]} onChange={set(name)}>
                  <option value="">any</option>
                  <option>produced</option>
                  <option>consumed</option>
                  <option>examined</option>
                </select>
              ) : (
                <input
                  id={`by-${name}`}
                  name={name}
                  value={values[name]}
                  placeholder={LABELS[name][1]}
                  autocomplete="off"
                  spellcheck={false}
                  onInput={set(name)}
                />
              )}
            </label>
          ))}
          <div class="row">
            <button type="submit">Search</button>
            {isFiltered(query) && <a href={logHref(log)}>All events</a>}
          </div>
        </form>
      </search>
    </details>
  )
}
