/** What is said of one dropped file, and the sentences that several kinds share. */
import { decodeEntry, EVENT } from '../core/entry.ts'
import type { VerifiedEvidence } from '../core/evidence.ts'
import type { VerifierKey } from '../core/note.ts'
import type { LogTrust } from './trust.ts'
import type { Step } from './verdict.ts'

export interface FileReport {
  readonly name: string
  readonly what: string
  readonly steps: readonly Step[]
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly evidence?: VerifiedEvidence
}

/** Keys of a log that the server named for it before: nobody confirmed them. */
export type NamedKeys = (origin: string) => readonly VerifierKey[]

/** The key stands in the trust file, was confirmed, or is only named by somebody. */
export function signedBy({ pinned }: LogTrust, origin: string, byWhom: string): Step {
  const title = 'The head in it is signed by the log'
  if (pinned === 'file') return { title, state: 'verified', detail: `By the key of ${origin} in your trust file.` }
  if (pinned === 'confirmed') return { title, state: 'verified', detail: `By the key of ${origin} that you confirmed.` }
  const detail = `By a key that ${byWhom} names for ${origin}, and that you have not pinned. Whoever made the file could have made the key.`
  return { title, state: 'unverified', detail }
}

export const noKey = (origin: string): Step => ({
  title: 'The head in it is signed by the log',
  state: 'unverified',
  detail: `No key of ${origin} is known here: a trust file names it.`,
})

/** For files that hold the entry's bytes and nothing about them. */
export const describeEntry = (bytes: Uint8Array): FileReport['facts'] => {
  const entry = decodeEntry(bytes)
  return [
    ...(entry.kind === EVENT ? ([['Type', entry.type]] as const) : []),
    ['Time of the log', new Date(entry.time).toISOString()],
  ]
}
