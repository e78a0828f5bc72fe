/** A log of bytes without a meaning: its entries one by one and many, each with its proof. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { toHex, toUtf8 } from '../../core/bytes.ts'
import { formatProof } from '../../core/proof-file.ts'
import type { CheckedEntry } from '../entries.ts'
import type { Head } from '../head.ts'
import { PathDrawing } from '../path-drawing.tsx'
import { preview, readRaw } from '../raw-entries.ts'
import { eventHref, logHref, timelineHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Await, Badge, Digest, Mark, Short, Steps, save, useLoad, Verdict } from '../ui.tsx'
import { many, type Step, verdictOf, worst } from '../verdict.ts'

const PAGE = 50
const IN_A_ROW = 60
const SHOWN = 4_096

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
          : `Each of these ${rows.length} entries was hashed here and led to the root of the published head of ${head.size} entries.`}{' '}
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

export function RawEntryView({ log: name, index }: { log: string; index: number }): JSX.Element {
  const session = useSession()
  const loaded = useLoad(async () => {
    const log = await session.log(name)
    const head = await session.head(log)
    if (index >= head.size) throw new Error(`The published head has ${head.size} entries: there is none at ${index}.`)
    const [checked] = await readRaw(session.api, log, head, [index, index + 1])
    return { head, checked: checked! }
  }, [session.version, name, index])
  return (
    <>
      <nav class="trail" aria-label="Where you are">
        <a href="#/">Logs</a> / <a href={logHref(name)}>{name}</a> / {index}
      </nav>
      <div class="title">
        <h1>
          Entry {index} of {name}
        </h1>
        <p class="links">
          {index > 0 && <a href={eventHref(name, index - 1)}>Before</a>}
          {index + 1 < (loaded.value?.head.size ?? 0) && <a href={eventHref(name, index + 1)}>After</a>}
        </p>
      </div>
      <Await loaded={loaded} what="and verifying">
        {({ head, checked }) => <RawEntry log={name} head={head} checked={checked} />}
      </Await>
    </>
  )
}

function RawEntry({ log, head, checked }: { log: string; head: Head; checked: CheckedEntry }): JSX.Element {
  const { index, bytes, leaf, proof, state, why } = checked
  const inTree: Step = {
    title: 'Its bytes are in the tree',
    state: state === 'failed' ? 'failed' : 'verified',
    detail:
      state === 'failed'
        ? why
        : `SHA-256 of its ${many(bytes!.length, 'byte')} leads over ${many(proof!.length, 'hash', 'es')} to the root of the head of ${head.size} entries.`,
  }
  const steps = [inTree, ...head.steps]
  const file = () => formatProof({ index: BigInt(index), hashes: proof!, checkpoint: toUtf8(head.note) })
  return (
    <>
      <Verdict steps={steps} what={`Entry ${index}`} />
      <dl class="facts">
        <dt>Length</dt>
        <dd>{bytes !== undefined && many(bytes.length, 'byte')}</dd>
        <dt>Leaf hash</dt>
        <dd>{leaf !== undefined && <Digest>{toHex(leaf)}</Digest>}</dd>
      </dl>
      <section aria-labelledby="checks">
        <h2 id="checks">What was checked</h2>
        <Steps steps={steps} />
        {state !== 'failed' && (
          <div class="row">
            <button type="button" onClick={() => save(`${log}-${index}.tlog-proof`, file())}>
              Save the proof
            </button>
            <button type="button" onClick={() => save(`${log}-${index}.bin`, bytes!)}>
              Save the bytes
            </button>
            <span class="quiet">Both together verify without this server.</span>
          </div>
        )}
      </section>
      {bytes !== undefined && (
        <section aria-labelledby="bytes">
          <h2 id="bytes">Bytes</h2>
          {bytes.length > SHOWN && <p class="quiet">The first {SHOWN} of them.</p>}
          <pre class="payload" tabIndex={0}>
            {preview(bytes, SHOWN)}
          </pre>
        </section>
      )}
      {leaf !== undefined && proof !== undefined && state !== 'failed' && (
        <PathDrawing index={index} size={head.size} leaf={leaf} proof={proof} />
      )}
    </>
  )
}
