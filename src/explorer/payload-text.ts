/** Signed payloads for people. */
import { fromUtf8, toHex } from '../core/bytes.ts'

/** Indented, where it is JSON. */
export function prettyJson(payload: Uint8Array): string {
  const text = fromUtf8(payload) ?? toHex(payload)
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}
