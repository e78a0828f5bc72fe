/** What came between two sizes of a verified log. */
import { toBase64, toHex } from '../core/bytes.ts'
import { EVENT, KIND_NAMES, POLICY, REDACTION } from '../core/entry.ts'
import type { WritePolicy } from '../core/write-policy.ts'
import { Policies } from './policies.ts'
import type { VerifiedLog } from './scan.ts'

/** Roots in base64, times in ms since the Unix epoch. */
export interface Difference {
  readonly origin: string
  readonly from: { readonly size: number; readonly root: string }
  readonly to: { readonly size: number; readonly root: string }
  /** Of the first and the last entry between; null where there is none. */
  readonly began: number | null
  readonly ended: number | null
  readonly kinds: Readonly<Record<string, number>>
  readonly types: Readonly<Record<string, number>>
  readonly signers: readonly { readonly id: string; readonly name: string; readonly events: number }[]
  readonly policies: readonly PolicyChange[]
  readonly redactions: readonly {
    readonly index: number
    readonly redacts: readonly number[]
    readonly reason: string
  }[]
}

/** Names of signers. */
export interface PolicyChange {
  readonly index: number
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly suspended: readonly string[]
  readonly resumed: readonly string[]
  /** Whether administrators, redactors, or what signers may submit is another than before. */
  readonly rights: boolean
}

/** Both sizes are of one tree, so that the smaller is a prefix of the larger. Throws what `VerifiedLog.bundles` does, and UNKNOWN_SIZE. */
export async function difference(
  log: VerifiedLog,
  from: number,
  to: number,
  progress?: (done: number, total: number) => void,
): Promise<Difference> {
  const policies = new Policies(log)
  const [kinds, types] = [new Map<string, number>(), new Map<string, number>()]
  const signers = new Map<string, { name: string; events: number }>()
  const changes: PolicyChange[] = []
  const redactions: { index: number; redacts: readonly number[]; reason: string }[] = []
  let [began, ended]: [number | null, number | null] = [null, null]
  const roots = { from: toBase64(await log.rootAt(from)), to: toBase64(await log.rootAt(to)) }
  for await (const { index, entry } of log.entries(from, to)) {
    began ??= entry.time
    ended = entry.time
    count(kinds, KIND_NAMES[entry.kind])
    if (entry.kind === EVENT) {
      count(types, entry.type)
      for (const [i, name] of (await policies.signersOf(entry)).entries()) {
        const id = toHex(entry.keys[i]!)
        signers.set(id, { name, events: (signers.get(id)?.events ?? 0) + 1 })
      }
    } else if (entry.kind === POLICY) changes.push(await changeAt(policies, index))
    else if (entry.kind === REDACTION) redactions.push({ index, redacts: entry.indexes, reason: entry.reason })
    if (index % 1_000 === 0) progress?.(index - from, to - from)
  }
  return {
    ...{ origin: log.origin, from: { size: from, root: roots.from }, to: { size: to, root: roots.to } },
    ...{ began, ended, kinds: Object.fromEntries(kinds), types: Object.fromEntries(types) },
    signers: [...signers].map(([id, one]) => ({ id, ...one })),
    ...{ policies: changes, redactions },
  }
}

const count = (all: Map<string, number>, name: string): void => void all.set(name, (all.get(name) ?? 0) + 1)

async function changeAt(policies: Policies, index: number): Promise<PolicyChange> {
  const now = await policies.at(index)
  const before = await policies.at(now.previous?.index ?? 0)
  const without = (all: readonly string[], others: readonly string[]): string[] =>
    all.filter((one) => !others.includes(one))
  const suspended = ({ signers }: WritePolicy): string[] =>
    signers.filter((one) => one.suspended !== null).map(({ name }) => name)
  const names = ({ signers }: WritePolicy): string[] => signers.map(({ name }) => name)
  const both = names(now).filter((name) => names(before).includes(name))
  return {
    index,
    added: without(names(now), names(before)),
    removed: without(names(before), names(now)),
    suspended: without(suspended(now), suspended(before)),
    resumed: without(suspended(before), suspended(now)),
    rights: rightsOf(now, both) !== rightsOf(before, both),
  }
}

/** All that a policy says, but for who is suspended, and for signers that only one of two policies has. */
function rightsOf(policy: WritePolicy, names: readonly string[]): string {
  const { administrators, redactors, signers, produces, private: hidden } = policy
  const compared = signers.filter(({ name }) => names.includes(name)).sort((a, b) => (a.key.id < b.key.id ? -1 : 1))
  return JSON.stringify([
    ...[administrators.threshold, administrators.keys.map(({ id }) => id), redactors, produces, hidden],
    compared.map(({ key, suspended: _, ...rest }) => ({ id: key.id, ...rest })),
  ])
}
