/**
 * The puncturable pseudorandom function of Goldreich, Goldwasser and Micali (1986) over a binary tree of depth 40:
 * child b of a node is HMAC-SHA-256(node, b), leaf i is reached by the bits of i, highest first. Forgetting a leaf means to
 * keep, instead of the node above it, only the siblings along its path: they derive every other leaf and not this one.
 */
import { hmacSha256 } from '#platform'
import { TreelineError } from '../../src/core/errors.ts'

export const DEPTH = 40

/** The 32-byte secret of the subtree number `position` (from the left) among the 2^depth of its depth. The root is 0, 0. */
export interface GgmNode {
  readonly depth: number
  readonly position: number
  readonly secret: Uint8Array
}

export const rootNode = (seed: Uint8Array): GgmNode => ({ depth: 0, position: 0, secret: seed })

const LEFT = Uint8Array.of(0)
const RIGHT = Uint8Array.of(1)

// Division, not shifts: positions reach 2^40.
const above = (index: number, depth: number): number => Math.floor(index / 2 ** (DEPTH - depth))

const child = ({ depth, position, secret }: GgmNode, right: boolean): GgmNode => ({
  depth: depth + 1,
  position: 2 * position + Number(right),
  secret: hmacSha256(secret, right ? RIGHT : LEFT),
})

const covers = (node: GgmNode, index: number): boolean => above(index, node.depth) === node.position

function checkIndex(index: number): void {
  if (!Number.isSafeInteger(index) || index < 0 || index >= 2 ** DEPTH) {
    throw new RangeError(`leaf index: expected an integer from 0 to 2^${DEPTH} - 1, got ${index}`)
  }
}

/** The 32 bytes of a leaf. Throws REDACTED when it was punctured: no kept node covers it. */
export function deriveLeaf(nodes: readonly GgmNode[], index: number): Uint8Array {
  checkIndex(index)
  let node = nodes.find((one) => covers(one, index))
  if (node === undefined) throw new TreelineError('REDACTED', `the key of entry ${index} was destroyed`, { index })
  while (node.depth < DEPTH) node = child(node, above(index, node.depth + 1) % 2 === 1)
  return node.secret
}

/** What derives every leaf but this one: at most 40 siblings for the node that covered it. Undefined when none does. */
export function puncture(
  nodes: readonly GgmNode[],
  index: number,
): { readonly removed: GgmNode; readonly added: readonly GgmNode[] } | undefined {
  checkIndex(index)
  const removed = nodes.find((one) => covers(one, index))
  if (removed === undefined) return undefined
  const added: GgmNode[] = []
  let node = removed
  while (node.depth < DEPTH) {
    const right = above(index, node.depth + 1) % 2 === 1
    added.push(child(node, !right))
    node = child(node, right)
  }
  return { removed, added }
}
