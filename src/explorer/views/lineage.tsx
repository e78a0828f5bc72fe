import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ApiError } from '../api.ts'
import { askLineage } from '../lineage-check.ts'
import { LineageForm } from '../lineage-form.tsx'
import { keyOf, type LineageQuestion, momentOf } from '../lineage-question.ts'
import { scanLineage } from '../lineage-scan.ts'
import { ShownLineage } from '../lineage-shown.tsx'
import type { Progress } from '../pace.ts'
import type { Route } from '../route.ts'
import { useSession } from '../session.ts'
import { Problem, useLoad } from '../ui.tsx'
import { Working } from '../working.tsx'

type Asked = Extract<Route, { view: 'lineage' }>

export function LineageView({ about, direction, since, until }: Omit<Asked, 'view'>): JSX.Element {
  const session = useSession()
  const key = keyOf(about)
  // Where nobody chose a time, the policy may have one: from then on the key is not its owner's alone.
  const doubted = useLoad(
    async () => (key === undefined || since !== undefined ? undefined : await session.compromisedSince(key)),
    [session.version, key, since],
  )
  const from = since ?? (doubted.value === undefined ? '' : new Date(doubted.value).toISOString())
  return (
    <>
      <h1>{key === undefined ? 'Lineage of an artifact' : 'What a key reached'}</h1>
      {!doubted.pending && (
        <>
          <LineageForm about={about} direction={direction} since={from} until={until ?? ''} />
          {doubted.value !== undefined && (
            <p class="notice">
              The policy says that this key is compromised since {from}, as the server tells it: shown is what it signed
              from then on. Empty the field to see everything.
            </p>
          )}
          {about === '' && (
            <p class="quiet">
              An artifact is a file, known by its digest: choose one, and it is hashed here and not sent. The artifacts
              of an event lead here as well, and so does the key that signed it.
            </p>
          )}
          {about !== '' && <Asking about={about} direction={direction} since={from} until={until ?? ''} />}
        </>
      )}
    </>
  )
}

function Asking({ about, direction, since, until }: Required<Omit<Asked, 'view'>>): JSX.Element {
  const times = { since: momentOf(since), until: momentOf(until) }
  if (Number.isNaN(times.since) || Number.isNaN(times.until))
    return <Problem error={new Error('The time cannot be read: it is written as 2026-01-31T00:00:00Z.')} />
  const question = {
    about,
    direction,
    ...(times.since !== undefined && { since: times.since }),
    ...(times.until !== undefined && { until: times.until }),
  }
  return <Answer question={question} />
}

function Answer({ question }: { question: LineageQuestion }): JSX.Element {
  const session = useSession()
  // Whoever has read everything once goes on from there.
  const [complete, setComplete] = useState(session.graph !== undefined)
  const [progress, setProgress] = useState<Progress>()
  const { value, error, pending } = useLoad(
    (signal) =>
      complete ? scanLineage(session, question, { signal, progress: setProgress }) : askLineage(session, question),
    [session.version, JSON.stringify(question), complete],
  )
  const missing = error instanceof ApiError && error.code === 'NOT_FOUND'
  if (pending && complete) return <Working progress={progress} cancel={() => setComplete(false)} />
  if (pending)
    return (
      <p role="status" class="quiet">
        Reading and verifying the lineage…
      </p>
    )
  return (
    <>
      {missing && <p class="notice">This server does not answer questions about lineage.</p>}
      {error !== undefined && !missing && <Problem error={error} />}
      {!complete && (
        <div class="row">
          <button type="button" onClick={() => setComplete(true)}>
            Build it here from every entry
          </button>
          <p class="quiet">Reads and hashes each log whole: then nothing that entries show can have been left out.</p>
        </div>
      )}
      {complete && error !== undefined && (
        <p>
          <button type="button" onClick={() => setComplete(false)}>
            Ask the server instead
          </button>
        </p>
      )}
      {value !== undefined && <ShownLineage checked={value} ofKey={keyOf(question.about) !== undefined} />}
    </>
  )
}
