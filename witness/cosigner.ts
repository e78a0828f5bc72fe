/**
 * The witness's own keys: Ed25519 (type 0x04) always, ML-DSA-44 (type 0x06) where there is one beside it; and a plain Ed25519 key
 * (type 0x01) for snapshots.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toUtf8 } from '../src/core/bytes.ts'
import { cosignatureSigner } from '../src/core/cosignature.ts'
import { TreelineError } from '../src/core/errors.ts'
import {
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  type NoteSigner,
  ED25519 as PLAIN_ED25519,
  type Signature,
  signLine,
  type VerifierKey,
  verifierKey,
} from '../src/core/note.ts'
import { readSecretFile, writeNewFile } from './secret-file.ts'

interface Algorithm {
  readonly file: string
  readonly name: 'ed25519' | 'ml-dsa-44'
  readonly type: number
  /** Of the raw public key, with which a SubjectPublicKeyInfo of either ends. */
  readonly size: number
}

const ED25519: Algorithm = { file: 'witness.key', name: 'ed25519', type: COSIGNATURE_ED25519, size: 32 }
/** Not one that cosigns: what it signs are manifests of snapshots and reports about them, as plain notes. */
const SNAPSHOT: Algorithm = { file: 'snapshot.key', name: 'ed25519', type: PLAIN_ED25519, size: 32 }
const ML_DSA: Algorithm = { file: 'witness-ml-dsa.key', name: 'ml-dsa-44', type: COSIGNATURE_ML_DSA_44, size: 1312 }

interface CosigningKey {
  readonly key: VerifierKey
  readonly private: KeyObject
}

/** Signs what it is given: that it may be signed is for the caller to know. */
export class Cosigner {
  readonly #keys: readonly CosigningKey[]

  constructor(keys: readonly CosigningKey[]) {
    this.#keys = keys
  }

  get keys(): readonly VerifierKey[] {
    return this.#keys.map(({ key }) => key)
  }

  /** One line of each key over a checkpoint's text; with extension lines, which ML-DSA would not cover, of Ed25519 alone. */
  cosign(text: string, seconds: number, hasExtensions: boolean): Signature[] {
    // Zero would state that there is no time, and with it less than a witness states.
    if (!Number.isSafeInteger(seconds) || seconds <= 0) throw new RangeError(`${seconds} is no time of a cosignature`)
    return this.#keys
      .filter(({ key }) => !hasExtensions || key.type === COSIGNATURE_ED25519)
      .map((one) =>
        signLine(
          text,
          cosignatureSigner(
            one.key,
            (message) => plain(sign(null, message, one.private)),
            () => BigInt(seconds),
          ),
        ),
      )
  }
}

/** Whether there are keys already, also when only one is left. */
export const hasKeys = (data: string): boolean => [ED25519, ML_DSA].some(({ file }) => existsSync(join(data, file)))

/** Makes the key files, PKCS#8 PEM, mode 0600. A crash leaves some of them, which `hasKeys` reports. */
export function createKeys(data: string, withMlDsa: boolean): void {
  const pem = ({ privateKey }: { privateKey: KeyObject }) => privateKey.export({ type: 'pkcs8', format: 'pem' })
  writeNewFile(join(data, ED25519.file), pem(generateKeyPairSync('ed25519')))
  writeNewFile(join(data, SNAPSHOT.file), pem(generateKeyPairSync('ed25519')))
  if (withMlDsa) writeNewFile(join(data, ML_DSA.file), pem(generateKeyPairSync('ml-dsa-44')))
}

/** The keys of a data folder, under the witness's name. Throws USAGE when one is missing, of another kind, or readable by others. */
export function loadCosigner(data: string, name: string): Cosigner {
  const algorithms = existsSync(join(data, ML_DSA.file)) ? [ED25519, ML_DSA] : [ED25519]
  return new Cosigner(algorithms.map((algorithm) => loadKey(data, name, algorithm)))
}

/** What signs snapshots. Throws as `loadCosigner`. */
export function loadSnapshotSigner(data: string, name: string): NoteSigner {
  const { key, private: secret } = loadKey(data, name, SNAPSHOT)
  return { key, sign: (text) => plain(sign(null, toUtf8(text), secret)) }
}

function loadKey(data: string, name: string, algorithm: Algorithm): CosigningKey {
  const file = join(data, algorithm.file)
  const pem = readSecretFile(file)
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (error) {
    throw new TreelineError('USAGE', `${file} is not a PKCS#8 PEM private key`, {}, { cause: error })
  }
  if (key.asymmetricKeyType !== algorithm.name) {
    throw new TreelineError('USAGE', `${file} is not a key of ${algorithm.name}`)
  }
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  return { key: verifierKey(name, algorithm.type, new Uint8Array(spki.subarray(-algorithm.size))), private: key }
}

const plain = (bytes: Buffer): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
