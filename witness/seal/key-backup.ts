/**
 * A backup of keys.db, encrypted under a passphrase. Bytes: the line `treeline.key-backup@v1` and a newline, 16 bytes of
 * salt, 12 of nonce, AES-256-GCM ciphertext, 16 of tag; the line is the associated data. The key is scrypt (RFC 7914) of the passphrase
 * with N = 2^17, r = 8, p = 1. The plaintext is JSON: {"generation", "confirmed", "origins": [origin],
 * "nodes": [[origin, depth, position, secret in base64]]}.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto'
import { concat, equal, fromBase64, fromUtf8, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { GgmNode } from './ggm.ts'

export interface KeyBackup {
  readonly generation: number
  readonly confirmed: number
  readonly origins: readonly string[]
  readonly nodes: readonly (GgmNode & { readonly origin: string })[]
}

const HEADER = toUtf8('treeline.key-backup@v1\n')
const SALT = 16
const NONCE = 12
const TAG = 16

/** 128 MiB of memory for each guess. */
const backupKey = (passphrase: Uint8Array, salt: Uint8Array): Buffer =>
  scryptSync(passphrase, salt, 32, { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 })

export function sealBackup({ nodes, ...rest }: KeyBackup, passphrase: Uint8Array): Uint8Array {
  const rows = nodes.map(({ origin, depth, position, secret }) => [origin, depth, position, toBase64(secret)])
  const salt = randomBytes(SALT)
  const nonce = randomBytes(NONCE)
  const cipher = createCipheriv('aes-256-gcm', backupKey(passphrase, salt), nonce)
  cipher.setAAD(HEADER)
  const text = cipher.update(toUtf8(JSON.stringify({ ...rest, nodes: rows })))
  return concat(HEADER, salt, nonce, text, cipher.final(), cipher.getAuthTag())
}

/** Throws MALFORMED_KEY when it is not a backup, or not under this passphrase, or any bit of it changed. */
export function openBackup(bytes: Uint8Array, passphrase: Uint8Array): KeyBackup {
  const body = HEADER.length + SALT + NONCE
  if (bytes.length < body + TAG || !equal(bytes.subarray(0, HEADER.length), HEADER)) {
    throw new TreelineError('MALFORMED_KEY', 'not a backup of sealing keys')
  }
  const salt = bytes.subarray(HEADER.length, HEADER.length + SALT)
  const nonce = bytes.subarray(HEADER.length + SALT, body)
  const decipher = createDecipheriv('aes-256-gcm', backupKey(passphrase, salt), nonce, { authTagLength: TAG })
  decipher.setAAD(HEADER)
  decipher.setAuthTag(bytes.subarray(-TAG))
  let plaintext: Uint8Array
  try {
    plaintext = concat(decipher.update(bytes.subarray(body, -TAG)), decipher.final())
  } catch (error) {
    throw new TreelineError('MALFORMED_KEY', 'another passphrase, or the backup is damaged', {}, { cause: error })
  }
  // Authentic from here on: whoever knows the passphrase wrote it with the function above.
  const { nodes, ...rest } = JSON.parse(fromUtf8(plaintext)!) as Omit<KeyBackup, 'nodes'> & {
    nodes: [string, number, number, string][]
  }
  return {
    ...rest,
    nodes: nodes.map(([origin, depth, position, secret]) => ({
      origin,
      depth,
      position,
      secret: fromBase64(secret)!,
    })),
  }
}
