/** JSON that says one thing in two ways: what a strict reader must refuse. */
import { fromUtf8, toUtf8 } from '../../../src/core/bytes.ts'
import type { Random } from './random.ts'

const MARK = '"\u{10ffff}mark"'

/** The document with one flaw that JSON.parse does not mind, or undefined where it has no room for it. */
export function poisonJson(bytes: Uint8Array, random: Random): Uint8Array | undefined {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(bytes) ?? '')
  } catch {
    return undefined
  }
  switch (random.below(4)) {
    case 0: {
      const objects = objectsIn(value).filter((one) => Object.keys(one).length > 0)
      if (objects.length === 0) return undefined
      const one = random.of(objects)
      const [name, member] = random.of(Object.entries(one))
      const saved = { ...one }
      for (const key of Object.keys(one)) delete one[key]
      // Written out by hand in its place: no object has a member twice.
      Object.assign(one, { [JSON.parse(MARK) as string]: 0 })
      const whole = JSON.stringify(value)
      const body = JSON.stringify(saved).slice(1, -1)
      const spelled = random.below(2) === 0 ? JSON.stringify(name) : escaped(name)
      return toUtf8(whole.replace(`${MARK}:0`, () => `${body},${spelled}:${JSON.stringify(member)}`))
    }
    case 1:
      return withSurrogate(value, random)
    case 2:
      return toUtf8(`${'['.repeat(65)}${JSON.stringify(value)}${']'.repeat(65)}`)
    default:
      return toUtf8(`\u{feff}${JSON.stringify(value)}`)
  }
}

function withSurrogate(value: unknown, random: Random): Uint8Array | undefined {
  const text = JSON.stringify(value)
  const ends = [...text.matchAll(/[^\\]"(?=[,}\]:])/g)]
  if (ends.length === 0) return undefined
  const at = random.of(ends).index + 1
  return toUtf8(`${text.slice(0, at)}\\u${random.of(['d800', 'DFFF', 'dc00', 'dbff'])}${text.slice(at)}`)
}

/** The same text, each character as an escape. */
const escaped = (text: string): string =>
  `"${Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`

function objectsIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null) return []
  const inside = Object.values(value).flatMap(objectsIn)
  return Array.isArray(value) ? inside : [value as Record<string, unknown>, ...inside]
}
