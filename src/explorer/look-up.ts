/** Where the logs of the server name a digest. The digest is all that is sent. */
import type { EventList } from '../../schemas/types.ts'
import { toHex } from '../core/bytes.ts'
import { EVENT } from '../core/entry.ts'
import { ApiError } from './api.ts'
import { type CheckedEntry, checkEntries, listOf } from './entries.ts'
import type { ListedLog } from './head.ts'
import type { Session } from './session.ts'
import { isSilent } from './stated.ts'
import { messageOf } from './verdict.ts'

export interface Found {
  readonly log: string
  readonly rows: readonly CheckedEntry[]
  readonly completeTo: number
  /** Why there is no answer of this log. */
  readonly problem?: string
}

export async function lookUp(session: Session, sha256: string): Promise<readonly Found[]> {
  const logs = (await session.logs()).filter(({ profile }) => profile === 'events')
  return Promise.all(logs.map((log) => lookInto(session, log, sha256)))
}

async function lookInto(session: Session, log: ListedLog, sha256: string): Promise<Found> {
  try {
    const head = await session.head(log)
    const answer = await session.api.json<EventList>(`/${log.name}/v1/events?artifact=sha256:${sha256}&limit=100`)
    const rows = await checkEntries(head, listOf(answer.events, 'events'))
    return { log: log.name, rows: rows.map((row) => requireDigest(row, sha256)), completeTo: answer.completeTo }
  } catch (error) {
    const unsearchable = error instanceof ApiError && error.code === 'UNKNOWN_PARAMETER'
    return {
      log: log.name,
      rows: [],
      completeTo: 0,
      problem: unsearchable ? 'This server cannot search by artifact.' : messageOf(error),
    }
  }
}

/** That the server found it there is its word; the bytes say. */
function requireDigest(row: CheckedEntry, sha256: string): CheckedEntry {
  if (row.entry?.kind !== EVENT || row.state === 'failed') return row
  if (row.entry.artifacts.some(({ algorithm, digest }) => algorithm === 'sha256' && toHex(digest) === sha256))
    return row
  return isSilent(row.entry)
    ? {
        ...row,
        state: 'unverified',
        why: 'The entry does not show the digest: some of its artifacts stand only in its document.',
      }
    : { ...row, state: 'failed', why: 'The entry does not name this digest, whatever the server says.' }
}
