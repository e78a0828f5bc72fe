/** Key 6 of an event's entry: what it produced, consumed and examined, by digest. */
import { fromHex, toHex } from './bytes.ts'
import type { Digest } from './payload.ts'

export const PRODUCED = 1
export const CONSUMED = 2
export const EXAMINED = 3
export type Role = typeof PRODUCED | typeof CONSUMED | typeof EXAMINED

/** As documents for people and programs call them. */
export const ROLE_NAMES = { [PRODUCED]: 'produced', [CONSUMED]: 'consumed', [EXAMINED]: 'examined' } as const

export interface Artifact {
  readonly role: Role
  /** Name from the in-toto DigestSet: `sha256`, `gitCommit`, … */
  readonly algorithm: string
  readonly digest: Uint8Array
}

/** An artifact in documents of the API and of the client: its role by name, its digest in lowercase hex. */
export const artifactDocument = ({ role, algorithm, digest }: Artifact) => ({
  role: ROLE_NAMES[role],
  algorithm,
  digest: toHex(digest),
})

/** The most that an entry shows; the others stand only in the addendum. */
export const MAX_ARTIFACTS = 64

// Together they keep 64 artifacts far below the 65,535 bytes of an entry: no list of digests makes an event too large.
const ALGORITHM = /^[!-~]{1,64}$/
const HEX = /^[0-9a-fA-F]+$/
const MAX_HEX = 128

/**
 * Whether the digest can stand in an entry. What is not hex cannot, such as `h1:` hashes of Go modules in base64: it
 * counts as an artifact that stands only in the addendum, so that no legitimate statement is refused for it.
 */
export const isDigest = ({ algorithm, value }: Digest): boolean =>
  ALGORITHM.test(algorithm) && value.length % 2 === 0 && value.length <= MAX_HEX && HEX.test(value)

/**
 * Orders like the deterministic CBOR of [role, algorithm, digest], and is equal for equal artifacts: CBOR puts the
 * length before the bytes, and lengths up to 64 grow with their encoding. Thousands are sorted, so as text.
 */
const sortKey = (role: Role, { algorithm, value }: Digest): string =>
  `${role}${String.fromCharCode(algorithm.length)}${algorithm}${String.fromCharCode(value.length)}${value.toLowerCase()}`

/** Of `[role, digests]` pairs: the distinct artifacts, sorted by encoding, the first of them, and how many are left out. */
export function collectArtifacts(
  lists: readonly (readonly [Role, readonly Digest[]])[],
  most = MAX_ARTIFACTS,
): {
  artifacts: Artifact[]
  hidden: number
} {
  const found = new Map<string, { role: Role; digest: Digest }>()
  const unfit = new Set<string>()
  for (const [role, digests] of lists) {
    for (const digest of digests) {
      if (isDigest(digest)) found.set(sortKey(role, digest), { role, digest })
      else unfit.add(JSON.stringify([role, digest.algorithm, digest.value]))
    }
  }
  const shown = [...found.keys()].sort().slice(0, most)
  const artifacts = shown.map((key): Artifact => {
    const { role, digest } = found.get(key)!
    return { role, algorithm: digest.algorithm, digest: fromHex(digest.value.toLowerCase())! }
  })
  return { artifacts, hidden: found.size - artifacts.length + unfit.size }
}
