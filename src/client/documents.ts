/** Signed documents that change a log, policies and redactions: signed by several in turn, and the log's answer to them. */
import { addendumHash } from '../core/addendum.ts'
import { equal, fromUtf8, toHex, toUtf8 } from '../core/bytes.ts'
import { type Envelope, formatEnvelope, MAX_ENVELOPE_SIGNATURES, parseEnvelope } from '../core/dsse.ts'
import { decodeEntry, type Entry } from '../core/entry.ts'
import { TreelineError } from '../core/errors.ts'
import { leafHash } from '../core/merkle.ts'
import { isObject } from '../core/payload.ts'
import { verifyProof } from '../core/proof-file.ts'
import type { Receipt } from '../core/receipt.ts'
import { parseJson } from '../core/strict-json.ts'
import { type WitnessPolicy, withoutQuorum } from '../core/witness-policy.ts'
import { wrongAnswer } from './answer.ts'
import { type SigningKey, signEnvelope } from './signing-key.ts'
import type { Transport } from './transport.ts'

/**
 * `input` is a document, or an envelope of one whose signatures are kept. `check` throws when the document is not one of its type: nobody
 * is to sign what no log would take. Throws USAGE for an envelope of another type.
 */
export function addSignatures(
  payloadType: string,
  input: Uint8Array,
  keys: readonly SigningKey[],
  check: (envelope: Envelope) => unknown,
): Uint8Array {
  const document = parseJson(input, 'MALFORMED_PAYLOAD')
  const before: Envelope =
    isObject(document) && 'payloadType' in document
      ? parseEnvelope(input)
      : { payloadType, payload: input, signatures: [] }
  if (before.payloadType !== payloadType)
    throw new TreelineError('USAGE', `the envelope holds ${before.payloadType}, not ${payloadType}`)
  check(before)
  const added = parseEnvelope(signEnvelope(payloadType, before.payload, keys)).signatures
  const others = before.signatures.filter(({ keyid }) => !added.some((one) => one.keyid === keyid))
  const signatures = [...others, ...added]
  if (signatures.length > MAX_ENVELOPE_SIGNATURES)
    throw new TreelineError('USAGE', `an envelope has at most ${MAX_ENVELOPE_SIGNATURES} signatures`)
  return formatEnvelope({ ...before, signatures })
}

/**
 * What the log did with a document: its entry, once the receipt proves that it holds this document and stands in the tree. Throws
 * INVALID_PROOF, UNVERIFIED_NOTE and what `verifyProof` does.
 */
export async function verifyDocumentReceipt(
  transport: Transport,
  receipt: Receipt,
  sent: Uint8Array,
  trust: WitnessPolicy,
): Promise<Entry> {
  const { index, hashes } = receipt
  const note = toUtf8(receipt.checkpoint)
  const policy = receipt.witnessed ? trust : withoutQuorum(trust)
  const verified = verifyProof({ index: BigInt(index), hashes, checkpoint: note }, leafHash(receipt.entry), policy)
  const entry = decodeEntry(receipt.entry)
  const digest = toHex(entry.addendum)
  const envelope = parseEnvelope(sent)
  if (!equal(addendumHash(formatEnvelope(envelope)), entry.addendum)) {
    // Signatures that do not count are left out by the log, so the same document may stand there with fewer of them.
    const logged = await transport.get(`addenda/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest}`)
    if (!equal(addendumHash(logged), entry.addendum) || !equal(parseEnvelope(logged).payload, envelope.payload))
      throw wrongAnswer('the receipt is for another document than the one that was sent')
  }
  if (verified.checkpoint.origin !== receipt.origin)
    throw wrongAnswer('the receipt names another origin than its checkpoint')
  return entry
}

/** The payload of a signed document as JSON, for a program that changes some members and keeps the others. */
export function payloadOf(envelope: Uint8Array): Record<string, unknown> {
  return JSON.parse(fromUtf8(parseEnvelope(envelope).payload) ?? '') as Record<string, unknown>
}
