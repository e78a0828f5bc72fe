import { addendumHash } from '../core/addendum.ts'
import { canonicalEnvelope, parseEnvelope } from '../core/dsse.ts'
import { encodeEntry, GENESIS } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { judgeGenesis } from '../core/policy-fold.ts'
import type { VerifySignature } from '../core/signature.ts'
import { parseWritePolicy, type WritePolicy } from '../core/write-policy.ts'
import { logFiles, logNames } from '../store/folder.ts'
import { SqliteStore } from '../store/sqlite.ts'
import type { Genesis } from './init.ts'
import { checkLogKeys, checkShared } from './policy-rules.ts'

/** The first entry of an events log, from its signed write policy. Throws what `judgeGenesis` does, WRONG_ORIGIN, POLICY_CONFLICT. */
export async function genesisOf(
  data: string,
  file: Uint8Array,
  vkey: string,
  verify: VerifySignature,
): Promise<Genesis> {
  const { envelope, verified, policy } = judgeGenesis(parseEnvelope(file), verify)
  const origin = vkey.slice(0, vkey.indexOf('+'))
  if (policy.origin !== origin)
    throw new TreelineError('WRONG_ORIGIN', `the policy is for ${policy.origin}, the log is ${origin}`)
  checkLogKeys(policy, vkey)
  checkShared(policy, await policiesIn(data))
  const document = canonicalEnvelope(envelope, verified)
  const time = Date.now()
  return { entry: encodeEntry({ kind: GENESIS, time, addendum: addendumHash(document) }), addendum: document, time }
}

/** The policies in force of all events logs of a data folder. */
async function policiesIn(data: string): Promise<WritePolicy[]> {
  const found: WritePolicy[] = []
  for (const name of logNames(data)) {
    const store = SqliteStore.open(logFiles(data, name).database, { readonly: true })
    try {
      const last = (await store.policies()).at(-1)
      const document = last === undefined ? undefined : await store.addendum(last)
      if (document !== undefined) found.push(parseWritePolicy(parseEnvelope(document).payload))
    } finally {
      await store.close()
    }
  }
  return found
}
