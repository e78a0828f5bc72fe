import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { canonicalEnvelope, type Envelope, pae } from '../core/dsse.ts'
import { TreelineError } from '../core/errors.ts'
import { formatPublicKeyPem, type PublicKey, parsePublicKey } from '../core/keys.ts'
import { canonicalSignature } from '../core/signature.ts'

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
    const pem = readPrivate(file)
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

  /** Strict DER with low S for P-256, 64 bytes for Ed25519: what the log keeps. */
  sign(message: Uint8Array): Uint8Array {
    const signature = sign(this.publicKey.algorithm === 'p256' ? 'sha256' : null, message, this.#key)
    return canonicalSignature(this.publicKey, new Uint8Array(signature))!
  }
}

/** Makes NAME.key (PKCS#8 PEM, mode 0600) and NAME.pub. Throws USAGE when one is there. */
export function createKeyFiles(name: string, algorithm: Algorithm): PublicKey {
  const { privateKey } =
    algorithm === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { publicKey } = new SigningKey(privateKey)
  try {
    writeFileSync(`${name}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' })
    writeFileSync(`${name}.pub`, formatPublicKeyPem(publicKey), { flag: 'wx' })
  } catch (error) {
    throw new TreelineError(
      'USAGE',
      `the key ${name} cannot be written: ${(error as Error).message}`,
      {},
      { cause: error },
    )
  }
  return publicKey
}

/** An envelope in canonical form, signed by each key once. */
export function signEnvelope(payloadType: string, payload: Uint8Array, keys: readonly SigningKey[]): Uint8Array {
  const message = pae(payloadType, payload)
  const envelope: Envelope = { payloadType, payload, signatures: [] }
  return canonicalEnvelope(
    envelope,
    keys.map((key) => ({ key: key.publicKey, signature: key.sign(message) })),
  )
}

function readPrivate(file: string): Buffer {
  let handle: number
  try {
    handle = openSync(file, constants.O_RDONLY)
  } catch (error) {
    throw new TreelineError(
      'USAGE',
      `the key file ${file} cannot be read: ${(error as Error).message}`,
      {},
      { cause: error },
    )
  }
  try {
    const mode = fstatSync(handle).mode & 0o777
    if ((mode & 0o077) !== 0)
      throw new TreelineError(
        'USAGE',
        `the key file ${file} is open to others (mode ${mode.toString(8)}): chmod 600 it`,
      )
    return readFileSync(handle)
  } finally {
    closeSync(handle)
  }
}
