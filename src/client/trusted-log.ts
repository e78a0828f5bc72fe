/** What a reader trusts, and of which log. */
import { join } from 'node:path'
import { originHash } from '../core/checkpoint.ts'
import { TreelineError } from '../core/errors.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'

/** One policy, or several of different logs, each with its own quorum: a restored log keeps the witnesses that it had, its successor has others. */
export type Trust = WitnessPolicy | readonly WitnessPolicy[]

const policiesOf = (trust: Trust): readonly WitnessPolicy[] => ('quorum' in trust ? [trust] : trust)

/** The policy that has a key of this log; undefined where none has. */
export const policyFor = (trust: Trust, origin: string): WitnessPolicy | undefined =>
  policiesOf(trust).find(({ logs }) => logs.some(({ key }) => key.name === origin))

/** Throws UNVERIFIED_NOTE where there is none. */
export function requirePolicy(trust: Trust, origin: string): WitnessPolicy {
  const policy = policyFor(trust, origin)
  if (policy !== undefined) return policy
  throw new TreelineError('UNVERIFIED_NOTE', `no trust policy has a key of ${origin}: give the one that has (--trust)`)
}

/** `policyFor` a signed note, whose first line is the origin. Where no policy has a key of it, any will say so. */
export function policyOfNote(trust: Trust, note: Uint8Array | string): WitnessPolicy {
  const [origin = ''] = (typeof note === 'string' ? note : new TextDecoder().decode(note)).split('\n', 1)
  return policyFor(trust, origin) ?? policiesOf(trust)[0]!
}

export const pinnedLogs = (trust: Trust): WitnessPolicy['logs'] => policiesOf(trust).flatMap(({ logs }) => logs)

/** Throws USAGE for a log in two policies: which quorum counts would be a matter of their order. */
export function requireApart(trust: readonly WitnessPolicy[]): readonly WitnessPolicy[] {
  const seen = new Set<string>()
  for (const { logs } of trust) {
    const origins = new Set(logs.map(({ key }) => key.name))
    const [twice] = [...origins].filter((origin) => seen.has(origin))
    if (twice !== undefined)
      throw new TreelineError(
        'USAGE',
        `two trust policies have a key of ${twice}: one policy says what counts of a log`,
      )
    for (const origin of origins) seen.add(origin)
  }
  return trust
}

/** The origin that is trusted at a URL: the only one, or the one that is listed with this URL. Throws USAGE. */
export function trustedOrigin(trust: Trust, url: string): string {
  const logs = pinnedLogs(trust)
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

/** What is known of the log at a URL. Throws USAGE. */
export function trustedLog(trust: Trust, url: string): { readonly origin: string; readonly trust: WitnessPolicy } {
  const origin = trustedOrigin(trust, url)
  return { origin, trust: policyFor(trust, origin)! }
}

const trim = (url: string): string => url.replace(/\/$/, '')

/** Where a client keeps what it knows of one log, in the folder that it has for all. */
export const stateFolder = (state: string, origin: string): string => join(state, originHash(origin))
