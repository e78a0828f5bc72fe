import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { hmacSha256 } from '#platform'
import { toUtf8 } from '../core/bytes.ts'
import { canonicalEnvelope, type Envelope, pae, parseEnvelope, verifyEnvelope } from '../core/dsse.ts'
import { TreelineError } from '../core/errors.ts'
import { formatPublicKeyPem, type PublicKey, parsePublicKey } from '../core/keys.ts'
import { canonicalSignature, verifySignature } from '../core/signature.ts'
import { syncFolder } from './durable-file.ts'
import { readSecretFile, writeNewFile } from './secret-file.ts'

export type Algorithm = 'ed25519' | 'p256'

/** A private key that signs envelopes. */
export class SigningKey {
  readonly publicKey: PublicKey
  readonly #key: KeyObject

  constructor(key: KeyObject) {
    this.#key = key
    this.publicKey = parsePublicKey(new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' })))
  }

  /** From PKCS#8 PEM. Throws USAGE for other keys, and for a file that others may read. */
  static load(file: string): SigningKey {
    const pem = readSecretFile(file)
    try {
      return new SigningKey(createPrivateKey(pem))
    } catch (error) {
      throw new TreelineError(
        'USAGE',
        `${file} is not the PKCS#8 PEM of an Ed25519 or P-256 private key`,
        {},
        { cause: error },
      )
    }
  }

  /** A secret of the same owner for another use: 32 bytes that say nothing of the key. */
  derive(use: string): Uint8Array {
    return hmacSha256(new Uint8Array(this.#key.export({ type: 'pkcs8', format: 'der' })), toUtf8(use))
  }

  /** Strict DER with low S for P-256, 64 bytes for Ed25519: what the log keeps. */
  sign(message: Uint8Array): Uint8Array {
    const signature = sign(this.publicKey.algorithm === 'p256' ? 'sha256' : null, message, this.#key)
    return canonicalSignature(this.publicKey, new Uint8Array(signature))!
  }
}

/** Makes NAME.key (PKCS#8 PEM, mode 0600) and NAME.pub, both or none. Throws USAGE when one is there. */
export function createKeyFiles(name: string, algorithm: Algorithm): PublicKey {
  const { privateKey } =
    algorithm === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { publicKey } = new SigningKey(privateKey)
  writeNewFile(`${name}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600)
  try {
    writeNewFile(`${name}.pub`, formatPublicKeyPem(publicKey), 0o644)
  } catch (error) {
    unlinkSync(`${name}.key`)
    throw error
  }
  syncFolder(dirname(name))
  return publicKey
}

/** An envelope in canonical form, signed by each key once. */
export function signEnvelope(payloadType: string, payload: Uint8Array, keys: readonly SigningKey[]): Uint8Array {
  const message = pae(payloadType, payload)
  const envelope: Envelope = { payloadType, payload, signatures: [] }
  const distinct = [...new Map(keys.map((key) => [key.publicKey.id, key])).values()]
  return canonicalEnvelope(
    envelope,
    distinct.map((key) => ({ key: key.publicKey, signature: key.sign(message) })),
  )
}

/**
 * Somebody else's envelope in canonical form: with the signatures of these keys and no others, so that a receipt for it can be
 * checked. Throws what `parseEnvelope` does, BAD_SIGNATURE and UNKNOWN_KEY.
 */
export function canonicalOf(envelope: Uint8Array, keys: readonly PublicKey[]): Uint8Array {
  const parsed = parseEnvelope(envelope)
  const ring = { find: (keyid: string) => keys.find(({ id }) => id === keyid), all: () => keys }
  return canonicalEnvelope(parsed, verifyEnvelope(parsed, ring, verifySignature))
}
