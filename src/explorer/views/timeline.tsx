import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { EventList } from '../../../schemas/types.ts'
import { toHex } from '../../core/bytes.ts'
import { EVENT, KIND_NAMES } from '../../core/entry.ts'
import { verifyConsistency } from '../../core/merkle.ts'
import { ChainLine } from '../chain.tsx'
import { type CheckedEntry, checkEntries, listOf, type Tree } from '../entries.ts'
import { Growth } from '../growth.tsx'
import type { Head, ListedLog } from '../head.ts'
import { preview, readRaw } from '../raw-entries.ts'
import { eventHref, logHref, timelineHref } from '../route.ts'
import { type Session, useSession } from '../session.ts'
import { Await, Digest, Mark, Steps, Time, useLoad, Verdict } from '../ui.tsx'
import { many, type Step } from '../verdict.ts'

/** Entries whose times draw the curve. */
const SAMPLES = 48
const SHOWN = 12

/** The log at any size that it ever had. */
export function TimelineView({ log: name, size }: { log: string; size: number | undefined }): JSX.Element {
  const session = useSession()
  const loaded = useLoad(async () => {
    const log = await session.log(name)
    const head = await session.head(log)
    return { log, head, curve: log.profile === 'events' ? await readCurve(session, log, head) : [] }
  }, [session.version, name])
  return (
    <>
      <nav class="trail" aria-label="Where you are">
        <a href="#/">Logs</a> / {name}
      </nav>
      <div class="title">
        <h1>Timeline of {name}</h1>
        <p class="links">
          <a href={logHref(name)}>{loaded.value?.log.profile === 'raw' ? 'Entries' : 'Events'}</a>
        </p>
      </div>
      <ChainLine name={name} />
      <Await loaded={loaded} what="the log">
        {({ log, head, curve }) =>
          head.size === 0 ? <p>The log is empty.</p> : <Travel log={log} head={head} curve={curve} start={size} />
        }
      </Await>
    </>
  )
}

/** Points of time and size, from entries that are in the tree. */
async function readCurve(
  session: Session,
  log: ListedLog,
  head: Head,
): Promise<readonly (readonly [time: number, size: number])[]> {
  const count = Math.min(SAMPLES, head.size)
  const indexes = [
    ...new Set(Array.from({ length: count }, (_, i) => Math.round((i * (head.size - 1)) / Math.max(1, count - 1)))),
  ]
  const sent = await Promise.all(
    indexes.map(async (index) =>
      listOf((await session.api.json<EventList>(`/${log.name}/v1/events?from=${index}&limit=1`)).events, 'events'),
    ),
  )
  const rows = await checkEntries(head, sent.flat())
  return rows.flatMap(({ state, entry, index }) =>
    state === 'failed' || entry === undefined ? [] : [[entry.time, index + 1] as const],
  )
}

interface TravelProps {
  readonly log: ListedLog
  readonly head: Head
  readonly curve: readonly (readonly [number, number])[]
  readonly start: number | undefined
}

function Travel({ log, head, curve, start }: TravelProps): JSX.Element {
  const session = useSession()
  const clamp = (n: number) => Math.max(1, Math.min(head.size, Math.round(n) || 1))
  const [size, setSize] = useState(() => clamp(start ?? head.size))
  const settled = useSettled(size)
  useEffect(() => history.replaceState(null, '', timelineHref(log.name, settled)), [settled])
  const then = useLoad(() => readThen(session, log, head, settled), [session.version, settled])
  return (
    <>
      {curve.length > 1 && <Growth curve={curve} size={size} />}
      <div class="slider">
        <label for="size">Size of the tree</label>
        <input
          id="size"
          type="range"
          min={1}
          max={head.size}
          value={size}
          aria-valuetext={`${size} of ${head.size} entries`}
          onInput={({ currentTarget }) => setSize(clamp(Number(currentTarget.value)))}
        />
        <div class="row">
          <button type="button" onClick={() => setSize(clamp(size - 1))} disabled={size <= 1}>
            One back
          </button>
          <input
            type="number"
            aria-label="Size of the tree, as a number"
            min={1}
            max={head.size}
            value={size}
            onChange={({ currentTarget }) => setSize(clamp(Number(currentTarget.value)))}
          />
          <button type="button" onClick={() => setSize(clamp(size + 1))} disabled={size >= head.size}>
            One on
          </button>
          <span class="quiet">of {head.size}</span>
        </div>
      </div>
      <Await loaded={then} what="the tree of that size">
        {(value) => <Then log={log} head={head} then={value} />}
      </Await>
    </>
  )
}

/** The value once it has stayed the same for a moment: a slider that is dragged is not a hundred questions. */
function useSettled(value: number): number {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), 150)
    return () => clearTimeout(timer)
  }, [value])
  return settled
}

interface Then {
  readonly size: number
  readonly root: Uint8Array
  readonly steps: readonly Step[]
  readonly rows: readonly CheckedEntry[]
}

async function readThen(session: Session, log: ListedLog, head: Head, size: number): Promise<Then> {
  const root = await head.tiles.root(size)
  const proof = await head.tiles.consistency(size)
  const title = 'That tree is the beginning of the published one'
  const step: Step = verifyConsistency(BigInt(size), head.checkpoint.size, root, head.checkpoint.root, proof)
    ? {
        title,
        state: 'verified',
        detail: `Its root was computed here, and ${many(proof.length, 'hash', 'es')} ${proof.length === 1 ? 'leads' : 'lead'} from it to the root of the head of ${head.size} entries: nothing in it was changed or removed since.`,
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

function Then({
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
                      : preview(bytes, 60)
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
