/** Verifier keys as C2SP signed-note spells them: `name+keyid+base64(type ‖ public key)`. */
import { concat, fromBase64, toBase64, toHex } from './bytes.ts'
import { isEd25519Key } from './ed25519.ts'
import { TreelineError } from './errors.ts'
import {
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  ED25519,
  isKeyName,
  type VerifierKey,
  verifierKey,
} from './note.ts'

const KEY_SIZES: Readonly<Record<number, number>> = {
  [ED25519]: 32,
  [COSIGNATURE_ED25519]: 32,
  [COSIGNATURE_ML_DSA_44]: 1312,
}

/** Throws MALFORMED_VKEY, also when the key id is not that of the key, and for points that verifiers could treat differently. */
export function parseVkey(vkey: string): VerifierKey {
  const fail = (why: string) => new TreelineError('MALFORMED_VKEY', `not a verifier key: ${why}`)
  // Base64 has plus signs of its own, so only the first two separate.
  const match = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey)
  const [, name = '', id = '', text = ''] = match ?? []
  const bytes = fromBase64(text)
  if (match === null || !isKeyName(name) || bytes === undefined || bytes.length < 2) throw fail('expected name+id+key')
  const [type] = bytes as unknown as [number]
  const key = verifierKey(name, type, bytes.slice(1))
  if (KEY_SIZES[type] === undefined) throw fail(`signature type ${type} is not supported`)
  if (key.publicKey.length !== KEY_SIZES[type])
    throw fail(`the key has ${key.publicKey.length} bytes, not ${KEY_SIZES[type]}`)
  if (type !== COSIGNATURE_ML_DSA_44 && !isEd25519Key(key.publicKey)) throw fail('not a safe Ed25519 point')
  if (toHex(key.keyId) !== id) throw fail(`its key id is ${toHex(key.keyId)}, not ${id}`)
  return key
}

export const formatVkey = ({ name, keyId, type, publicKey }: VerifierKey): string =>
  `${name}+${toHex(keyId)}+${toBase64(concat(Uint8Array.of(type), publicKey))}`
