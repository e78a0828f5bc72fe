import type { JSX } from 'preact'
import type { LogList, Readiness, WitnessList } from '../../../schemas/types.ts'
import { formatVkey } from '../../core/vkey.ts'
import type { Api } from '../api.ts'
import { ChainFacts } from '../chain.tsx'
import type { Head, ListedLog } from '../head.ts'
import { Confirm, Cosigners, SaveFault } from '../head-parts.tsx'
import { logHref, timelineHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Await, Digest, Steps, useLoad, Verdict } from '../ui.tsx'

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
          <a href={logHref(log.name)}>{log.name}</a>
        </h2>
        <p class="links">
          <a href={logHref(log.name)}>{log.profile === 'events' ? 'Events' : 'Entries'}</a>
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
        <ChainFacts log={log} />
        {report?.why != null && !log.restored && (
          <>
            <dt>State</dt>
            <dd>{`Takes no entries: ${report.why}`}</dd>
          </>
        )}
        {log.restored && (
          <>
            <dt>State</dt>
            <dd>Restored from a copy after it was lost: it is read, and never signs or takes an entry again.</dd>
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
