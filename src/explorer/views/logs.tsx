import type { JSX } from 'preact'
import type { LogList, Readiness, WitnessList } from '../../../schemas/types.ts'
import { formatVkey } from '../../core/vkey.ts'
import type { Api } from '../api.ts'
import type { Head, ListedLog } from '../head.ts'
import { logHref, timelineHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Await, ageText, Digest, Steps, save, Time, useLoad, Verdict } from '../ui.tsx'

/** The logs of the server, each with its head and what can be said for it. */
export function LogsView(): JSX.Element {
  const session = useSession()
  const logs = useLoad(() => session.logs(), [session.version])
  const ready = useLoad(() => readiness(session.api), [session.version])
  return (
    <>
      <div class="title">
        <h1>Logs of this server</h1>
        <button type="button" onClick={() => session.reload()}>
          Read again
        </button>
      </div>
      <Await loaded={logs} what="the list of logs">
        {(list) => (
          <>
            {list.length === 0 && <p>There is no log that you may read.</p>}
            {list.map((log) => (
              <LogPanel key={log.name} log={log} report={ready.value?.get(log.name)} />
            ))}
          </>
        )}
      </Await>
    </>
  )
}

type Report = Readiness['logs'][number]

/** What the logs say of themselves and their witnesses. 503 is the same document, where a log takes no entries. */
async function readiness(api: Api): Promise<ReadonlyMap<string, Report>> {
  const { logs } = await api.json<Readiness>('/readyz', { refusal: 503 })
  return new Map(logs.map((report) => [report.name, report]))
}

function LogPanel({ log, report }: { log: LogList[number]; report: Report | undefined }): JSX.Element {
  const session = useSession()
  const head = useLoad(() => session.head(log), [session.version, log.name])
  const id = `log-${log.name}`
  return (
    <section class="panel" aria-labelledby={id}>
      <div class="title">
        <h2 id={id}>
          <a href={log.profile === 'events' ? logHref(log.name) : timelineHref(log.name)}>{log.name}</a>
        </h2>
        <p class="links">
          {log.profile === 'events' && <a href={logHref(log.name)}>Events</a>}
          <a href={timelineHref(log.name)}>Timeline</a>
        </p>
      </div>
      <Await loaded={head} what="its head">
        {(value) => <HeadPanel log={log} head={value} report={report} />}
      </Await>
    </section>
  )
}

function HeadPanel({ log, head, report }: { log: ListedLog; head: Head; report: Report | undefined }): JSX.Element {
  const session = useSession()
  const witnesses = useLoad(
    () => session.api.json<WitnessList>(`/${log.name}/v1/witnesses`),
    [session.version, log.name],
  )
  const waiting = log.size - head.size
  return (
    <>
      <Verdict steps={head.steps} what="Head" />
      <dl class="facts">
        <dt>Origin</dt>
        <dd>{log.origin}</dd>
        <dt>Entries</dt>
        <dd>
          {head.size.toLocaleString('en')} under the published head
          {waiting > 0 && `, and ${waiting.toLocaleString('en')} that are not published yet`}
        </dd>
        <dt>Witnesses</dt>
        <dd>
          <Cosigners head={head} witnesses={witnesses.value ?? []} />
        </dd>
        {log.successorOf !== undefined && (
          <>
            <dt>Goes on from</dt>
            <dd>
              {log.successorOf.origin} at {log.successorOf.size} entries
            </dd>
          </>
        )}
        {report?.why != null && !log.restored && (
          <>
            <dt>State</dt>
            <dd>{`Takes no entries: ${report.why}`}</dd>
          </>
        )}
        {log.restored && (
          <>
            <dt>State</dt>
            <dd>Restored from a copy: it is read, and never signs again.</dd>
          </>
        )}
      </dl>
      {head.fault !== undefined && <SaveFault log={log} fault={head.fault} />}
      {head.trust.pinned === 'no' && <Confirm log={log} head={head} />}
      <details>
        <summary>How the head was checked</summary>
        <Steps steps={head.steps} />
        <h3>Signed head</h3>
        <pre>{head.note}</pre>
        <h3>Key of the log</h3>
        <Digest>{formatVkey(head.trust.policy.logs[0]!.key)}</Digest>
        {log.genesis !== null && (
          <>
            <h3>Leaf hash of its first entry</h3>
            <Digest>{log.genesis}</Digest>
          </>
        )}
      </details>
    </>
  )
}

/** Cosignatures that verified, with their age; then what the log reports of all its witnesses, which is its word. */
function Cosigners({ head, witnesses }: { head: Head; witnesses: WitnessList }): JSX.Element {
  const now = Date.now()
  return (
    <ul class="plain">
      {head.cosigners.map(({ witness, timestamp }) => (
        <li key={witness.name}>
          {witness.name} cosigned <Time ms={Number(timestamp) * 1000} />, {ageText(now - Number(timestamp) * 1000)} ago
        </li>
      ))}
      {head.strangers.length > 0 && (
        <li class="quiet">
          {`${head.strangers.length === 1 ? 'A signature' : `${head.strangers.length} signatures`} by keys that you have not named: ${head.strangers.join(', ')}`}
        </li>
      )}
      {witnesses.map(({ name, size, late, why, audited }) => (
        <li key={`log ${name}`} class="quiet">
          {`The log reports: ${name} has cosigned ${size} entries${audited === null ? ' and does not say what it has audited' : ` and audited ${audited} of them one by one`}, ${late > 0 ? `late by ${ageText(late * 1000)}${why === null ? '' : ` (${why})`}` : 'not late'}`}
        </li>
      ))}
      {head.cosigners.length + head.strangers.length + witnesses.length === 0 && <li>None.</li>}
    </ul>
  )
}

function Confirm({ log, head }: { log: ListedLog; head: Head }): JSX.Element {
  const session = useSession()
  const vkey = formatVkey(head.trust.policy.logs[0]!.key)
  return (
    <div class="notice">
      <p>
        <strong>This key is not pinned.</strong> Compare it with what the operator made known elsewhere, then confirm
        it, or <a href="#/trust">paste a trust file</a>, which names witnesses too.
      </p>
      <p>
        <Digest>{vkey}</Digest>
      </p>
      <button type="button" onClick={() => session.trust.confirm(log.origin, vkey)}>
        I have compared it: pin this key
      </button>
    </div>
  )
}

const SaveFault = ({ log, fault }: { log: ListedLog; fault: Uint8Array }): JSX.Element => (
  <div class="notice">
    <p>
      <strong>Both heads together prove that this log shows two histories.</strong> Keep the evidence: anybody who has
      the key of the log can verify it.
    </p>
    <button type="button" onClick={() => save(`${log.name}.fault`, fault)}>
      Save the evidence
    </button>
  </div>
)
