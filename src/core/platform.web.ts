/** The two primitives that a runtime may do faster than JavaScript, here without help from the runtime's own modules. */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as noble } from '@noble/hashes/sha2.js'

/** SHA-256, FIPS 180-4. */
export const sha256 = (bytes: Uint8Array): Uint8Array => noble(bytes)

/** HMAC-SHA-256, RFC 2104. */
export const hmacSha256 = (key: Uint8Array, bytes: Uint8Array): Uint8Array => hmac(noble, key, bytes)

/** Standard alphabet, padded. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = ''
  // In slices: spreading a megabyte of arguments overflows the stack.
  for (let i = 0; i < bytes.length; i += 0x2000) text += String.fromCharCode(...bytes.subarray(i, i + 0x2000))
  return btoa(text)
}

/** Decodes leniently or returns undefined; `fromBase64` in bytes.ts is the strict one. */
export function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
  } catch {
    return undefined
  }
}
