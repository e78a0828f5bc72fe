/** Offline verification of the files that a log gives away. No network, no clock, no trust but the policy. */
import { fromUtf8, toHex, toUtf8 } from '../core/bytes.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { EVENT } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { parseEvidence, type VerifiedEvidence, verifyEvidence } from '../core/evidence.ts'
import { leafHash } from '../core/merkle.ts'
import { parseProof, verifyProof } from '../core/proof-file.ts'
import { verifyReceipt } from '../core/receipt.ts'
import { verifySignature } from '../core/signature.ts'
import type { VerifiedCheckpoint, WitnessPolicy } from '../core/witness-policy.ts'
import { parseReceipt } from './receipts.ts'

export interface Inputs {
  readonly file: Uint8Array
  readonly trust: WitnessPolicy
  /** The entry, for a proof that does not carry it. */
  readonly entry?: Uint8Array
  /** The envelope that was sent, for a receipt. */
  readonly envelope?: Uint8Array
}

export type Verified =
  | { readonly kind: 'evidence'; readonly evidence: VerifiedEvidence }
  | { readonly kind: 'proof' | 'receipt'; readonly index: bigint; readonly checkpoint: VerifiedCheckpoint }

/** Throws what the verifiers of the core do, and USAGE when something that the file needs beside it is missing. */
export function verifyFile({ file, trust, entry, envelope }: Inputs): Verified {
  const text = fromUtf8(file)
  if (text?.startsWith('c2sp.org/tlog-proof@')) {
    const proof = parseProof(file)
    if (proof.extra !== undefined)
      return { kind: 'evidence', evidence: verifyEvidence(parseEvidence(file), trust, verifySignature) }
    if (entry === undefined)
      throw new TreelineError('USAGE', 'a bare proof needs the entry that it is about: give --entry FILE')
    return { kind: 'proof', index: proof.index, checkpoint: verifyProof(proof, leafHash(entry), trust) }
  }
  const receipt = parseReceipt(jsonOf(text))
  if (envelope === undefined)
    throw new TreelineError('USAGE', 'a receipt needs the envelope that was sent: give --envelope FILE')
  const { checkpoint } = verifyReceipt(receipt, parseEnvelope(envelope), trust)
  return { kind: 'receipt', index: BigInt(receipt.index), checkpoint }
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch (error) {
    throw new TreelineError('MALFORMED_PROOF', 'the file is neither a tlog-proof nor a receipt', {}, { cause: error })
  }
}

/** Throws INVALID_PROOF when the event does not name the SHA-256 (hex) of an artifact. */
export function requireArtifact({ entry, envelope }: VerifiedEvidence, sha256: string): void {
  const shown =
    entry.kind === EVENT &&
    entry.artifacts.some(({ algorithm, digest }) => algorithm === 'sha256' && toHex(digest) === sha256)
  // Artifacts past the limit of an entry, and private ones, stand in the signed payload only.
  const signed = envelope !== undefined && includes(envelope.payload, toUtf8(`"${sha256}"`))
  if (!shown && !signed) throw new TreelineError('INVALID_PROOF', `the event does not name the digest ${sha256}`)
}

const includes = (bytes: Uint8Array, part: Uint8Array): boolean =>
  (fromUtf8(bytes) ?? '').includes(fromUtf8(part) ?? '\0')

const day = (ms: number): string => new Date(ms).toISOString()

/** What the evidence shows, as sentences for a person. */
export function sayEvidence(found: VerifiedEvidence): string[] {
  const { entry, checkpoint, earlier, signers, policy, index } = found
  const times = (one: VerifiedCheckpoint | undefined) =>
    (one?.cosigners ?? []).map(({ timestamp }) => Number(timestamp)).filter((time) => time > 0)
  const between = [times(earlier).sort((a, b) => b - a)[0], times(checkpoint).sort((a, b) => a - b)[0]].map((time) =>
    time === undefined ? undefined : day(1000 * time),
  )
  const lines = [
    `entry ${index} of ${checkpoint.checkpoint.origin}, under its checkpoint of size ${checkpoint.checkpoint.size}`,
    between[1] === undefined
      ? `the log's clock says ${day(entry.time)}; no witness says when`
      : `logged ${between[0] ? `between ${between[0]} and` : 'before'} ${between[1]} (witnesses); the log's clock says ${day(entry.time)}`,
  ]
  if (entry.kind === EVENT) {
    lines.push(
      `signed by ${signers.join(', ')}, allowed by the policy of entry ${policy.index}`,
      `type ${entry.type}`,
      ...entry.artifacts.map(
        ({ role, algorithm, digest }) =>
          `${['', 'produced', 'consumed', 'examined'][role]} ${algorithm}:${toHex(digest)}`,
      ),
    )
    if (entry.hidden > 0) lines.push(`and ${entry.hidden} artifacts that stand only in the payload`)
    if (found.envelope === undefined)
      lines.push('the payload was redacted; its signer, type and place are still proved')
  }
  return lines
}
