import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { examine } from '../examine.ts'
import { FileResults } from '../file-results.tsx'
import { type DroppedFile, useSession } from '../session.ts'
import { Problem, useLoad } from '../ui.tsx'

const chosen = (files: FileList | null): DroppedFile[] =>
  [...(files ?? [])].map((file) => ({ name: file.webkitRelativePath || file.name, file }))

export function CheckView(): JSX.Element {
  const session = useSession()
  const [status, setStatus] = useState('')
  const files = session.dropped
  const { value, error, pending } = useLoad(
    async (signal) => (files.length === 0 ? undefined : examine(session, files, setStatus, signal)),
    [files, session.trust.text],
  )
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
        {pending ? status : ''}
      </p>
      {error !== undefined && <Problem error={error} />}
      {value !== undefined && !pending && <FileResults examined={value} />}
    </>
  )
}
