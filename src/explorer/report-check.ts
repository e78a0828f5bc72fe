/** The report of a folder: whether every event that it lists stands in it with evidence that verified. */
import { isObject } from '../core/payload.ts'
import type { KnownFile } from './file-kind.ts'
import type { FileReport } from './file-report.ts'
import { type Step, verdictOf } from './verdict.ts'

export function checkReport({ name, document = {} }: KnownFile, reports: readonly FileReport[]): FileReport {
  const events = Array.isArray(document.events) ? document.events.filter(isObject) : []
  const title = 'Each event of the report has evidence here'
  const proved = reports.filter(({ evidence }) => evidence !== undefined)
  const without = events.filter(({ index }) => !proved.some(({ evidence }) => evidence!.index === index))
  const failed = reports.filter(({ steps }) => verdictOf(steps) === 'failed')
  const step: Step =
    without.length > 0
      ? {
          title,
          state: 'failed',
          detail: `No verified evidence for ${without.map(({ log, index }) => `${log} ${index}`).join(', ')}.`,
        }
      : failed.length > 0
        ? { title, state: 'failed', detail: `Evidence failed: ${failed.map((one) => one.name).join(', ')}.` }
        : { title, state: 'verified', detail: `${events.length} events, each with evidence of its own below.` }
  return { name, what: 'Report', facts: [], steps: [step] }
}
