import type { JSX } from 'preact'
import type { LineageMark } from '../core/lineage.ts'
import { eventHref } from './route.ts'

/** Who says what against an entry. */
export const MarkList = ({ marks }: { marks: readonly LineageMark[] }): JSX.Element => (
  <>
    {marks.map(({ log, index, kind, reason }) => (
      <p key={`${log} ${index}`} class="flag">
        <strong>{kind === 'quarantine' ? 'Quarantined' : 'Superseded'}</strong> by{' '}
        <a href={eventHref(log, index)}>
          {log} {index}
        </a>
        {reason !== '' && `: ${reason}`}
      </p>
    ))}
  </>
)
