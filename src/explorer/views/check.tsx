import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { sha256 } from '#platform'
import { toHex } from '../../core/bytes.ts'
import { EVENT, KIND_NAMES } from '../../core/entry.ts'
import { digestFile } from '../digest-file.ts'
import { type Beside, checkFile } from '../file-check.ts'
import { type KnownFile, MAX_EVIDENCE, recognise } from '../file-kind.ts'
import type { FileReport } from '../file-report.ts'
import { type Found, lookUp } from '../look-up.ts'
import { checkReport } from '../report-check.ts'
import { eventHref, lineageHref } from '../route.ts'
import { type DroppedFile, type Session, useSession } from '../session.ts'
import { Badge, Digest, Mark, Steps, Time, Verdict } from '../ui.tsx'
import { messageOf, verdictOf } from '../verdict.ts'

interface Examined {
  readonly reports: readonly FileReport[]
  /** Trust files among them, which the reader may want to use. */
  readonly trust: readonly KnownFile[]
  /** Files that are evidence of nothing by themselves. */
  readonly others: readonly {
    readonly name: string
    readonly digest: string
    readonly found: readonly Found[] | undefined
  }[]
}

const chosen = (files: FileList | null): DroppedFile[] =>
  [...(files ?? [])].map((file) => ({ name: file.webkitRelativePath || file.name, file }))

/** Recognises, verifies; and looks other files up where nothing among them is evidence, which must not cause a request. */
async function examine(
  session: Session,
  files: readonly DroppedFile[],
  say: (text: string) => void,
): Promise<Examined> {
  const known: KnownFile[] = []
  const digests = new Map<string, string>()
  const inOrder = [...files].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  for (const { name, file } of inOrder) {
    say(`Reading ${name}…`)
    const small = file.size <= MAX_EVIDENCE
    const bytes = small ? new Uint8Array(await file.arrayBuffer()) : undefined
    const one = bytes && recognise(name, bytes)
    if (one !== undefined) known.push(one)
    if (one === undefined || one.kind === 'other') {
      const percent = (done: number) => say(`Hashing ${name}: ${Math.floor((100 * done) / Math.max(1, file.size))} %`)
      digests.set(name, bytes ? toHex(sha256(bytes)) : await digestFile(file, percent))
    }
  }
  say('Verifying…')
  const named = session.namedKeys
  const beside: Beside = { files: known, digests }
  const reports: FileReport[] = []
  for (const file of known) {
    const report = checkFile(file, session.trust, named, beside)
    if (report !== undefined) reports.push(report)
    // A folder can hold hundreds: the page must stay alive.
    await new Promise((resolve) => setTimeout(resolve))
  }
  for (const file of known.filter(({ kind }) => kind === 'report'))
    reports.unshift(checkReport(file, known, reports, session.trust, named))
  const offline = known.some(({ kind }) => kind !== 'other')
  const others = []
  for (const [name, digest] of digests) {
    if (!offline) say(`Looking up ${name}…`)
    others.push({ name, digest, found: offline ? undefined : await lookUp(session, digest) })
  }
  return { reports, trust: known.filter(({ kind }) => kind === 'trust'), others }
}

export function CheckView(): JSX.Element {
  const session = useSession()
  const [status, setStatus] = useState('')
  const [examined, setExamined] = useState<Examined>()
  const files = session.dropped
  useEffect(() => {
    if (files.length === 0) return
    setExamined(undefined)
    examine(session, files, setStatus).then(
      (result) => {
        setExamined(result)
        setStatus('')
      },
      (error) => setStatus(messageOf(error)),
    )
  }, [files, session.trust.text])
  const choose = ({ currentTarget }: { currentTarget: HTMLInputElement }) => session.drop(chosen(currentTarget.files))
  return (
    <>
      <h1>Verify a file</h1>
      <div class="drop">
        <p>
          Drop files or a folder anywhere on this page. Evidence, receipts, heads and report folders are verified here,
          with nothing sent and no network needed. Of any other file the SHA-256 is computed here, and the logs of this
          server are asked where they name it.
        </p>
        <div class="row">
          <label class="button">
            Choose files
            <input type="file" multiple onChange={choose} />
          </label>
          <label class="button">
            Choose a folder
            <input type="file" onChange={choose} ref={(element) => element?.setAttribute('webkitdirectory', '')} />
          </label>
        </div>
      </div>
      <p role="status" class="quiet">
        {status}
      </p>
      {examined !== undefined && <Results examined={examined} />}
    </>
  )
}

function Results({ examined: { reports, trust, others } }: { examined: Examined }): JSX.Element {
  const session = useSession()
  return (
    <>
      {reports.length > 1 && <Count reports={reports} />}
      {trust.map(({ name, bytes }) => (
        <section key={name} class="panel">
          <h2>{name}</h2>
          <p>This is a trust file: it says which logs and witnesses you trust.</p>
          <button type="button" onClick={() => session.trust.useFile(new TextDecoder().decode(bytes))}>
            Use it on this page
          </button>
        </section>
      ))}
      {reports.map((report) => (
        <Report key={report.name} report={report} open={reports.length === 1} />
      ))}
      {others.map((one) => (
        <section key={one.name} class="panel">
          <h2>{one.name}</h2>
          <p>
            SHA-256 <Digest>{one.digest}</Digest>
          </p>
          {one.found === undefined ? (
            <p class="quiet">Dropped beside evidence, so nobody was asked about it.</p>
          ) : (
            <FoundList found={one.found} digest={one.digest} />
          )}
        </section>
      ))}
    </>
  )
}

function Count({ reports }: { reports: readonly FileReport[] }): JSX.Element {
  const count = (state: string) => reports.filter(({ steps }) => verdictOf(steps) === state).length
  const [failed, unverified] = [count('failed'), count('unverified')]
  const state = failed > 0 ? 'failed' : unverified > 0 ? 'unverified' : 'verified'
  return (
    <div class={`verdict ${state}`} role="status" data-state={state}>
      <Badge state={state} />
      <p>
        Of {reports.length} files {count('verified')} are verified, {unverified} not, and {failed} failed.
      </p>
    </div>
  )
}

function Report({ report: { name, what, steps, facts }, open }: { report: FileReport; open: boolean }): JSX.Element {
  return (
    <section class="panel" data-file={name}>
      <h2>{name}</h2>
      <Verdict steps={steps} what={what} />
      <details open={open || verdictOf(steps) === 'failed'}>
        <summary>What was checked</summary>
        <Steps steps={steps} />
        <dl class="facts">
          {facts.map(([label, value]) => (
            <>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </>
          ))}
        </dl>
      </details>
    </section>
  )
}

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
