/** Offline verification of the files that a log gives away. No network, no clock, no trust but the policy. */
import { equal, fromUtf8, toHex } from '../core/bytes.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { BATCH, decodeEntry, EVENT } from '../core/entry.ts'
import { type Code, TreelineError } from '../core/errors.ts'
import { parseEvidence, type VerifiedEvidence, verifyEvidence } from '../core/evidence.ts'
import { isFault, parseFault } from '../core/fault.ts'
import { type Hash, leafHash } from '../core/merkle.ts'
import { artifactsBeyond } from '../core/payload-facts.ts'
import { parseProof, verifyProof } from '../core/proof-file.ts'
import { verifyBatchReceipt, verifyReceipt } from '../core/receipt.ts'
import { verifySignature } from '../core/signature.ts'
import { type ProvedFault, verifyFault } from '../core/verify-fault.ts'
import type { VerifiedCheckpoint } from '../core/witness-policy.ts'
import { parseBatchReceipt, parseReceipt } from './receipts.ts'
import { pinnedLogs, policyOfNote, type Trust } from './trusted-log.ts'

export interface Inputs {
  /** Evidence, a tlog-proof, a receipt, or evidence of a fault. */
  readonly file: Uint8Array
  readonly trust: Trust
  /** Leaf hash of the log's first entry, where it was pinned: another log that was given the same name and key is refused. */
  readonly genesis?: Hash
  /** The entry, for a proof that does not carry it. */
  readonly entry?: Uint8Array
  /** The envelope that was sent, in canonical form, for a receipt. */
  readonly envelope?: Uint8Array
}

export type Verified =
  | { readonly kind: 'evidence'; readonly evidence: VerifiedEvidence }
  | { readonly kind: 'proof' | 'receipt'; readonly index: bigint; readonly checkpoint: VerifiedCheckpoint }
  /** The file proves that the log, or whoever holds its key, is at fault. */
  | { readonly kind: 'fault'; readonly fault: ProvedFault }

/**
 * Throws MALFORMED_… or INVALID_PROOF for a file that proves nothing, UNVERIFIED_NOTE for one that `trust` does not accept, INVALID_LOG for
 * one that proves that the log admitted what its policy forbids, and USAGE when something is missing that the file needs beside it.
 */
export function verifyFile({ file, trust, genesis, entry, envelope }: Inputs): Verified {
  if (isFault(file)) {
    requireNoGenesis(genesis)
    const keys = pinnedLogs(trust).map(({ key }) => key)
    return { kind: 'fault', fault: verifyFault(parseFault(file), keys, verifySignature) }
  }
  const text = fromUtf8(file)
  if (text?.startsWith('c2sp.org/tlog-proof@')) {
    const proof = parseProof(file)
    if (proof.extra !== undefined) return { kind: 'evidence', evidence: verified(file, trust, genesis) }
    if (entry === undefined) throw new TreelineError('USAGE', 'a bare proof does not carry its entry: give it beside')
    requireNoGenesis(genesis)
    return {
      kind: 'proof',
      index: proof.index,
      checkpoint: verifyProof(proof, leafHash(entry), policyOfNote(trust, proof.checkpoint)),
    }
  }
  const receipt = parseReceipt(jsonOf(text))
  if (envelope === undefined)
    throw new TreelineError('USAGE', 'a receipt does not carry the envelope that was sent: give it beside')
  if (decodeEntry(receipt.entry).kind === BATCH) {
    requireNoGenesis(genesis)
    const checkpoint = verifyBatchReceipt(
      parseBatchReceipt(jsonOf(text)),
      parseEnvelope(envelope),
      policyOfNote(trust, receipt.checkpoint),
    )
    return { kind: 'receipt', index: BigInt(receipt.index), checkpoint }
  }
  if (receipt.salt.length === 0)
    throw new TreelineError('USAGE', 'only receipts of events can be verified by themselves')
  requireNoGenesis(genesis)
  const { checkpoint } = verifyReceipt(receipt, parseEnvelope(envelope), policyOfNote(trust, receipt.checkpoint))
  return { kind: 'receipt', index: BigInt(receipt.index), checkpoint }
}

/** Codes that say that the file itself is no proof. */
const NO_PROOF = new Set<Code>([
  'MALFORMED_PROOF',
  'MALFORMED_NOTE',
  'MALFORMED_CHECKPOINT',
  'MALFORMED_COSIGNATURE',
  'MALFORMED_ENTRY',
  'MALFORMED_CBOR',
  'UNVERIFIED_NOTE',
  'INVALID_PROOF',
])

function verified(file: Uint8Array, trust: Trust, genesis: Hash | undefined): VerifiedEvidence {
  let evidence: VerifiedEvidence
  try {
    evidence = verifyEvidence(parseEvidence(file), policyOfNote(trust, parseProof(file).checkpoint), verifySignature)
  } catch (error) {
    if (!(error instanceof TreelineError) || NO_PROOF.has(error.code)) throw error
    const { code, message } = error
    throw new TreelineError('INVALID_LOG', `the log has what may not be in it: ${message}`, { code }, { cause: error })
  }
  if (genesis !== undefined && !equal(evidence.genesis, genesis))
    throw new TreelineError('INVALID_PROOF', `the log begins with ${toHex(evidence.genesis)}, not ${toHex(genesis)}`)
  return evidence
}

/** A check that was asked for is made or refused, never forgotten. */
function requireNoGenesis(genesis: Hash | undefined): void {
  if (genesis !== undefined) throw new TreelineError('USAGE', 'only an evidence file leads back to the genesis')
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch (error) {
    throw new TreelineError('MALFORMED_PROOF', 'the file is neither a tlog-proof nor a receipt', {}, { cause: error })
  }
}

/** Throws INVALID_PROOF when the event does not name the SHA-256 (lowercase hex) of an artifact. */
export function requireArtifact({ entry, payload, policy }: VerifiedEvidence, sha256: string): void {
  const shown =
    entry.kind === EVENT &&
    entry.artifacts.some(({ algorithm, digest }) => algorithm === 'sha256' && toHex(digest) === sha256)
  if (!shown && !signed()) throw new TreelineError('INVALID_PROOF', `the event does not name the digest ${sha256}`)

  /** Artifacts past the limit of an entry, private ones, and files of a manifest stand in the signed payload only. */
  function signed(): boolean {
    if (entry.kind !== EVENT || payload === undefined) return false
    const beyond = artifactsBeyond(entry, payload, policy.policy.produces)
    return beyond.some(({ algorithm, digest }) => algorithm === 'sha256' && digest === sha256)
  }
}
