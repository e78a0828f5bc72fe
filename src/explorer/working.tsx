import type { JSX } from 'preact'
import type { Progress } from './pace.ts'

const STEPS = 4

/** Something long that goes on, how far it is, and the way out of it. What is read aloud changes a few times only. */
export function Working({ progress, cancel }: { progress: Progress | undefined; cancel: () => void }): JSX.Element {
  const { what = '', done = 0, total = 0 } = progress ?? {}
  const said = total === 0 ? 0 : (Math.floor((STEPS * done) / total) * 100) / STEPS
  return (
    <div class="working">
      <p role="status">{what === '' ? 'Reading…' : `Reading and hashing ${what}: ${said} %`}</p>
      <div class="row">
        <progress max={Math.max(1, total)} value={done} aria-label={`Entries of ${what} that were read`} />
        <span class="quiet" aria-hidden="true">
          {total > 0 && `${done.toLocaleString('en')} of ${total.toLocaleString('en')} entries`}
        </span>
        <button type="button" onClick={cancel}>
          Cancel
        </button>
      </div>
    </div>
  )
}
