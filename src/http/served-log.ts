import { TreelineError } from '../core/errors.ts'
import type { PolicyInForce } from '../core/policy-fold.ts'
import type { BatchBody } from '../log/batch-body.ts'
import type { Admitted, AdmittedBatch, EventLog } from '../log/events.ts'
import type { Log, ReadableLog } from '../log/log.ts'

/** A log as the server mounts it at /NAME/. */
export interface ServedLog {
  readonly log: Log
  /** Absent for a raw log. */
  readonly events?: EventLog
}

export type ServedLogs = ReadonlyMap<string, ServedLog>

/** Where events go, in whatever thread they are written. */
export interface EventIntake {
  readonly log: ReadableLog
  readonly policy: PolicyInForce
  submit(body: Uint8Array): Promise<Admitted>
  submitBatch(body: BatchBody): Promise<AdmittedBatch>
}

/** What the routes of a thread that only serves need of a log. */
interface FrontLog {
  readonly log: ReadableLog
  readonly events?: EventIntake
}

export type FrontLogs = ReadonlyMap<string, FrontLog>

/** Throws UNKNOWN_LOG, and NOT_FOUND for a raw log. */
export function findEvents<T>(logs: ReadonlyMap<string, { readonly events?: T }>, name: string): T {
  const { events } = findLog(logs, name)
  if (events === undefined) throw new TreelineError('NOT_FOUND', `${name} is a raw log: it has no events`)
  return events
}

/** Throws UNKNOWN_LOG. */
export function findLog<T>(logs: ReadonlyMap<string, T>, name: string): T {
  const log = logs.get(name)
  if (log === undefined)
    throw new TreelineError('UNKNOWN_LOG', `this server has no log "${name.slice(0, 64)}": GET /v1/logs lists them`)
  return log
}
