/** The write policies of a verified log, each read once. */
import { toHex } from '../core/bytes.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { type Entry, GENESIS, POLICY } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { parseWritePolicy, type WritePolicy } from '../core/write-policy.ts'
import { decodeAt, type VerifiedLog } from './scan.ts'

export class Policies {
  readonly #log: VerifiedLog
  readonly #known = new Map<number, WritePolicy>()

  constructor(log: VerifiedLog) {
    this.#log = log
  }

  /** The policy at an index. Throws INVALID_LOG when there is none, and UNVERIFIABLE when its document is not served: nobody may redact it. */
  async at(index: number): Promise<WritePolicy> {
    const known = this.#known.get(index)
    if (known !== undefined) return known
    const entry = index < this.#log.size ? decodeAt(index, await this.#log.entry(index)) : undefined
    if (entry?.kind !== GENESIS && entry?.kind !== POLICY)
      throw new TreelineError('INVALID_LOG', `entry ${index} is named as a policy, and is none`)
    const document = await this.#log.document(index, entry)
    if (document === undefined) throw new TreelineError('UNVERIFIABLE', `the policy at ${index} is not served`)
    const policy = parseWritePolicy(parseEnvelope(document).payload)
    this.#known.set(index, policy)
    return policy
  }

  /** The names of those who signed, as the policy of then has them; of a key that it does not have, the beginning of the id. */
  async signersOf(entry: Entry): Promise<string[]> {
    if (!('keys' in entry)) return []
    const { signers } = await this.at(entry.policy)
    return entry.keys.map(toHex).map((id) => signers.find(({ key }) => key.id === id)?.name ?? id.slice(0, 16))
  }
}
