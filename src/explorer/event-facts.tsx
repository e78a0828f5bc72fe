/** What an entry says, and when it was there. */
import type { JSX } from 'preact'
import { ROLE_NAMES } from '../core/artifact.ts'
import { toHex } from '../core/bytes.ts'
import { type Entry, EVENT, KIND_NAMES, REDACTION } from '../core/entry.ts'
import type { VerifiedEvidence } from '../core/evidence.ts'
import { namesIn } from '../core/payload-facts.ts'
import { eventHref, lineageHref, logHref } from './route.ts'
import { Digest, Time, timeText } from './ui.tsx'

export function Facts({
  entry,
  names,
  evidence,
  log,
}: {
  entry: Entry
  names: ReadonlyMap<string, string>
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

export function Artifacts({
  entry,
  evidence,
}: {
  entry: Extract<Entry, { kind: typeof EVENT }>
  evidence: VerifiedEvidence | undefined
}): JSX.Element {
  const named = evidence?.payload === undefined ? new Map<string, Set<string>>() : namesIn(evidence.payload)
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
