/** What was found out about dropped files: what fails first, what verifies in a line each where there are many. */
import { Fragment, type JSX } from 'preact'
import { EVENT, KIND_NAMES } from '../core/entry.ts'
import type { Examined, OtherFile } from './examine.ts'
import type { FileReport } from './file-report.ts'
import type { Found } from './look-up.ts'
import { eventHref, lineageHref } from './route.ts'
import { useSession } from './session.ts'
import { Badge, Digest, Mark, Steps, Time, Verdict } from './ui.tsx'
import { many, tally, verdictOf, worst } from './verdict.ts'

/** Up to here each has a panel of its own. */
const FEW = 3

export function FileResults({ examined: { reports, trust, others } }: { examined: Examined }): JSX.Element {
  const session = useSession()
  const short = reports.length > FEW
  const lead = reports.filter(({ what, steps }) => !short || what === 'Report' || verdictOf(steps) !== 'verified')
  const rest = reports.filter((report) => !lead.includes(report))
  return (
    <>
      {reports.length > 1 && <Count reports={reports} others={others} />}
      {trust.map(({ name, bytes }) => (
        <section key={name} class="panel">
          <h2>{name}</h2>
          <p>This is a trust file: it says which logs and witnesses you trust.</p>
          <button type="button" onClick={() => session.trust.useFile(new TextDecoder().decode(bytes))}>
            Use it on this page
          </button>
        </section>
      ))}
      {lead.map((report) => (
        <Report key={report.name} report={report} open={reports.length === 1} />
      ))}
      {rest.length > 0 && (
        <section class="panel" aria-labelledby="verified-files">
          <h2 id="verified-files">{many(rest.length, 'file')} verified</h2>
          {rest.map((report) => (
            <details key={report.name} class="file" data-file={report.name} data-state="verified">
              <summary>
                <Mark state="verified" /> {report.name}
              </summary>
              <p>{report.what}</p>
              <Checked report={report} />
            </details>
          ))}
        </section>
      )}
      {others.map((one) => (
        <Other key={one.name} file={one} />
      ))}
    </>
  )
}

function Count({ reports, others }: { reports: readonly FileReport[]; others: readonly OtherFile[] }): JSX.Element {
  const states = reports.map(({ steps }) => verdictOf(steps))
  const state = worst(states)
  return (
    <div class={`verdict ${state}`} role="status" data-state={state}>
      <Badge state={state} />
      <p>
        {state === 'verified'
          ? `All ${reports.length} files that are evidence are verified.`
          : `${reports.length} files that are evidence: ${tally(states)}.`}{' '}
        {others.length > 0 && `No evidence, and not verified: ${others.map(({ name }) => name).join(', ')}.`}
      </p>
    </div>
  )
}

function Report({ report, open }: { report: FileReport; open: boolean }): JSX.Element {
  const { name, what, steps } = report
  const state = verdictOf(steps)
  return (
    <section class="panel" data-file={name} data-state={state}>
      <h2>{name}</h2>
      <Verdict steps={steps} what={what} />
      <details open={open || state === 'failed'}>
        <summary>What was checked</summary>
        <Checked report={report} />
      </details>
    </section>
  )
}

const Checked = ({ report: { steps, facts } }: { report: FileReport }): JSX.Element => (
  <>
    <Steps steps={steps} />
    {facts.length > 0 && (
      <dl class="facts">
        {facts.map(([label, value]) => (
          <Fragment key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </Fragment>
        ))}
      </dl>
    )}
  </>
)

const Other = ({ file: { name, digest, found } }: { file: OtherFile }): JSX.Element => (
  <section class="panel">
    <h2>{name}</h2>
    <p>
      SHA-256 <Digest>{digest}</Digest>
    </p>
    {found === 'text' ? (
      <p>
        A text for people, and no evidence: it was compared with nothing here, and could say anything. “treeline verify
        FOLDER” compares it with report.json.
      </p>
    ) : found === 'beside' ? (
      <p class="quiet">Dropped beside evidence, so nobody was asked about it.</p>
    ) : (
      <FoundList found={found} digest={digest} />
    )}
  </section>
)

function FoundList({ found, digest }: { found: readonly Found[]; digest: string }): JSX.Element {
  const total = found.reduce((sum, { rows }) => sum + rows.length, 0)
  return (
    <>
      <p>
        {total === 0
          ? 'No log here is known to name it.'
          : `${total} ${total === 1 ? 'entry names' : 'entries name'} it.`}{' '}
        {total > 0 && <a href={lineageHref(`sha256:${digest}`, 'both')}>Show its lineage</a>}
      </p>
      {found.map(({ log, rows, completeTo, problem }) => (
        <div key={log}>
          <h3>{log}</h3>
          <p class="quiet">
            {problem ?? `Searched by the server up to entry ${completeTo}: that it left out none is its word.`}
          </p>
          <ul class="plain">
            {rows.map(({ index, state, why, entry }) => (
              <li key={index} data-state={state}>
                <Mark state={state} /> <a href={eventHref(log, index)}>Entry {index}</a>{' '}
                {entry === undefined ? '' : entry.kind === EVENT ? entry.type : KIND_NAMES[entry.kind]}{' '}
                {entry !== undefined && <Time ms={entry.time} />} {state === 'failed' && why}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </>
  )
}
