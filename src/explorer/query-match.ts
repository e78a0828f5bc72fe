/** Whether an entry is one that was asked for: a server may answer with others. */
import { ROLE_NAMES } from '../core/artifact.ts'
import { toHex } from '../core/bytes.ts'
import { type Entry, EVENT } from '../core/entry.ts'
import { matchAny } from '../core/pattern.ts'
import { isSilent } from './stated.ts'

/** What about the entry does not fit, or undefined. Text, and artifacts that an entry does not show, are in the document. */
export function mismatch(entry: Entry, query: URLSearchParams): string | undefined {
  const [type, signer, artifact, role] = ['type', 'signer', 'artifact', 'role'].map((name) => query.get(name))
  const time = (name: string) => (query.has(name) ? timeOf(query.get(name)!) : Number.NaN)
  if (entry.time < time('since') || entry.time >= time('until')) return 'its time'
  if (!type && !signer && !artifact && !role) return undefined
  if (entry.kind !== EVENT) return 'its kind'
  if (type && !matchAny([type], entry.type)) return 'its type'
  if (signer && !entry.keys.map(toHex).includes(signer)) return 'its signers'
  if ((!artifact && !role) || isSilent(entry)) return undefined
  const shown = entry.artifacts.map((one) => ({
    role: ROLE_NAMES[one.role] as string,
    id: `${one.algorithm}:${toHex(one.digest)}`,
  }))
  const fits = shown.some(
    (one) =>
      (!role || one.role === role) &&
      (!artifact || one.id === artifact || (!artifact.includes(':') && one.id.endsWith(`:${artifact}`))),
  )
  return fits ? undefined : 'its artifacts'
}

/** NaN for what is no time: then the server has refused it. */
const timeOf = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Date.parse(text))
