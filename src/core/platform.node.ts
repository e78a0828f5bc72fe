/**
 * The same primitives as platform.web.ts from Node's own code, 1.4 to 5 times faster. package.json
 * (`imports`, `#platform`) chooses one; a test holds the two against each other. The only file of the core that
 * imports from Node, and it stays arithmetic: no input, output, clock or randomness.
 */
import { hash } from 'node:crypto'

/** A Buffer's slice shares memory where a Uint8Array's copies, so no Buffer may enter the core. */
const plain = (bytes: Buffer): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export function sha256(bytes: Uint8Array): Uint8Array {
  // As a string of 32 characters: making a Buffer across the native boundary costs more than hashing a node.
  const text = hash('sha256', bytes, 'binary')
  const digest = new Uint8Array(32)
  for (let i = 0; i < 32; i++) digest[i] = text.charCodeAt(i)
  return digest
}

const BLOCK = 64

/** RFC 2104 by two one-shot hashes: an Hmac object of Node costs five times as much. */
export function hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const inner = Buffer.alloc(BLOCK + bytes.length, 0x36)
  const outer = Buffer.alloc(BLOCK + 32, 0x5c)
  const short = key.length > BLOCK ? sha256(key) : key
  for (let i = 0; i < short.length; i++) {
    inner[i]! ^= short[i]!
    outer[i]! ^= short[i]!
  }
  inner.set(bytes, BLOCK)
  outer.set(sha256(inner), BLOCK)
  return sha256(outer)
}

export const encodeBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')

export const decodeBase64 = (text: string): Uint8Array | undefined => plain(Buffer.from(text, 'base64'))
