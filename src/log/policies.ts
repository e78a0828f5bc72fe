/** The write policies of a log as it holds them, folded as an auditor would. */
import { addendumHash } from '../core/addendum.ts'
import { type Envelope, parseEnvelope } from '../core/dsse.ts'
import { TreelineError } from '../core/errors.ts'
import { judgeGenesis, judgePolicy, type PolicyInForce } from '../core/policy-fold.ts'
import type { VerifySignature } from '../core/signature.ts'
import type { Predecessor } from '../core/write-policy.ts'
import type { ReadStore } from '../store/store.ts'

export interface FoldedPolicies {
  readonly current: PolicyInForce
  /** The envelope of the policy in force. */
  readonly envelope: Envelope
  /** What the genesis says that the log succeeds. */
  readonly successorOf: Predecessor | null
}

/** Judges each policy again. Throws INVALID_LOG when one is missing, and the judgement of one that may not be there. */
export async function foldPolicies(store: ReadStore, verify: VerifySignature): Promise<FoldedPolicies> {
  let folded: FoldedPolicies | undefined
  for (const index of await store.policies()) {
    const document = await store.addendum(index)
    if (document === undefined) throw new TreelineError('INVALID_LOG', `the policy at ${index} is missing`)
    const envelope = parseEnvelope(document)
    const { policy } = folded ? judgePolicy(folded.current, envelope, verify) : judgeGenesis(envelope, verify)
    const current = { index, sha256: addendumHash(document), policy }
    folded = { current, envelope, successorOf: folded ? folded.successorOf : policy.successorOf }
  }
  if (folded === undefined) throw new TreelineError('INVALID_LOG', 'the log has no write policy')
  if (folded.current.policy.origin !== store.origin)
    throw new TreelineError('INVALID_LOG', `the policy is for ${folded.current.policy.origin}`)
  return folded
}
