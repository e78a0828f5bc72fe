/** C2SP signed-note v1.0.0: a text, an empty line, and signature lines. */
import { sha256 } from '#platform'
import { concat, equal, fromBase64, fromUtf8, toBase64, toHex, toUtf8 } from './bytes.ts'
import { TreelineError } from './errors.ts'

/** Signature types of section 3.2 that this project reads. */
export const ED25519 = 0x01
export const COSIGNATURE_ED25519 = 0x04
export const COSIGNATURE_ML_DSA_44 = 0x06

/** Notes arrive from strangers: 16 signatures must pass, and ML-DSA lines are 3.3 kB each. */
export const MAX_NOTE_SIZE = 1_000_000
export const MAX_SIGNATURES = 100

export interface Signature {
  readonly name: string
  /** Four bytes that, with the name, say key and algorithm. */
  readonly keyId: Uint8Array
  /** What follows the key id in the blob. */
  readonly signature: Uint8Array
}

export interface Note {
  /** The signed text, which ends in a newline. */
  readonly text: string
  readonly signatures: readonly Signature[]
}

/** What a vkey says. */
export interface VerifierKey {
  readonly name: string
  readonly keyId: Uint8Array
  readonly type: number
  readonly publicKey: Uint8Array
}

/** A key, and how to check its signatures over a note's text. */
export interface NoteVerifier {
  readonly key: VerifierKey
  verify(text: string, signature: Uint8Array): boolean
}

export interface NoteSigner {
  readonly key: VerifierKey
  sign(text: string): Uint8Array
}

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_NOTE', `not a signed note: ${why}`)

// Unicode White_Space, written out: JavaScript's \s adds U+FEFF and lacks U+0085.
const SPACE_OR_PLUS = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]/
export const isKeyName = (name: string): boolean => name !== '' && !SPACE_OR_PLUS.test(name)

const SIGNATURE_PREFIX = '— '

/** `most`: bytes, for notes that only a known party writes. Throws MALFORMED_NOTE. Nothing that it returns is verified yet. */
export function parseNote(bytes: Uint8Array, most = MAX_NOTE_SIZE): Note {
  if (bytes.length > most) throw malformed(`more than ${most} bytes`)
  const message = fromUtf8(bytes)
  if (message === undefined) throw malformed('invalid UTF-8')
  if (/[\0-\x09\x0b-\x1f]/.test(message)) throw malformed('a control character other than newline')
  const end = message.lastIndexOf('\n\n')
  if (end < 0) throw malformed('no empty line before the signatures')
  const text = message.slice(0, end + 1)
  const block = message.slice(end + 2)
  if (!block.endsWith('\n')) throw malformed('no newline at the end')
  const lines = block.slice(0, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw malformed(`more than ${MAX_SIGNATURES} signatures`)
  const signatures = lines.map(parseSignatureLine)
  const seen = new Set<string>()
  for (const { name, keyId } of signatures) {
    const id = `${name}+${toHex(keyId)}`
    // Two lines of one key would let two verifiers judge different ones.
    if (seen.has(id)) throw malformed(`two signatures of ${id}`)
    seen.add(id)
  }
  return { text, signatures }
}

/** One line without its newline. Throws MALFORMED_NOTE. */
export function parseSignatureLine(line: string): Signature {
  if (!line.startsWith(SIGNATURE_PREFIX)) throw malformed('a signature line does not start with an em dash and a space')
  const [name = '', blob = '', ...rest] = line.slice(SIGNATURE_PREFIX.length).split(' ')
  if (rest.length > 0 || !isKeyName(name)) throw malformed('a signature line has no valid key name')
  const bytes = fromBase64(blob)
  if (bytes === undefined || bytes.length < 5) throw malformed('a signature is not base64 of a key id and a signature')
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) }
}

/** With its newline. */
export const formatSignatureLine = ({ name, keyId, signature }: Signature): string =>
  `${SIGNATURE_PREFIX}${name} ${toBase64(concat(keyId, signature))}\n`

export const formatNote = ({ text, signatures }: Note): string =>
  `${text}\n${signatures.map(formatSignatureLine).join('')}`

/** A note of `text` with one line of each signer, in their order. */
export const signNote = (text: string, signers: readonly NoteSigner[]): string =>
  formatNote({ text, signatures: signers.map((signer) => signLine(text, signer)) })

export const signLine = (text: string, signer: NoteSigner): Signature => ({
  name: signer.key.name,
  keyId: signer.key.keyId,
  signature: signer.sign(text),
})

/**
 * The verifiers whose signature the note carries. Lines of other keys are ignored; a line of a known key that
 * fails sinks the note, and so does having none. Throws UNVERIFIED_NOTE.
 */
export function verifyNote(note: Note, verifiers: readonly NoteVerifier[]): NoteVerifier[] {
  const verified: NoteVerifier[] = []
  for (const { name, keyId, signature } of note.signatures) {
    const verifier = verifiers.find(({ key }) => key.name === name && equal(key.keyId, keyId))
    if (verifier === undefined) continue
    if (!verifier.verify(note.text, signature)) {
      throw new TreelineError('UNVERIFIED_NOTE', `the signature of ${name}+${toHex(keyId)} does not verify`)
    }
    verified.push(verifier)
  }
  if (verified.length === 0) throw new TreelineError('UNVERIFIED_NOTE', 'no signature by a known key')
  return verified
}

/** First four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key), section 3.2. */
export const keyId = (name: string, type: number, publicKey: Uint8Array): Uint8Array =>
  sha256(concat(toUtf8(`${name}\n`), Uint8Array.of(type), publicKey)).slice(0, 4)

export const verifierKey = (name: string, type: number, publicKey: Uint8Array): VerifierKey => ({
  name,
  keyId: keyId(name, type, publicKey),
  type,
  publicKey,
})
