/** A log as it was at one size: its root, the proof that it is the beginning of the published one, and its last entries. */
import type { JSX } from 'preact'
import type { EventList } from '../../schemas/types.ts'
import { toHex } from '../core/bytes.ts'
import { EVENT, KIND_NAMES } from '../core/entry.ts'
import { verifyConsistency } from '../core/merkle.ts'
import { type CheckedEntry, checkEntries, listOf, type Tree } from './entries.ts'
import type { Head, ListedLog } from './head.ts'
import { preview, readRaw } from './raw-entries.ts'
import { eventHref } from './route.ts'
import type { Session } from './session.ts'
import { Digest, Mark, Steps, Time, Verdict } from './ui.tsx'
import { many, type Step } from './verdict.ts'

const SHOWN = 12
/** Letters of the bytes that have no type. */
const PREVIEW = 60

export interface Then {
  readonly size: number
  readonly root: Uint8Array
  readonly steps: readonly Step[]
  readonly rows: readonly CheckedEntry[]
}

export async function readThen(session: Session, log: ListedLog, head: Head, size: number): Promise<Then> {
  const root = await head.tiles.root(size)
  const proof = await head.tiles.consistency(size)
  const title = 'That tree is the beginning of the published one'
  const step: Step = verifyConsistency(BigInt(size), head.checkpoint.size, root, head.checkpoint.root, proof)
    ? {
        title,
        state: 'verified',
        detail: `Its root was computed here, and ${many(proof.length, 'hash', 'hashes')} ${proof.length === 1 ? 'leads' : 'lead'} from it to the root of the head of ${head.size} entries: nothing in it was changed or removed since.`,
      }
    : { title, state: 'failed', detail: 'The tiles that the server shows do not lead to the head that it has signed.' }
  const from = Math.max(0, size - SHOWN)
  const rows = await readLast(session, log, head, from, { size, root })
  return { size, root, steps: [step, ...head.steps], rows: [...rows].reverse() }
}

async function readLast(
  session: Session,
  log: ListedLog,
  head: Head,
  from: number,
  tree: Tree,
): Promise<CheckedEntry[]> {
  if (log.profile === 'raw') return readRaw(session.api, log, head, [from, tree.size], tree)
  const path = `/${log.name}/v1/events?from=${from}&limit=${tree.size - from}`
  return checkEntries(head, listOf((await session.api.json<EventList>(path)).events, 'events'), tree)
}

export function ShownThen({
  log,
  head,
  then: { size, root, steps, rows },
}: {
  log: ListedLog
  head: Head
  then: Then
}): JSX.Element {
  const newest = rows[0]?.entry?.time
  return (
    <>
      <Verdict steps={steps} what={`The log as of ${size} entries`} />
      <dl class="facts">
        {newest !== undefined && (
          <>
            <dt>Last entry</dt>
            <dd>
              <Time ms={newest} /> by the log's clock
            </dd>
          </>
        )}
        <dt>Entries since</dt>
        <dd>{(head.size - size).toLocaleString('en')}</dd>
        <dt>Root</dt>
        <dd>
          <Digest>{toHex(root)}</Digest>
        </dd>
      </dl>
      <details>
        <summary>How it was checked</summary>
        <Steps steps={steps} />
      </details>
      {rows.length > 0 && (
        <section aria-labelledby="last">
          <h2 id="last">The last entries then</h2>
          <ul class="rows">
            {rows.map(({ index, state, why, entry, bytes }) => (
              <li key={index} data-state={state}>
                <Mark state={state} />
                <a href={eventHref(log.name, index)}>{index}</a>
                <span>
                  {entry === undefined
                    ? state === 'failed' || bytes === undefined
                      ? ''
                      : preview(bytes, PREVIEW)
                    : entry.kind === EVENT
                      ? entry.type
                      : `${KIND_NAMES[entry.kind]} of the log`}
                </span>
                {entry !== undefined && <Time ms={entry.time} />}
                {state === 'failed' && <span class="why">{why}</span>}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  )
}
