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

type Place = Pick<GgmNode, 'depth' | 'position'>

const below = ({ depth, position }: Place, right: boolean): Place => ({
  depth: depth + 1,
  position: 2 * position + Number(right),
})

const child = (node: GgmNode, right: boolean): GgmNode => ({
  ...below(node, right),
  secret: hmacSha256(node.secret, right ? RIGHT : LEFT),
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

/** The leaves [from, to), undefined where punctured: some two derivations a leaf instead of forty. */
export function deriveLeaves(nodes: readonly GgmNode[], from: number, to: number): (Uint8Array | undefined)[] {
  checkIndex(from)
  checkIndex(to - 1)
  const leaves = new Array<Uint8Array | undefined>(to - from).fill(undefined)
  const walk = (node: GgmNode): void => {
    if (node.depth === DEPTH) leaves[node.position - from] = node.secret
    else for (const right of [false, true]) if (overlaps(below(node, right), from, to)) walk(child(node, right))
  }
  for (const node of nodes) if (overlaps(node, from, to)) walk(node)
  return leaves
}

/** Whether leaves of a subtree lie in [from, to). */
function overlaps({ depth, position }: Place, from: number, to: number): boolean {
  const width = 2 ** (DEPTH - depth)
  return position * width < to && (position + 1) * width > from
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
