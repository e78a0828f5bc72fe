import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ed25519NoteSigner } from '../core/ed25519.ts'
import { TreelineError } from '../core/errors.ts'
import type { NoteSigner, VerifierKey } from '../core/note.ts'
import { parseVkey } from '../core/vkey.ts'
import { plain } from './plain.ts'
import { readSecretFile, writeSecretFile } from './secret-file.ts'

/** Makes the Ed25519 key of a new log, PKCS#8 PEM. */
export function createLogKey(file: string): void {
  const { privateKey } = generateKeyPairSync('ed25519')
  writeSecretFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }))
}

/** Signs notes as `origin` with the key in `file`. Throws USAGE when that is not an Ed25519 key for its owner alone. */
export function loadLogSigner(file: string, origin: string): NoteSigner {
  const pem = readSecretFile(file)
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (error) {
    throw new TreelineError('USAGE', `${file} is not a PKCS#8 PEM private key`, {}, { cause: error })
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new TreelineError('USAGE', `${file} is not an Ed25519 key`)
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' })
  return ed25519NoteSigner(origin, plain(Buffer.from(x, 'base64url')), (message) => plain(sign(null, message, key)))
}

/** What the notes of a log verify with. Throws USAGE when the file is not a verifier key of `origin`. */
export function loadLogVkey(file: string, origin: string): VerifierKey {
  try {
    const key = parseVkey(readFileSync(file, 'utf8').trimEnd())
    if (key.name === origin) return key
  } catch (error) {
    throw new TreelineError('USAGE', `${file} cannot be used: ${(error as Error).message}`, {}, { cause: error })
  }
  throw new TreelineError('USAGE', `${file} is not the verifier key of ${origin}`)
}
