import { addendumHash } from '../core/addendum.ts'
import { equal } from '../core/bytes.ts'
import { canonicalEnvelope, parseEnvelope } from '../core/dsse.ts'
import { encodeEntry, GENESIS } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { judgeGenesis } from '../core/policy-fold.ts'
import { predecessorOf } from '../core/predecessor.ts'
import type { VerifySignature } from '../core/signature.ts'
import { type Predecessor, parseWritePolicy, type WritePolicy } from '../core/write-policy.ts'
import { logFiles, logNames } from '../store/folder.ts'
import { SqliteStore } from '../store/sqlite.ts'
import type { Genesis } from './init.ts'
import { checkLogKeys, checkShared } from './policy-rules.ts'
import { chainOf, checkKeys, checkPredecessor, type LogInFolder } from './successor.ts'

/**
 * The first entry of an events log, from its signed write policy. `succeeded` is the checkpoint, as a signed note, of the log that it takes the
 * place of. Throws what `judgeGenesis` does, WRONG_ORIGIN, POLICY_CONFLICT, USAGE.
 */
export async function genesisOf(
  data: string,
  file: Uint8Array,
  vkey: string,
  verify: VerifySignature,
  succeeded?: Uint8Array,
): Promise<Genesis> {
  const { envelope, verified, policy } = judgeGenesis(parseEnvelope(file), verify)
  const origin = vkey.slice(0, vkey.indexOf('+'))
  if (policy.origin !== origin)
    throw new TreelineError('WRONG_ORIGIN', `the policy is for ${policy.origin}, the log is ${origin}`)
  checkLogKeys(policy, vkey)
  checkSuccession(policy, succeeded && predecessorOf(succeeded))
  await withLogs(data, async (logs) => {
    if (succeeded !== undefined) await checkSucceeded(data, logs, vkey, succeeded, policy)
    const before = chainOf(policy.successorOf, (name) => logs.find(({ store }) => store.origin === name))
    // An event of a log of before that somebody sends again is known, and is not logged a second time.
    const others = logs.filter((log) => !before.includes(log)).flatMap(({ policies }) => policies.at(-1) ?? [])
    checkShared(policy, others)
  })
  const document = canonicalEnvelope(envelope, verified)
  const time = Date.now()
  return { entry: encodeEntry({ kind: GENESIS, time, addendum: addendumHash(document) }), addendum: document, time }
}

/** What can be said of a successor before it has its policy. Throws USAGE. */
export const checkSuccessor = (data: string, vkey: string, succeeded: Uint8Array): Promise<void> =>
  withLogs(data, (logs) => checkSucceeded(data, logs, vkey, succeeded, undefined))

async function checkSucceeded(
  data: string,
  logs: readonly LogInFolder[],
  vkey: string,
  note: Uint8Array,
  policy: WritePolicy | undefined,
): Promise<void> {
  const predecessor = predecessorOf(note)
  const { origin } = predecessor
  if (vkey.startsWith(`${origin}+`)) throw new TreelineError('USAGE', `the checkpoint is of ${origin}, this log itself`)
  await checkPredecessor(data, logs, predecessor, note)
  const policies = logs.filter(({ store }) => store.origin === origin).flatMap((log) => log.policies)
  checkKeys(vkey, predecessor, note, policies, policy)
}

/** The administrators have signed exactly what the checkpoint says, or that there is nothing before. Throws USAGE. */
function checkSuccession({ successorOf }: WritePolicy, given: Predecessor | undefined): void {
  if (successorOf === null && given === undefined) return
  if (given === undefined)
    throw new TreelineError(
      'USAGE',
      `the policy says that the log succeeds ${successorOf?.origin}: give --successor-of`,
    )
  if (successorOf?.origin === given.origin && successorOf.size === given.size && equal(successorOf.root, given.root))
    return
  const said = successorOf === null ? 'nothing' : `${successorOf.origin} at size ${successorOf.size}`
  throw new TreelineError(
    'USAGE',
    `the checkpoint is of ${given.origin} at size ${given.size}, and the policy says that the log succeeds ${said}, or another root`,
  )
}

/** Runs `work` with the logs of a data folder open for reading. */
async function withLogs<T>(data: string, work: (logs: readonly LogInFolder[]) => Promise<T>): Promise<T> {
  const logs: LogInFolder[] = []
  const stores: SqliteStore[] = []
  try {
    for (const name of logNames(data)) {
      const store = SqliteStore.open(logFiles(data, name).database, { readonly: true })
      stores.push(store)
      const policies: WritePolicy[] = []
      for (const index of await store.policies()) {
        const document = await store.addendum(index)
        if (document !== undefined) policies.push(parseWritePolicy(parseEnvelope(document).payload))
      }
      logs.push({ name, store, policies, successorOf: policies[0]?.successorOf ?? null })
    }
    return await work(logs)
  } finally {
    for (const store of stores) await store.close()
  }
}
