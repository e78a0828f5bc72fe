import type { JSX } from 'preact'
import { ROLE_NAMES } from '../../core/artifact.ts'
import { toHex } from '../../core/bytes.ts'
import { type Entry, EVENT, KIND_NAMES, REDACTION } from '../../core/entry.ts'
import type { VerifiedEvidence } from '../../core/evidence.ts'
import { namesIn } from '../../core/payload-facts.ts'
import { type CheckedEvent, checkEvent } from '../event-check.ts'
import type { Head } from '../head.ts'
import { MarkList } from '../mark-list.tsx'
import { NO_MARKS } from '../marks.ts'
import { PathDrawing } from '../path-drawing.tsx'
import { prettyJson } from '../payload-text.ts'
import { eventHref, lineageHref, logHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Await, Digest, Steps, save, Time, timeText, useLoad, Verdict } from '../ui.tsx'

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
      {evidence?.envelope !== undefined && (
        <section aria-labelledby="payload">
          <h2 id="payload">Signed payload</h2>
          <p class="quiet">
            {evidence.envelope.payloadType}, as it was signed by {evidence.signers.join(', ')}
          </p>
          <pre class="payload" tabIndex={0}>
            {prettyJson(evidence.envelope.payload)}
          </pre>
        </section>
      )}
      {leaf !== undefined && proof !== undefined && checked.state !== 'failed' && (
        <PathDrawing index={index} size={head.size} leaf={leaf} proof={proof} />
      )}
    </>
  )
}

function Facts({
  entry,
  names,
  evidence,
  log,
}: {
  entry: Entry
  names: PanelProps['names']
  evidence: VerifiedEvidence | undefined
  log: string
}): JSX.Element {
  const event = entry.kind === EVENT ? entry : undefined
  return (
    <dl class="facts">
      <dt>Kind</dt>
      <dd>{KIND_NAMES[entry.kind]}</dd>
      {event !== undefined && (
        <>
          <dt>Type</dt>
          <dd>
            <a href={logHref(log, { type: event.type })}>{event.type}</a>
          </dd>
          <dt>Signed by</dt>
          <dd>
            {event.keys.map(toHex).map((key, i) => (
              <div key={key}>
                <strong>{evidence?.signers[i] ?? names.get(key) ?? 'a key without a name'}</strong>{' '}
                <Digest>{key}</Digest> <a href={logHref(log, { signer: key })}>all its events</a>{' '}
                <a href={lineageHref(`key:${key}`, 'down')}>what it reached</a>
              </div>
            ))}
          </dd>
        </>
      )}
      {entry.kind === REDACTION && (
        <>
          <dt>Redacts</dt>
          <dd>
            {entry.indexes.map((one) => (
              <a key={one} href={eventHref(log, one)}>
                {one}{' '}
              </a>
            ))}
            ({entry.reason})
          </dd>
        </>
      )}
      <dt>When</dt>
      <dd>
        <When entry={entry} evidence={evidence} />
      </dd>
    </dl>
  )
}

/** Two moments that witnesses vouch for are worth more than one that the log claims. Theirs are whole seconds, cut off. */
function When({ entry, evidence }: { entry: Entry; evidence: VerifiedEvidence | undefined }): JSX.Element {
  const moment = (cosigners: VerifiedEvidence['checkpoint']['cosigners'] = []) =>
    cosigners.map(({ timestamp }) => Number(timestamp) * 1000).filter((ms) => ms > 0)
  const before = moment(evidence?.checkpoint.cosigners)
  const after = moment(evidence?.earlier?.cosigners)
  return (
    <>
      <Time ms={entry.time} /> by the log's own clock
      <div class="quiet">
        {before.length === 0
          ? 'No witness that you named says when.'
          : `Witnesses: ${after.length === 0 ? 'not' : `after ${timeText(Math.min(...after))}, not`} later than ${timeText(Math.min(...before) + 999)}`}
      </div>
    </>
  )
}

function Artifacts({
  entry,
  evidence,
}: {
  entry: Extract<Entry, { kind: typeof EVENT }>
  evidence: VerifiedEvidence | undefined
}): JSX.Element {
  const named = evidence?.envelope === undefined ? new Map<string, Set<string>>() : namesIn(evidence.envelope.payload)
  return (
    <section aria-labelledby="artifacts">
      <h2 id="artifacts">Artifacts</h2>
      {entry.artifacts.length === 0 && <p>The entry shows none.</p>}
      <ul class="artifacts">
        {entry.artifacts.map(({ role, algorithm, digest }) => {
          const id = `${algorithm}:${toHex(digest)}`
          return (
            <li key={`${role} ${id}`}>
              <span class="role">{ROLE_NAMES[role]}</span>
              <div>
                {named.has(id) && <strong>{[...named.get(id)!].join(', ')}</strong>}
                <Digest>{id}</Digest>
                <span class="links">
                  <a href={lineageHref(id, 'up')}>where it came from</a>
                  <a href={lineageHref(id, 'down')}>what it reached</a>
                </span>
              </div>
            </li>
          )
        })}
      </ul>
      {entry.hidden > 0 && <p class="quiet">{entry.hidden} more stand only in the signed document.</p>}
    </section>
  )
}
