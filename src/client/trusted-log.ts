import { join } from 'node:path'
import { originHash } from '../core/checkpoint.ts'
import { TreelineError } from '../core/errors.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'

/** The origin that a trust policy has for a URL: its only one, or the one that it lists with this URL. Throws USAGE. */
export function trustedOrigin({ logs }: WitnessPolicy, url: string): string {
  // While a log changes its key, the policy lists two of one origin.
  const origins = new Set(logs.map(({ key }) => key.name))
  if (origins.size === 1) return [...origins][0]!
  const here = new Set(logs.filter((log) => log.url && trim(log.url) === trim(url)).map(({ key }) => key.name))
  if (here.size === 1) return [...here][0]!
  throw new TreelineError(
    'USAGE',
    origins.size === 0
      ? 'the trust policy lists no log'
      : `the trust policy lists ${origins.size} logs, and not one of them with the URL ${url}`,
  )
}

const trim = (url: string): string => url.replace(/\/$/, '')

/** Where a client keeps what it knows of one log, in the folder that it has for all. */
export const stateFolder = (state: string, origin: string): string => join(state, originHash(origin))
