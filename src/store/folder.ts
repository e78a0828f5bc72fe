/** DATA/logs/NAME: where the files of a log stand, and the rules of a log's name. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { TreelineError } from '../core/errors.ts'

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/
const RESERVED = new Set(['api', 'assets', 'docs', 'healthz', 'logs', 'metrics', 'openapi.json', 'readyz', 'v1'])

export interface LogFiles {
  readonly folder: string
  readonly database: string
  /** Derived from the database, and may be deleted while no server runs. */
  readonly index: string
  readonly key: string
  readonly vkey: string
  readonly blinding: string
  /** The last published checkpoint, outside the database on purpose. */
  readonly published: string
}

const isLogName = (name: string): boolean => NAME.test(name) && !RESERVED.has(name)

/** Throws USAGE for a name that no log may have. */
export function checkLogName(name: string): void {
  if (!isLogName(name)) {
    throw new TreelineError(
      'USAGE',
      `"${name}" cannot name a log: use 1 to 63 of a-z, 0-9 and "-", not starting with "-", and none of ${[...RESERVED].join(', ')}`,
    )
  }
}

export function logFiles(data: string, name: string): LogFiles {
  const folder = join(data, 'logs', name)
  return {
    folder,
    database: join(folder, 'log.db'),
    index: join(folder, 'index.db'),
    key: join(folder, 'log.key'),
    vkey: join(folder, 'log.vkey'),
    blinding: join(folder, 'blinding.key'),
    published: join(folder, 'published'),
  }
}

/**
 * Names of the logs under a data folder, sorted. Empty when there are none. A folder with a name that no log may have is none: a restore that
 * is not finished, or a copy that somebody put there and that must not sign beside the original.
 */
export function logNames(data: string): string[] {
  const folder = join(data, 'logs')
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && isLogName(entry.name) && existsSync(logFiles(data, entry.name).database))
    .map((entry) => entry.name)
    .sort()
}
