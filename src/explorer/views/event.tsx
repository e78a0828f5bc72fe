import type { JSX } from 'preact'
import { EVENT } from '../../core/entry.ts'
import { type CheckedEvent, checkEvent } from '../event-check.ts'
import { Artifacts, Facts } from '../event-facts.tsx'
import type { Head } from '../head.ts'
import { MarkList } from '../mark-list.tsx'
import { NO_MARKS } from '../marks.ts'
import { PathDrawing } from '../path-drawing.tsx'
import { prettyJson } from '../payload-text.ts'
import { eventHref, logHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Await, Steps, save, useLoad, Verdict } from '../ui.tsx'

export function EventView({ log: name, index }: { log: string; index: number }): JSX.Element {
  const session = useSession()
  const loaded = useLoad(async () => {
    const log = await session.log(name)
    const head = await session.head(log)
    return { head, names: await session.names(log), event: await checkEvent(session.api, log, head, index) }
  }, [session.version, name, index])
  const marks = useLoad(() => session.marks(), [session.version]).value ?? NO_MARKS
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
      <MarkList marks={marks.get(`${name} ${index}`) ?? []} />
      <Await loaded={loaded} what="and verifying">
        {({ head, names, event }) => <EventPanel log={name} head={head} names={names} event={event} />}
      </Await>
    </>
  )
}

interface PanelProps {
  readonly log: string
  readonly head: Head
  readonly names: ReadonlyMap<string, string>
  readonly event: CheckedEvent
}

function EventPanel({ log, head, names, event }: PanelProps): JSX.Element {
  const { checked, document, steps, evidence, file, redaction } = event
  const { entry, leaf, proof, index } = checked
  return (
    <>
      <Verdict steps={steps} what={`Entry ${index}`} />
      {document.redacted != null && redaction?.state !== 'failed' && (
        <p class="notice">
          <strong>Redacted</strong> by entry{' '}
          <a href={eventHref(log, document.redacted.index)}>{document.redacted.index}</a>, reason “
          {document.redacted.reason}”: the signed document is gone, and the entry stays.
        </p>
      )}
      {entry !== undefined && checked.state === 'failed' && (
        <p class="notice">The rest of this page is what the server sent, and the log does not hold it.</p>
      )}
      {entry !== undefined && <Facts entry={entry} names={names} evidence={evidence} log={log} />}
      <section aria-labelledby="checks">
        <h2 id="checks">What was checked</h2>
        <Steps steps={steps} />
        {file !== undefined && (
          <p>
            <button type="button" onClick={() => save(`${log}-${index}.tlog-proof`, file)}>
              Save the evidence file
            </button>{' '}
            <span class="quiet">It verifies without this server: here, or with “treeline verify”.</span>
          </p>
        )}
      </section>
      {entry?.kind === EVENT && <Artifacts entry={entry} evidence={evidence} />}
      {evidence?.payload !== undefined && (
        <section aria-labelledby="payload">
          <h2 id="payload">Signed payload</h2>
          <p class="quiet">
            {evidence.payloadType}, as it was signed by {evidence.signers.join(', ')}
          </p>
          <pre class="payload" tabIndex={0}>
            {prettyJson(evidence.payload)}
          </pre>
        </section>
      )}
      {leaf !== undefined && proof !== undefined && checked.state !== 'failed' && (
        <PathDrawing index={index} size={head.size} leaf={leaf} proof={proof} />
      )}
    </>
  )
}
