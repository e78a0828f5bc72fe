/** Rows of events, each with the state of its proof and what others say against it. */
import type { JSX } from 'preact'
import { toHex } from '../core/bytes.ts'
import { EVENT, KIND_NAMES } from '../core/entry.ts'
import type { LineageMark } from '../core/lineage.ts'
import type { CheckedEntry } from './entries.ts'
import { MarkList } from './mark-list.tsx'
import { NO_MARKS } from './marks.ts'
import { eventHref } from './route.ts'
import { useSession } from './session.ts'
import { Mark, Short, Time, useLoad } from './ui.tsx'

interface Rows {
  readonly log: string
  readonly rows: readonly CheckedEntry[]
  readonly names: ReadonlyMap<string, string>
}

export function EventsTable({ log, rows, names }: Rows): JSX.Element {
  const session = useSession()
  const marks = useLoad(() => session.marks(), [session.version]).value ?? NO_MARKS
  return (
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
            <Row key={row.index} log={log} row={row} names={names} marks={marks.get(`${log} ${row.index}`) ?? []} />
          ))}
        </tbody>
      </table>
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
