/** Why the document of an event is not there: what the server says of it must stand in the log. */
import type { Event } from '../../schemas/types.ts'
import { REDACTION } from '../core/entry.ts'
import { type Api, ApiError } from './api.ts'
import { checkEntries } from './entries.ts'
import type { Head, ListedLog } from './head.ts'
import type { Step } from './verdict.ts'

/** Whoever claims a redaction names the entry that ordered it; a server may say so of what it only withholds. */
export async function checkRedaction(
  api: Api,
  log: ListedLog,
  head: Head,
  index: number,
  { redacted }: Pick<Event, 'redacted'>,
): Promise<Step | undefined> {
  if (redacted == null) return undefined
  const title = 'Its document was redacted'
  try {
    const { entry: bytes } = await api.json<Event>(`/${log.name}/v1/events/${redacted.index}`)
    const [row] = await checkEntries(head, [{ index: redacted.index, entry: bytes }])
    const { entry, state, why } = row!
    if (state === 'failed') return { title, state, detail: `The entry that is said to have ordered it fails: ${why}` }
    if (entry?.kind !== REDACTION || !entry.indexes.includes(index)) {
      const detail = `The server says so, and entry ${redacted.index}, which it names, does not redact entry ${index}. The document is withheld.`
      return { title, state: 'failed', detail }
    }
    if (row!.proof === undefined) return { title, state: 'unverified', detail: why }
    const detail = `Entry ${redacted.index} orders it, reason “${entry.reason}”, and is in the same tree. What was logged, when and by whom stays proved.`
    return { title, state: 'verified', detail }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return { title, state: 'unverified', detail: `The entry that is said to have ordered it: ${error.message}` }
  }
}

/** A document that nobody redacted must be there: of a log that was made from a copy it may be lost, of another it is withheld. */
export function missingDocument({ restored }: Pick<ListedLog, 'restored'>, index: number): Step {
  const title = 'Its document is there'
  return restored
    ? {
        title,
        state: 'unverified',
        detail: `It is missing, and no entry redacted it: the copy that this log was restored from did not have it. That is a loss. Whoever signed entry ${index}, or keeps its evidence, may still have the document.`,
      }
    : {
        title,
        state: 'failed',
        detail:
          'It is missing, and no entry redacted it: the log has lost it or withholds it. That is a fault of the log.',
      }
}
