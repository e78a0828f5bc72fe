/** What the core says of published vectors and of documents of our own: the same modules, run by Node and by a page. */
import { p256 } from '@noble/curves/nist.js'
import * as ed from '@noble/ed25519'
import { addendumHash, blinding, joinAddendum } from '../../src/core/addendum.ts'
import { concat, equal, fromHex, toBase64, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint, parseCheckpoint } from '../../src/core/checkpoint.ts'
import { cosignatureVerifier, verifySubtree } from '../../src/core/cosignature.ts'
import { describe } from '../../src/core/describe.ts'
import { canonicalEnvelope, type Envelope, pae, parseEnvelope, verifyEnvelope } from '../../src/core/dsse.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import { decodeEntry, EVENT, encodeEntry } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { ed25519PublicKey, type PublicKey, parsePublicKey } from '../../src/core/keys.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../src/core/merkle.ts'
import { parseNote, parseSignatureLine, verifyNote } from '../../src/core/note.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { parseProof, verifyProof } from '../../src/core/proof-file.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }
import merkle from '../vectors/c2sp-merkle.json' with { type: 'json' }
import notes from '../vectors/c2sp-signed-note.json' with { type: 'json' }
import checkpoints from '../vectors/c2sp-tlog-checkpoint.json' with { type: 'json' }
import cosignatures from '../vectors/c2sp-tlog-cosignature.json' with { type: 'json' }
import policies from '../vectors/c2sp-tlog-policy.json' with { type: 'json' }
import proofs from '../vectors/c2sp-tlog-proof.json' with { type: 'json' }

export interface Verdict {
  readonly name: string
  /** `accepted`, `refused` or `bug`, and what came out. */
  readonly verdict: string
  /** What it must begin with; without it the two runtimes need only agree. */
  readonly expected: string
}

export function allVerdicts(): Verdict[] {
  const verdicts: Verdict[] = []
  const judge = (name: string, expected: 'accepted' | 'refused' | '', what: () => unknown): void => {
    verdicts.push({ name, expected, verdict: verdictOf(what) })
  }
  judgeVectors(judge)
  judgeEvent(judge)
  return verdicts
}

type Judge = (name: string, expected: 'accepted' | 'refused' | '', what: () => unknown) => void

function verdictOf(what: () => unknown): string {
  try {
    const value = what()
    return value === false ? 'refused' : `accepted ${JSON.stringify(value, plain)}`
  } catch (error) {
    return error instanceof TreelineError ? `refused ${error.code}` : `bug ${error}`
  }
}

const plain = (_: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return toHex(value)
  if (value instanceof Map) return [...value]
  return value
}

const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
  const flipped = new Uint8Array(bytes)
  flipped[bit >> 3]! ^= 1 << (bit & 7)
  return flipped
}

function judgeVectors(judge: Judge): void {
  for (const { id, note, note_hex: hex, vkeys, expect } of notes.notes) {
    const bytes = note === null ? fromHex(hex!)! : toUtf8(note)
    judge(`note ${id}`, expect === 'accept' ? 'accepted' : 'refused', () =>
      verifyNote(parseNote(bytes), vkeys.map(parseVkey).map(ed25519NoteVerifier)).map(({ key }) => key.name),
    )
  }
  for (const { id, note_text: text } of checkpoints.note_texts) {
    judge(`checkpoint ${id}`, '', () => parseCheckpoint(text))
  }
  for (const vector of [...cosignatures.positive, ...cosignatures.negative] as readonly CosignatureVector[]) {
    if (vector.signature_line !== undefined) judgeCosignature(judge, vector)
  }
  for (const { why, policy } of policies.valid) {
    judge(`witness policy ${why}`, 'accepted', () => parseWitnessPolicy(toUtf8(policy)))
  }
  for (const { why, policy } of policies.invalid) {
    judge(`witness policy ${why}`, '', () => parseWitnessPolicy(toUtf8(policy)))
  }
  judgeProofs(judge)
  judgeTree(judge)
}

/** Both algorithms: of a checkpoint's text, or (ML-DSA only) of a subtree. */
interface CosignatureVector {
  readonly id: string
  readonly expect?: string
  readonly signature_line?: string
  readonly cosigner_vkey?: string
  readonly cosigner_key_label?: string
  readonly checkpoint_text?: string
  readonly timestamp?: string
  readonly log_origin?: string
  readonly start?: number
  readonly end?: number
  readonly hash_hex?: string
}

function judgeCosignature(judge: Judge, vector: CosignatureVector): void {
  const { id, expect, log_origin: origin = '', start, end, hash_hex: hash = '' } = vector
  const { signature } = parseSignatureLine(vector.signature_line!.trimEnd())
  const label = vector.cosigner_key_label as keyof typeof keys.keys
  const key = parseVkey(vector.cosigner_vkey ?? keys.keys[label].vkey)
  let verify: (signature: Uint8Array) => boolean
  if (start !== undefined && (start > 0 || vector.timestamp === '0')) {
    const subtree = { origin, start: BigInt(start), end: BigInt(end!), hash: fromHex(hash)! }
    verify = (signature) => verifySubtree(key, subtree, signature)
  } else {
    const text =
      vector.checkpoint_text ?? formatCheckpoint({ origin, size: BigInt(end!), root: fromHex(hash)!, extensions: [] })
    verify = (signature) => cosignatureVerifier(key).verify(text, signature)
  }
  judge(`cosignature ${id}`, expect?.startsWith('accept') ? 'accepted' : 'refused', () => verify(signature))
  // The control: a page that accepts everything fails here.
  for (const bit of [0, 63, 64, 300]) {
    judge(`cosignature ${id} with bit ${bit} flipped`, 'refused', () => verify(flip(signature, bit)))
  }
}

