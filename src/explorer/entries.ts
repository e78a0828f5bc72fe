/** Entries that the server sent, held against the tree. */
import { fromBase64 } from '../core/bytes.ts'
import { decodeEntry, type Entry } from '../core/entry.ts'
import { type Hash, leafHash, verifyInclusion } from '../core/merkle.ts'
import { ApiError } from './api.ts'
import type { Head } from './head.ts'
import { messageOf, type State, verdictOf } from './verdict.ts'

export interface CheckedEntry {
  readonly index: number
  readonly state: State
  /** Why it is not verified. */
  readonly why: string
  readonly bytes?: Uint8Array
  readonly entry?: Entry
  readonly leaf?: Hash
  readonly proof?: readonly Hash[]
}

interface Sent {
  readonly index: number
  readonly entry: string
}

/** A head to hold entries against: the published one, or the tree of a smaller size that is proved to be its beginning. */
export interface Tree {
  readonly size: number
  readonly root: Hash
}

/** In the order of `sent`. Throws ApiError when the tiles cannot be read. */
export const checkEntries = (head: Head, sent: readonly Sent[], tree?: Tree): Promise<CheckedEntry[]> =>
  checkBytes(
    head,
    sent.map(({ index, entry }) => ({ index, bytes: typeof entry === 'string' ? fromBase64(entry) : undefined })),
    decodeEntry,
    tree,
  )

interface SentBytes {
  readonly index: number
  readonly bytes: Uint8Array | undefined
}

/** The same, of bytes; `decode` throws for what is no entry, and gives nothing where bytes have no meaning. */
export async function checkBytes(
  head: Head,
  sent: readonly SentBytes[],
  decode: (bytes: Uint8Array) => Entry | undefined,
  tree: Tree = publishedTree(head),
): Promise<CheckedEntry[]> {
  const covered = sent.filter(({ index }) => Number.isSafeInteger(index) && index >= 0 && index < tree.size)
  const proofs = await head.tiles.inclusion(
    covered.map(({ index }) => index),
    tree.size,
  )
  const headState = verdictOf(head.steps)
  return sent.map((one) => judge(one, decode, proofs[covered.indexOf(one)], tree, headState))
}

const publishedTree = ({ size, checkpoint }: Head): Tree => ({ size, root: checkpoint.root })

function judge(
  { index, bytes }: SentBytes,
  decode: (bytes: Uint8Array) => Entry | undefined,
  proof: readonly Hash[] | undefined,
  tree: Tree,
  headState: State,
): CheckedEntry {
  if (bytes === undefined) return { index, state: 'failed', why: 'The server sent no bytes of this entry.' }
  let entry: Entry | undefined
  try {
    entry = decode(bytes)
  } catch (error) {
    return { index, state: 'failed', why: messageOf(error), bytes }
  }
  const leaf = leafHash(bytes)
  const known = { index, bytes, leaf, ...(entry && { entry }) }
  if (proof === undefined) return { ...known, state: 'unverified', why: `No published head covers it yet.` }
  if (!verifyInclusion(BigInt(index), BigInt(tree.size), leaf, proof, tree.root)) {
    const why = `These bytes are not entry ${index} of the tree: the server altered them, or put them in another place.`
    return { ...known, proof, state: 'failed', why }
  }
  const why =
    headState === 'verified' ? '' : 'It is in the tree of the published head; about that head itself, see the log.'
  return { ...known, proof, state: headState === 'verified' ? 'verified' : headState, why }
}

/** Answers must be lists where a list is promised. Throws ApiError. */
export function listOf<T>(value: readonly T[] | undefined, name: string): readonly T[] {
  if (!Array.isArray(value)) throw new ApiError(0, 'WRONG_ANSWER', `The answer has no ${name}.`)
  return value as readonly T[]
}
