/** The keys of a witness, and the cosignatures that it makes with them. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign as signRaw } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { formatCheckpoint } from '../src/core/checkpoint.ts'
import { cosignatureSigner } from '../src/core/cosignature.ts'
import { TreelineError } from '../src/core/errors.ts'
import {
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  formatNote,
  formatSignatureLine,
  type NoteSigner,
  signLine,
  type VerifierKey,
  verifierKey,
} from '../src/core/note.ts'
import type { Submission } from './decide.ts'
import { readSecretFile, writeSecretFile } from './secret-file.ts'

/** The files of the keys in a witness's folder; the second is an option. */
const FILES = { ed25519: 'witness.key', 'ml-dsa-44': 'witness-ml-dsa.key' } as const
type Algorithm = keyof typeof FILES

interface LoadedKey {
  readonly key: VerifierKey
  readonly object: KeyObject
}

/** What is stored and answered. */
export interface CosignedNote {
  /** The log's verified lines and ours: what everybody can read. */
  readonly note: string
  /** Ours alone: the answer. */
  readonly lines: string
}

export class Cosigner {
  readonly name: string
  readonly #keys: readonly LoadedKey[]

  private constructor(name: string, keys: readonly LoadedKey[]) {
    this.name = name
    this.#keys = keys
  }

  static has(folder: string): boolean {
    return Object.values(FILES).some((file) => existsSync(join(folder, file)))
  }

  /** Makes the keys, PKCS#8 PEM of mode 0600. Throws when there are some. */
  static create(folder: string, name: string, algorithms: readonly Algorithm[]): Cosigner {
    for (const algorithm of algorithms) {
      // The types of Node 24 lag behind it: ML-DSA is a key type like any other.
      const { privateKey } = generateKeyPairSync(algorithm as 'ed25519')
      writeSecretFile(join(folder, FILES[algorithm]), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    }
    return Cosigner.load(folder, name)
  }

  /** Throws USAGE when the Ed25519 key is missing, or a file is not such a key for its owner alone. */
  static load(folder: string, name: string): Cosigner {
    const algorithms = (Object.keys(FILES) as Algorithm[]).filter(
      (algorithm) => algorithm === 'ed25519' || existsSync(join(folder, FILES[algorithm])),
    )
    return new Cosigner(
      name,
      algorithms.map((algorithm) => loadKey(join(folder, FILES[algorithm]), name, algorithm)),
    )
  }

  get keys(): readonly VerifierKey[] {
    return this.#keys.map(({ key }) => key)
  }

  /** Over what was parsed, written again: never over the bytes that somebody sent. `time` in seconds since the Unix epoch. */
  cosign({ checkpoint, signatures }: Submission, time: bigint): CosignedNote {
    const text = formatCheckpoint(checkpoint)
    const ours = this.#keys
      // ML-DSA leaves extension lines out of what it signs, and a reader could believe the opposite.
      .filter(({ key }) => key.type === COSIGNATURE_ED25519 || checkpoint.extensions.length === 0)
      .map(({ key, object }) => signLine(text, signerOf(key, object, time)))
    return {
      note: formatNote({ text, signatures: [...signatures, ...ours] }),
      lines: ours.map(formatSignatureLine).join(''),
    }
  }
}

const signerOf = (key: VerifierKey, object: KeyObject, time: bigint): NoteSigner =>
  cosignatureSigner(
    key,
    (message) => new Uint8Array(signRaw(null, message, object)),
    () => time,
  )

function loadKey(file: string, name: string, algorithm: Algorithm): LoadedKey {
  const pem = readSecretFile(file)
  let object: KeyObject
  try {
    object = createPrivateKey(pem)
  } catch (error) {
    throw new TreelineError('USAGE', `${file} is not a PKCS#8 PEM private key`, {}, { cause: error })
  }
  if ((object.asymmetricKeyType as string) !== algorithm)
    throw new TreelineError('USAGE', `${file} is not a key of ${algorithm}`)
  const spki = createPublicKey(object).export({ format: 'der', type: 'spki' })
  const [type, size] = algorithm === 'ed25519' ? [COSIGNATURE_ED25519, 32] : [COSIGNATURE_ML_DSA_44, 1312]
  // A SubjectPublicKeyInfo of either ends in the bytes of the key.
  return { key: verifierKey(name, type, new Uint8Array(spki.subarray(-size))), object }
}
