import { toUtf8 } from '../../src/core/bytes.ts'
import { type Hash, leafHash, type NodeReader, nodeHash } from '../../src/core/merkle.ts'

/** Reads any complete node of a tree that is held whole. */
export function readerOf(leaves: readonly Hash[]): NodeReader {
  const heights = [leaves]
  for (let below = leaves; below.length > 1; ) {
    const here: Hash[] = []
    for (let i = 0; i + 1 < below.length; i += 2) here.push(nodeHash(below[i]!, below[i + 1]!))
    heights.push(here)
    below = here
  }
  return ({ height, index }) => heights[height]![index]!
}

/** The tree that the vectors use: leaf i is "entry i". */
export function entryTree(size: number): { leaves: Hash[]; read: NodeReader } {
  const leaves = Array.from({ length: size }, (_, i) => leafHash(toUtf8(`entry ${i}`)))
  return { leaves, read: readerOf(leaves) }
}
