/** The write policy in force, verified, and the document that follows it. */
import { toHex } from '../core/bytes.ts'
import { parseEvidence, verifyEvidence } from '../core/evidence.ts'
import { verifySignature } from '../core/signature.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import { wrongAnswer } from './answer.ts'
import { payloadOf } from './documents.ts'
import { fetchPolicyIndex } from './reads.ts'
import type { Transport } from './transport.ts'

interface SignerDocument {
  readonly id: string
  readonly name: string
  readonly suspended?: unknown
  readonly [member: string]: unknown
}

/** The JSON of a write policy that was parsed: members as they stand, and those that are changed here by type. */
export interface PolicyDocument {
  readonly origin: string
  readonly sequence: number
  readonly signers: readonly SignerDocument[]
  readonly [member: string]: unknown
}

export interface CurrentPolicy {
  readonly index: number
  /** Key 7 of its entry: what the next document names. */
  readonly sha256: string
  readonly document: PolicyDocument
}

/**
 * Not the answer of GET v1/policy but the evidence for it: an administrator signs what follows from it, and a log that could put words into
 * it would have them signed. Throws what `verifyEvidence` does.
 */
export async function fetchPolicy(transport: Transport, trust: WitnessPolicy, origin: string): Promise<CurrentPolicy> {
  const index = await fetchPolicyIndex(transport)
  const evidence = parseEvidence(await transport.get(`v1/evidence/${index}`))
  const { policy } = verifyEvidence(evidence, trust, verifySignature)
  if (policy.index !== index) throw wrongAnswer(`entry ${index} is not a policy`)
  if (policy.policy.origin !== origin) throw wrongAnswer(`the policy is of ${policy.policy.origin}, not ${origin}`)
  const document = payloadOf(evidence.policies.at(-1)!.document) as unknown as PolicyDocument
  return { index, sha256: toHex(policy.sha256), document }
}

export function nextPolicy({ index, sha256, document }: CurrentPolicy): PolicyDocument {
  // What the log succeeds stands in its first document alone.
  const { successorOf: _, ...kept } = document
  return { ...kept, sequence: document.sequence + 1, previous: { index, sha256 } }
}
