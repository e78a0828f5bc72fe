/** DSSE envelopes: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md */
import { compare, concat, fromBase64, toBase64, toUtf8 } from './bytes.ts'
import { TreelineError } from './errors.ts'
import type { PublicKey } from './keys.ts'
import { isObject } from './payload.ts'
import { canonicalSignature, type VerifySignature } from './signature.ts'
import { parseJson } from './strict-json.ts'

interface EnvelopeSignature {
  /** A hint, not signed; '' where there is none. */
  readonly keyid: string
  readonly signature: Uint8Array
}

export interface Envelope {
  readonly payloadType: string
  readonly payload: Uint8Array
  readonly signatures: readonly EnvelopeSignature[]
}

export interface VerifiedSignature {
  readonly key: PublicKey
  /** In canonical form. */
  readonly signature: Uint8Array
}

/** The keys that may have signed. */
export interface KeyRing {
  /** By id (hex SHA-256 of the SubjectPublicKeyInfo) or by an alias of the policy. */
  find(keyid: string): PublicKey | undefined
  all(): Iterable<PublicKey>
}

export const MAX_ENVELOPE_SIGNATURES = 16

/**
 * Signatures without a known key id are tried with every key, and anybody can send 16 of them over megabytes to a
 * policy of a thousand keys. So: at most this many tries an envelope, and this many bytes hashed in them (tens of
 * milliseconds either way). Signatures that do not fit are not tried.
 */
const MAX_TRIES = 256
const MAX_TRIED_BYTES = 32 * 1024 * 1024

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_ENVELOPE', `not a DSSE envelope: ${why}`)

/** Throws MALFORMED_ENVELOPE, MALFORMED_BASE64, DUPLICATE_JSON_KEY, TOO_DEEP. Nothing that it returns is verified. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  const envelope = parseJson(bytes, 'MALFORMED_ENVELOPE')
  if (!isObject(envelope)) throw malformed('not an object')
  const { payloadType, payload, signatures } = envelope
  if (typeof payloadType !== 'string' || payloadType === '') throw malformed('payloadType is not a type')
  if (typeof payload !== 'string') throw malformed('payload is not text')
  if (!Array.isArray(signatures) || signatures.length === 0) throw malformed('no signatures')
  if (signatures.length > MAX_ENVELOPE_SIGNATURES) throw malformed(`more than ${MAX_ENVELOPE_SIGNATURES} signatures`)
  return {
    payloadType,
    payload: parseBase64(payload, 'payload'),
    signatures: signatures.map((signature: unknown) => {
      if (!isObject(signature)) throw malformed('a signature is not an object')
      const { keyid = '', sig } = signature
      if (typeof keyid !== 'string') throw malformed('a keyid is not text')
      if (typeof sig !== 'string') throw malformed('a sig is not text')
      return { keyid, signature: parseBase64(sig, 'sig') }
    }),
  }
}

/** Standard or URL-safe, RFC 4648 sections 4 and 5: padded, canonical, one alphabet in one text. */
function parseBase64(text: string, name: string): Uint8Array {
  const urlSafe = /[-_]/.test(text)
  const standard = urlSafe ? text.replaceAll('-', '+').replaceAll('_', '/') : text
  const bytes = urlSafe && /[+/]/.test(text) ? undefined : fromBase64(standard)
  if (bytes === undefined) throw new TreelineError('MALFORMED_BASE64', `${name} is not padded, canonical base64`)
  return bytes
}

/** What is signed: `DSSEv1 <length> <type> <length> <payload>`, lengths in bytes. */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = toUtf8(payloadType)
  return concat(toUtf8(`DSSEv1 ${type.length} `), type, toUtf8(` ${payload.length} `), payload)
}

/** The canonical form: no white space, standard base64, signatures sorted by key id. */
export function formatEnvelope({ payloadType, payload, signatures }: Envelope): Uint8Array {
  const sorted = [...signatures].sort((a, b) => (a.keyid < b.keyid ? -1 : 1))
  const lines = sorted.map(
    ({ keyid, signature }) => `{"keyid":${JSON.stringify(keyid)},"sig":"${toBase64(signature)}"}`,
  )
  return toUtf8(
    `{"payload":"${toBase64(payload)}","payloadType":${JSON.stringify(payloadType)},"signatures":[${lines.join(',')}]}`,
  )
}

/** The envelope with what verified and nothing else: the bytes that the log keeps. */
export const canonicalEnvelope = ({ payloadType, payload }: Envelope, verified: readonly VerifiedSignature[]) =>
  formatEnvelope({
    payloadType,
    payload,
    signatures: verified.map(({ key, signature }) => ({ keyid: key.id, signature })),
  })

/**
 * The signatures that verify, one for each key, sorted by key id. One under a known key id that fails sinks the
 * envelope (BAD_SIGNATURE); others are tried with every key, and ignored when none fits. Throws UNKNOWN_KEY when
 * nothing is left: without a key id, a broken signature and a stranger's look the same.
 */
export function verifyEnvelope(envelope: Envelope, keys: KeyRing, verify: VerifySignature): VerifiedSignature[] {
  const message = pae(envelope.payloadType, envelope.payload)
  const verified = new Map<string, VerifiedSignature>()
  const keep = (key: PublicKey, signature: Uint8Array): void => {
    const before = verified.get(key.id)
    // Of two signatures of one key the lesser, whatever their order: else reordering would make another event.
    if (before === undefined || compare(signature, before.signature) < 0) verified.set(key.id, { key, signature })
  }
  const unhinted: Uint8Array[] = []
  for (const { keyid, signature } of envelope.signatures) {
    const key = keyid === '' ? undefined : keys.find(keyid)
    if (key === undefined) {
      unhinted.push(signature)
      continue
    }
    const canonical = canonicalSignature(key, signature)
    if (canonical === undefined || !verify(key, message, canonical)) {
      throw new TreelineError('BAD_SIGNATURE', `the signature under keyid ${JSON.stringify(keyid)} does not verify`)
    }
    keep(key, canonical)
  }
  let tries = Math.min(MAX_TRIES, Math.floor(MAX_TRIED_BYTES / message.length))
  for (const signature of unhinted) {
    for (const key of keys.all()) {
      // An impossible signature for the key's algorithm costs no try.
      const canonical = canonicalSignature(key, signature)
      if (canonical === undefined) continue
      if (--tries < 0) break
      if (verify(key, message, canonical)) {
        keep(key, canonical)
        break
      }
    }
  }
  if (verified.size > 0) return [...verified.values()].sort((a, b) => (a.key.id < b.key.id ? -1 : 1))
  throw new TreelineError(
    'UNKNOWN_KEY',
    tries < 0
      ? 'no signature has the keyid of a key of the policy, and there are too many to try: set keyid'
      : 'no key of the policy verifies a signature of the envelope',
  )
}
