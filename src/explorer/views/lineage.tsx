import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Direction } from '../../core/lineage.ts'
import { ApiError } from '../api.ts'
import { digestFile } from '../digest-file.ts'
import { askLineage, type CheckedLineage, eventId, scanLineage } from '../lineage-check.ts'
import { LineageGraphDrawing, typeName } from '../lineage-graph.tsx'
import { MarkList } from '../mark-list.tsx'
import { eventHref, lineageHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Badge, Digest, Mark, Problem, Time, useLoad } from '../ui.tsx'

const DIRECTIONS: readonly (readonly [Direction, string])[] = [
  ['up', 'Where it came from'],
  ['down', 'What it reached'],
  ['both', 'Both'],
]

export function LineageView({ artifact, direction }: { artifact: string; direction: Direction }): JSX.Element {
  return (
    <>
      <h1>{artifact.startsWith('key:') ? 'What a key reached' : 'Lineage of an artifact'}</h1>
      <Ask artifact={artifact} direction={direction} />
      {artifact !== '' && <Answer artifact={artifact} direction={direction} />}
    </>
  )
}

/** Bare hex of 32 bytes is SHA-256; anything else must say its algorithm. */
const idOf = (text: string): string =>
  (/^[0-9a-fA-F]{64}$/.test(text.trim()) ? `sha256:${text.trim()}` : text.trim()).toLowerCase()

function Ask({ artifact, direction }: { artifact: string; direction: Direction }): JSX.Element {
  const [text, setText] = useState(artifact)
  const [problem, setProblem] = useState('')
  const go = (id: string) => {
    if (!/^[a-z0-9][a-z0-9_-]*:[0-9a-f]{8,}$/.test(id))
      return setProblem(
        'An artifact is named by its digest: sha256: and 64 hex digits. A key is named by key: and its id.',
      )
    setProblem('')
    location.hash = lineageHref(id, direction)
  }
  return (
    <form
      class="panel"
      onSubmit={(event) => {
        event.preventDefault()
        go(idOf(text))
      }}
    >
      <label>
        Digest of an artifact, or key: and the id of a key
        <input
          value={text}
          spellcheck={false}
          autocomplete="off"
          aria-describedby="digest-problem"
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </label>
      <p id="digest-problem" role="status">
        {problem !== '' && <Badge state="failed">{problem}</Badge>}
      </p>
      <div class="row">
        <button type="submit">Show</button>
        <label class="button">
          Choose a file
          <input
            type="file"
            onChange={async ({ currentTarget }) => {
              const [file] = currentTarget.files ?? []
              if (file !== undefined) go(`sha256:${await digestFile(file, () => {})}`)
            }}
          />
        </label>
        {artifact !== '' &&
          DIRECTIONS.map(([value, label]) => (
            <a
              key={value}
              href={lineageHref(artifact, value)}
              {...(value === direction && { 'aria-current': 'true' as const })}
            >
              {label}
            </a>
          ))}
      </div>
    </form>
  )
}

function Answer({ artifact, direction }: { artifact: string; direction: Direction }): JSX.Element {
  const session = useSession()
  const [complete, setComplete] = useState(false)
  const [status, setStatus] = useState('')
  const loaded = useLoad(
    () => (complete ? scanLineage(session, artifact, direction, setStatus) : askLineage(session, artifact, direction)),
    [session.version, artifact, direction, complete],
  )
  const { value, error, pending } = loaded
  const missing = error instanceof ApiError && error.code === 'NOT_FOUND'
  return (
    <>
      {pending && (
        <p role="status" class="quiet">
          {complete ? status : 'Reading and verifying the lineage…'}
        </p>
      )}
      {!pending && missing && <p class="notice">This server does not answer questions about lineage.</p>}
      {!pending && error !== undefined && !missing && <Problem error={error} />}
      {!pending && !complete && (
        <p>
          <button type="button" onClick={() => setComplete(true)}>
            Build it here from every entry
          </button>{' '}
          <span class="quiet">
            Reads and hashes the whole of each log: then nothing can have been left out of what the entries show.
          </span>
        </p>
      )}
      {value !== undefined && !pending && <Shown checked={value} />}
    </>
  )
}

function Shown({ checked }: { checked: CheckedLineage }): JSX.Element {
  const { lineage, state, source, states, hidden } = checked
  const count = (wanted: string) => [...states.values()].filter((one) => one.state === wanted).length
  if (lineage.events.length === 0)
    return (
      <p>
        {source === 'scan' ? 'No entry of these logs leads there.' : 'The server knows of no event that leads there.'}
      </p>
    )
  return (
    <>
      <div class={`verdict ${state}`} role="status" data-state={state}>
        <Badge state={state} />
        <p>
          Of {states.size} events {count('verified')} are verified, {count('unverified')} not, and {count('failed')}{' '}
          failed.{' '}
          {source === 'scan'
            ? 'Built here from every entry, up to the published heads: no event that shows these artifacts is missing.'
            : 'That the server left out no event is its word.'}{' '}
          {lineage.truncated && 'The graph was cut at a limit: there is more.'}
        </p>
      </div>
      {hidden.length > 0 && (
        <div class="problem" role="alert">
          <Mark state="failed" />
          <div>
            <p>The answer contradicts the entries:</p>
            <ul>
              {hidden.map((text) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
          </div>
        </div>
      )}
      <LineageGraphDrawing checked={checked} />
      <EventRows checked={checked} />
      <ArtifactRows checked={checked} />
    </>
  )
}

function EventRows({ checked: { lineage, states } }: { checked: CheckedLineage }): JSX.Element {
  return (
    <section aria-labelledby="steps">
      <h2 id="steps">Events</h2>
      <ul class="rows">
        {lineage.events.map((event) => {
          const { state, why } = states.get(eventId(event))!
          return (
            <li key={eventId(event)} data-state={state}>
              <Mark state={state} />
              <a href={eventHref(event.log, event.index)}>
                {event.log} {event.index}
              </a>
              <span>
                {typeName(event.type)} by {event.signers.join(', ')}
              </span>
              <Time ms={event.time} />
              <MarkList marks={event.marks} />
              {state === 'failed' && <span class="why">{why}</span>}
            </li>
          )
        })}
      </ul>
    </section>
  )
}

function ArtifactRows({ checked: { lineage } }: { checked: CheckedLineage }): JSX.Element {
  return (
    <section aria-labelledby="nodes">
      <h2 id="nodes">Artifacts</h2>
      <ul class="artifacts">
        {lineage.artifacts.map(({ id, names, producers }) => (
          <li key={id}>
            <span class="role">{lineage.start.includes(id) ? 'asked for' : ''}</span>
            <div>
              {names?.[0] !== undefined && <strong>{names.join(', ')}</strong>}
              <Digest>{id}</Digest>
              {producers > 1 && <strong class="flag">{producers} events say that they produced it</strong>}
              <span class="links">
                <a href={lineageHref(id, 'up')}>where it came from</a>
                <a href={lineageHref(id, 'down')}>what it reached</a>
              </span>
            </div>
          </li>
        ))}
      </ul>
    </section>
  )
}
