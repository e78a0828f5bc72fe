/** Two heads that one log signed: the same history, or two. */
import { equal } from '../src/core/bytes.ts'
import { parseCheckpoint, sizeOf } from '../src/core/checkpoint.ts'
import { TreelineError } from '../src/core/errors.ts'
import type { Fork } from '../src/core/fault.ts'
import {
  consistencyRanges,
  type Hash,
  inclusionRanges,
  leafHash,
  type Node,
  nodeHash,
  proveRanges,
  rootHash,
  verifyConsistency,
} from '../src/core/merkle.ts'
import { formatNote, type NoteVerifier, parseNote, verifyNote } from '../src/core/note.ts'
import type { LogReader } from './log-reader.ts'

export interface SignedHead {
  readonly size: number
  readonly root: Hash
  /** With the log's own verified lines and no others. */
  readonly note: string
}

/** A head as a note that the log signed. Throws UNVERIFIABLE for anything else: whoever answered may have made it up. */
export function readHead(bytes: Uint8Array, origin: string, verifiers: readonly NoteVerifier[]): SignedHead {
  try {
    const note = parseNote(bytes)
    const verified = verifyNote(note, verifiers)
    const checkpoint = parseCheckpoint(note.text)
    if (checkpoint.origin !== origin) throw new TreelineError('UNVERIFIABLE', `it is of ${checkpoint.origin}`)
    const signatures = note.signatures.filter(({ name, keyId }) =>
      verified.some(({ key }) => key.name === name && equal(key.keyId, keyId)),
    )
    return { size: sizeOf(checkpoint), root: checkpoint.root, note: formatNote({ text: note.text, signatures }) }
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    throw new TreelineError(
      'UNVERIFIABLE',
      `not a checkpoint that the log signed: ${error.message}`,
      {},
      { cause: error },
    )
  }
}

/** All leaves of a tree that a log serves, once they have given its root: proofs of every kind, without asking the log for any. */
export class RebuiltTree {
  readonly #leaves: readonly Hash[]

  private constructor(leaves: readonly Hash[]) {
    this.#leaves = leaves
  }

  /** Throws UNVERIFIABLE when the entries do not give the head's root. */
  static async of(reader: LogReader, head: SignedHead): Promise<RebuiltTree> {
    const leaves: Hash[] = []
    for await (const entry of reader.entries(0, head.size, head.size)) leaves.push(leafHash(entry))
    const tree = new RebuiltTree(leaves)
    if (!equal(tree.root(head.size), head.root))
      throw new TreelineError(
        'UNVERIFIABLE',
        `the entries that the log serves do not give its root at size ${head.size}`,
      )
    return tree
  }

  /** Hashes of complete subtrees, made when they are asked for. */
  readonly #read = ({ height, index }: Node): Hash => {
    if (height === 0) return this.#leaves[index]!
    const key = height * 2 ** 40 + index
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const below = (child: number) => this.#read({ height: height - 1, index: child })
    const hash = nodeHash(below(2 * index), below(2 * index + 1))
    this.#known.set(key, hash)
    return hash
  }
  readonly #known = new Map<number, Hash>()

  root = (size: number): Hash => rootHash(size, this.#read)
  inclusion = (index: number, size: number): Hash[] => proveRanges(inclusionRanges(index, size), this.#read)
  consistency = (from: number, to: number): Hash[] => proveRanges(consistencyRanges(from, to), this.#read)
}

/**
 * The fork that two heads are, or undefined when one is a prefix of the other. A proof of the log is believed as far as it verifies; without one
 * the larger tree is rebuilt from its entries. Throws UNVERIFIABLE when the log does not serve what it takes to tell.
 */
export async function compareHeads(
  reader: LogReader,
  a: SignedHead,
  b: SignedHead,
  keys: readonly string[],
): Promise<Fork | undefined> {
  const [small, large] = a.size <= b.size ? [a, b] : [b, a]
  const notes = [small.note, large.note] as const
  if (small.size === large.size) return equal(small.root, large.root) ? undefined : { kind: 'fork', keys, notes }
  const proof =
    small.size === 0 ? [] : await reader.consistency(BigInt(small.size), BigInt(large.size)).catch(() => undefined)
  if (proof && verifyConsistency(BigInt(small.size), BigInt(large.size), small.root, large.root, proof))
    return undefined
  const tree = await RebuiltTree.of(reader, large)
  const root = tree.root(small.size)
  if (equal(root, small.root)) return undefined
  return { kind: 'fork', keys, notes, prefix: { root, proof: tree.consistency(small.size, large.size) } }
}
