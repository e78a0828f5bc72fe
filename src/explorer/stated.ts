/** What an event says of artifacts: in its entry, and where the entry does not show everything, in the document that evidence proved. */
import { ROLE_NAMES } from '../core/artifact.ts'
import { toHex } from '../core/bytes.ts'
import type { EventEntry } from '../core/entry.ts'
import type { VerifiedEvidence } from '../core/evidence.ts'
import { stepRole } from '../core/mark.ts'
import { artifactsBeyond, saysMore } from '../core/payload-facts.ts'

/** Whether the entry alone may be silent about artifacts of its event. */
export const isSilent = saysMore

/** `role algorithm:hex` of each, by its role in lineage. */
export function statedBy(entry: EventEntry, evidence?: VerifiedEvidence): ReadonlySet<string> {
  const { type } = entry
  const shown = entry.artifacts.map(
    ({ role, algorithm, digest }) => `${stepRole(type, ROLE_NAMES[role])} ${algorithm}:${toHex(digest)}`,
  )
  const { payload, policy } = evidence ?? {}
  const beyond = payload && policy ? artifactsBeyond(entry, payload, policy.policy.produces) : []
  const hidden = beyond.map(({ role, algorithm, digest }) => `${stepRole(type, role)} ${algorithm}:${digest}`)
  return new Set([...shown, ...hidden])
}
