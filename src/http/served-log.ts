import { TreelineError } from '../core/errors.ts'
import type { EventLog } from '../log/events.ts'
import type { Log } from '../log/log.ts'

/** A log as the server mounts it at /NAME/. */
export interface ServedLog {
  readonly log: Log
  /** Absent for a raw log. */
  readonly events?: EventLog
}

export type ServedLogs = ReadonlyMap<string, ServedLog>

/** Throws UNKNOWN_LOG, and NOT_FOUND for a raw log. */
export function findEvents(logs: ServedLogs, name: string): EventLog {
  const { events } = findLog(logs, name)
  if (events === undefined) throw new TreelineError('NOT_FOUND', `${name} is a raw log: it has no events`)
  return events
}

/** Throws UNKNOWN_LOG. */
export function findLog(logs: ServedLogs, name: string): ServedLog {
  const log = logs.get(name)
  if (log === undefined)
    throw new TreelineError('UNKNOWN_LOG', `this server has no log "${name.slice(0, 64)}": GET /v1/logs lists them`)
  return log
}