function judgeProofs(judge: Judge): void {
  const policy = parseWitnessPolicy(toUtf8(proofs.verification_policy))
  const [first] = proofs.valid
  const leaf = fromHex(first!.leaf_hash_hex)!
  for (const { id, proof, entry_utf8: entry } of proofs.valid) {
    const bytes = toUtf8(proof)
    judge(`proof ${id}`, 'accepted', () => verifyProof(parseProof(bytes), leafHash(toUtf8(entry)), policy).checkpoint)
    judge(`proof ${id}, another leaf`, 'refused', () => verifyProof(parseProof(bytes), leafHash(toUtf8('x')), policy))
  }
  for (const { id, proof } of [...proofs.malformed, ...proofs.verification_failures]) {
    judge(`proof ${id}`, 'refused', () => verifyProof(parseProof(toUtf8(proof)), leaf, policy))
  }
}

function judgeTree(judge: Judge): void {
  const { leaf_hashes_hex: leaves, roots_hex: roots, inclusion, consistency } = merkle.rfc6962_standard_leaves
  const root = (size: number) => fromHex((roots as Record<string, string>)[size]!)!
  const hashes = (proof: readonly string[]) => proof.map((hash) => fromHex(hash)!)
  for (const { index, size, proof_hex: proof } of inclusion) {
    const leaf = fromHex(leaves[index]!)!
    const verify = (of: Uint8Array) => verifyInclusion(BigInt(index), BigInt(size), of, hashes(proof), root(size))
    judge(`inclusion ${index} in ${size}`, 'accepted', () => verify(leaf))
    judge(`inclusion ${index} in ${size}, one bit flipped`, 'refused', () => verify(flip(leaf, 255)))
  }
  for (const { old, new: size, proof_hex: proof } of consistency) {
    judge(`consistency ${old} to ${size}`, 'accepted', () =>
      verifyConsistency(BigInt(old), BigInt(size), root(old), root(size), hashes(proof)),
    )
  }
}

/** A statement signed with both algorithms, and everything that a verifier of its receipt does. */
function judgeEvent(judge: Judge): void {
  const seed = new Uint8Array(32).fill(1)
  const alice = ed25519PublicKey(ed.getPublicKey(seed))
  const p256Prefix = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')!
  const bob = parsePublicKey(concat(p256Prefix, p256.getPublicKey(seed, false)))
  const digest = (byte: string) => ({ digest: { sha256: byte.repeat(32) } })
  const payload = toUtf8(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'modèle', ...digest('0a') }],
      predicateType: 'urn:treeline:training:v1',
      predicate: { origin: 'log.example/x', consumed: [digest('0b'), digest('0c'), digest('0b')], parameters: {} },
    }),
  )
  const message = pae(IN_TOTO, payload)
  const signed = (key: PublicKey, signature: Uint8Array) => ({ keyid: key.id, signature })
  const aliceSigned = signed(alice, ed.sign(message, seed))
  const bobSigned = signed(bob, p256.sign(message, seed, { format: 'der', prehash: true, lowS: true }))
  const envelope: Envelope = { payloadType: IN_TOTO, payload, signatures: [aliceSigned, bobSigned] }
  const ring = {
    find: (keyid: string) => [alice, bob].find(({ id }) => id === keyid),
    all: () => [alice, bob],
  }
  const verify = (one: Envelope) => verifyEnvelope(one, ring, verifySignature)
  const canonical = canonicalEnvelope(envelope, verify(envelope))
  judge('canonical envelope', 'accepted', () =>
    equal(canonicalEnvelope(envelope, verify(parseEnvelope(canonical))), canonical),
  )
  for (const { keyid, signature } of envelope.signatures) {
    for (const bit of [0, 7, 64, 255, 300, 500]) {
      judge(`envelope with bit ${bit} of ${toBase64(signature).slice(0, 8)} flipped`, 'refused', () =>
        verify({ ...envelope, signatures: [{ keyid, signature: flip(signature, bit) }] }),
      )
    }
  }
  const keys = verify(envelope).map(({ key }) => fromHex(key.id)!)
  const description = describe({ keys, payloadType: IN_TOTO, payload }, { produces: [], private: [] })
  judge('describe', 'accepted', () => description)
  const addendum = joinAddendum(blinding(seed, canonical), canonical)
  const entry = encodeEntry({
    kind: EVENT,
    time: 1_700_000_000_000,
    addendum: addendumHash(addendum),
    policy: 0,
    ...description,
  })
  judge('entry', 'accepted', () => [toHex(entry), decodeEntry(entry)])
  for (let bit = 0; bit < entry.length * 8; bit += 5) {
    judge(`entry with bit ${bit} flipped`, '', () => decodeEntry(flip(entry, bit)))
  }
  judge('entry with another trailer', 'refused', () => decodeEntry(flip(entry, entry.length * 8 - 16)))
  for (const [name, text] of [
    ['duplicate key', '{"payload":"","\\u0070ayload":""}'],
    ['lone surrogate', '{"payloadType":"\\ud800"}'],
    ['depth', '['.repeat(100_000)],
    ['base64', '{"payload":"A","payloadType":"t","signatures":[{"sig":""}]}'],
    ['byte order mark', '\ufeff{}'],
  ] as const) {
    judge(`envelope, ${name}`, 'refused', () => parseEnvelope(toUtf8(text)))
  }
}
