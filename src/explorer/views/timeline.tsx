import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { EventList } from '../../../schemas/types.ts'
import { ChainLine } from '../chain.tsx'
import { checkEntries, listOf } from '../entries.ts'
import { Growth } from '../growth.tsx'
import type { Head, ListedLog } from '../head.ts'
import { logHref, timelineHref } from '../route.ts'
import { type Session, useSession } from '../session.ts'
import { readThen, ShownThen } from '../timeline-then.tsx'
import { Await, useLoad } from '../ui.tsx'

/** Entries whose times draw the curve. */
const SAMPLES = 48

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
        {(value) => <ShownThen log={log} head={head} then={value} />}
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
