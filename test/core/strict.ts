/** What every parser of the core must hold for bytes that somebody else chose. */
import fc from 'fast-check'
import { equal } from '../../src/core/bytes.ts'
import { type Code, TreelineError } from '../../src/core/errors.ts'

/** A seed after up to three changes: a bit flipped, a byte put in or taken out, the tail cut off or repeated. */
const mutations = (seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(4), fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
    )
    .map(([seed, changes]) => {
      let bytes = [...seed]
      for (const [kind, where, value] of changes) {
        const at = bytes.length === 0 ? 0 : where % bytes.length
        if (kind === 0 && bytes.length > 0) bytes[at] = bytes[at]! ^ (1 << (value % 8))
        else if (kind === 1) bytes.splice(at, 0, value)
        else if (kind === 2) bytes.splice(at, 1)
        else if (kind === 3) bytes = bytes.slice(0, at)
        else bytes = [...bytes, ...bytes.slice(at)]
      }
      return Uint8Array.from(bytes)
    })

/** Throws unless the parser refuses bytes with its code alone, or gives what formats back to exactly these bytes. */
export function assertStrict<T>(
  seeds: readonly Uint8Array[],
  parse: (bytes: Uint8Array) => T,
  format: (value: T) => Uint8Array,
  code: Code,
): void {
  const law = (bytes: Uint8Array): boolean => {
    let value: T
    try {
      value = parse(bytes)
    } catch (error) {
      if (error instanceof TreelineError && error.code === code) return true
      throw error
    }
    return equal(format(value), bytes)
  }
  fc.assert(fc.property(mutations(seeds), law), { numRuns: 2000 })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), law), { numRuns: 500 })
}
