/** Signed payloads for people. */
import { fromUtf8, toHex } from '../core/bytes.ts'
import { isObject } from '../core/payload.ts'

/** Indented, where it is JSON. */
export function prettyJson(payload: Uint8Array): string {
  const text = fromUtf8(payload) ?? toHex(payload)
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

/** What the payload calls its artifacts, by `alg:hex`: whatever in it has a digest and a name. */
export function artifactNames(payload: Uint8Array): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  try {
    collect(JSON.parse(fromUtf8(payload) ?? ''), names)
  } catch {
    // A payload without names.
  }
  return names
}

/** No deeper than the strict parser lets a payload be. */
function collect(value: unknown, names: Map<string, string>): void {
  if (Array.isArray(value)) for (const one of value) collect(one, names)
  if (!isObject(value)) return
  const name = value.name ?? value.uri
  if (typeof name === 'string' && isObject(value.digest))
    for (const [algorithm, digest] of Object.entries(value.digest))
      if (typeof digest === 'string') names.set(`${algorithm.toLowerCase()}:${digest.toLowerCase()}`, name)
  for (const one of Object.values(value)) collect(one, names)
}
