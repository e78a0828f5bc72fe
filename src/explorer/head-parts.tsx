/** What is said beside a head: its witnesses, the key that nobody has confirmed yet, evidence of a fault. */
import type { JSX } from 'preact'
import type { WitnessList } from '../../schemas/types.ts'
import { formatVkey } from '../core/vkey.ts'
import type { Head, ListedLog } from './head.ts'
import { useSession } from './session.ts'
import { ageText, Digest, save, Time } from './ui.tsx'

/** Cosignatures that verified, with their age; then what the log reports of all its witnesses, which is its word. */
export function Cosigners({ head, witnesses }: { head: Head; witnesses: WitnessList }): JSX.Element {
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

export function Confirm({ log, head }: { log: ListedLog; head: Head }): JSX.Element {
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

export const SaveFault = ({ log, fault }: { log: ListedLog; fault: Uint8Array }): JSX.Element => (
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
