/** What a server demands of a write policy beyond what the document itself shows. */
import { TreelineError } from '../core/errors.ts'
import { formatVkey } from '../core/vkey.ts'
import type { WritePolicy } from '../core/write-policy.ts'

/** The keys that the policy lists for the log must be the one that it signs with. Throws POLICY_CONFLICT. */
export function checkLogKeys({ logKeys }: WritePolicy, vkey: string): void {
  const listed = logKeys.map(formatVkey)
  if (listed.length !== 1 || listed[0] !== vkey) {
    throw new TreelineError('POLICY_CONFLICT', `logKeys must be exactly the key that the log signs with: ${vkey}`)
  }
}

/** Statements carry no origin by themselves: a key in two logs lets a reader replay one's events into the other. Throws POLICY_CONFLICT. */
export function checkShared({ signers }: WritePolicy, others: readonly WritePolicy[]): void {
  for (const { key, name, shared } of signers) {
    for (const other of others) {
      const twin = other.signers.find((signer) => signer.key.id === key.id)
      if (twin === undefined || (shared && twin.shared)) continue
      throw new TreelineError(
        'POLICY_CONFLICT',
        `the key of ${name} is a signer of ${other.origin} too: use a key for each log, or set "shared" in both policies`,
      )
    }
  }
}
