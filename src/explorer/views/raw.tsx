/** A log of bytes without a meaning: its entries one by one and many, each with its proof. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { toHex } from '../../core/bytes.ts'
import type { CheckedEntry } from '../entries.ts'
import type { Head } from '../head.ts'
import { preview, readRaw } from '../raw-entries.ts'
import { eventHref, logHref, timelineHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Await, Badge, Mark, Short, useLoad } from '../ui.tsx'
import { many, verdictOf, worst } from '../verdict.ts'

const PAGE = 50
const IN_A_ROW = 60

export function RawView({ log: name, query }: { log: string; query: URLSearchParams }): JSX.Element {
  const session = useSession()
  const loaded = useLoad(async () => {
    const log = await session.log(name)
    const head = await session.head(log)
    const asked = Number(query.get('from') ?? head.size - 1)
    const last = Number.isSafeInteger(asked) ? Math.max(0, Math.min(asked, head.size - 1)) : head.size - 1
    const first = Math.max(0, last - PAGE + 1)
    const rows = await readRaw(session.api, log, head, [first, Math.min(head.size, last + 1)])
    return { head, first, last, rows: rows.reverse() }
  }, [session.version, name, String(query)])
  return (
    <>
      <nav class="trail" aria-label="Where you are">
        <a href="#/">Logs</a> / {name}
      </nav>
      <div class="title">
        <h1>Entries of {name}</h1>
        <p class="links">
          <a href={timelineHref(name)}>Timeline</a>
        </p>
      </div>
      <p class="quiet">
        This log takes any bytes, and gives them no meaning: there are no signers, artifacts or lineage, and no search.
      </p>
      <Await loaded={loaded} what="entries">
        {({ head, first, last, rows }) =>
          head.size === 0 ? (
            <p>The log is empty.</p>
          ) : (
            <>
              <RowsVerdict head={head} rows={rows} />
              <RawRows log={name} rows={rows} />
              <p class="links">
                {first > 0 && <a href={logHref(name, { from: String(first - 1) })}>Older</a>}
                {last < head.size - 1 && <a href={logHref(name, { from: String(last + PAGE) })}>Newer</a>}
                {last < head.size - 1 && <a href={logHref(name)}>Newest</a>}
                {first > 0 && <a href={logHref(name, { from: String(PAGE - 1) })}>Oldest</a>}
              </p>
              <GoTo log={name} size={head.size} />
            </>
          )
        }
      </Await>
    </>
  )
}

function RowsVerdict({ head, rows }: { head: Head; rows: readonly CheckedEntry[] }): JSX.Element {
  const state = worst([...rows.map((row) => row.state), verdictOf(head.steps)])
  const failed = rows.filter((row) => row.state === 'failed').map(({ index }) => index)
  return (
    <div class={`verdict ${state}`} role="status" data-state={state}>
      <Badge state={state} />
      <p>
        {failed.length > 0
          ? `These are not what the tree holds: ${failed.join(', ')}.`
          : `${rows.length === 1 ? 'This entry' : `Each of these ${rows.length} entries`} was hashed here and led to the root of the published head of ${many(head.size, 'entry', 'entries')}.`}{' '}
        {failed.length === 0 && verdictOf(head.steps) !== 'verified' && 'The head itself is not verified: see the log.'}
      </p>
    </div>
  )
}

const RawRows = ({ log, rows }: { log: string; rows: readonly CheckedEntry[] }): JSX.Element => (
  <div class="scroll">
    <table class="events raw">
      <thead>
        <tr>
          <th scope="col">Proof</th>
          <th scope="col" class="number">
            Index
          </th>
          <th scope="col">Leaf hash</th>
          <th scope="col">Begins</th>
          <th scope="col" class="number">
            Bytes
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ index, state, why, leaf, bytes }) => (
          <tr key={index} class={state} data-state={state}>
            <td>
              <Mark state={state} />
            </td>
            <td class="number">
              <a href={eventHref(log, index)}>{index}</a>
            </td>
            <td>{leaf !== undefined && <Short>{toHex(leaf)}</Short>}</td>
            <td class="type">
              {bytes !== undefined && <code>{preview(bytes, IN_A_ROW)}</code>}
              {state === 'failed' && <p class="why">{why}</p>}
            </td>
            <td class="number">{bytes?.length}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)

function GoTo({ log, size }: { log: string; size: number }): JSX.Element {
  const [index, setIndex] = useState('')
  return (
    <form
      class="row end"
      onSubmit={(event) => {
        event.preventDefault()
        location.hash = eventHref(log, Number(index))
      }}
    >
      <label>
        Go to the entry with index
        <input
          type="number"
          required
          min={0}
          max={size - 1}
          value={index}
          onInput={({ currentTarget }) => setIndex(currentTarget.value)}
        />
      </label>
      <button type="submit">Go</button>
    </form>
  )
}
