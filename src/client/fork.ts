/** What a client does when a log contradicts itself: it proves it, and writes the proof down. */
import { join } from 'node:path'
import { equal, fromUtf8 } from '../core/bytes.ts'
import type { Checkpoint } from '../core/checkpoint.ts'
import { TreelineError } from '../core/errors.ts'
import { type Fork, formatFault } from '../core/fault.ts'
import { EMPTY_ROOT, type Hash, nodeHash, verifyConsistency, verifyInclusion } from '../core/merkle.ts'
import { writeDurably } from './durable-file.ts'
import { fetchConsistency, fetchInclusion } from './reads.ts'
import type { Transport } from './transport.ts'

/** A tree head whose signature was verified, and the note that carries it. */
export interface SignedHead {
  readonly note: Uint8Array
  readonly checkpoint: Checkpoint
}

/**
 * Throws INVALID_LOG, with evidence written into `folder`, when the log signed two trees of which neither contains the other, and
 * INVALID_PROOF when it only fails to prove that they are one: that may be a fault on the way. `old` is not the larger one; `keys` are
 * the verifier keys of the log.
 */
export async function requirePrefix(
  transport: Transport,
  old: SignedHead,
  head: SignedHead,
  { folder, keys }: { readonly folder: string; readonly keys: readonly string[] },
): Promise<void> {
  const { size: from, root, origin } = old.checkpoint
  const { size: to, root: newRoot } = head.checkpoint
  let prefix: Fork['prefix']
  if (from === to) {
    if (equal(root, newRoot)) return
  } else {
    const proof = await fetchConsistency(transport, from, to).catch((error: unknown) => {
      throw isForgotten(error) ? forgotten(from, to) : error
    })
    if (verifyConsistency(from, to, root, newRoot, proof)) return
    // A first tree of no leaves that has a root all the same needs no proof from anybody.
    if (from === 0n) prefix = { root: EMPTY_ROOT, proof: [] }
    else {
      const shown = await otherPrefix(transport, from, head.checkpoint)
      if (equal(shown, root)) return
      if (!verifyConsistency(from, to, shown, newRoot, proof)) throw notProved(from)
      prefix = { root: shown, proof }
    }
  }
  const name = `fault-${origin.replace(/[^a-z0-9.-]/gi, '_')}-${from}-${to}.txt`
  const file = join(folder, name)
  const notes = [fromUtf8(old.note)!, fromUtf8(head.note)!] as const
  await writeDurably(file, formatFault({ kind: 'fork', keys, notes, ...(prefix && { prefix }) }))
  throw new TreelineError(
    'INVALID_LOG',
    `the log contradicts itself: what it signed at size ${from} is no part of what it signed at ${to}. Keep ${file}, and show it to others: treeline verify proves it`,
    { file },
  )
}

/** A disk that was rolled back, or a copy of before: it cannot even prove that it once held less. */
const isForgotten = (error: unknown): boolean => error instanceof TreelineError && error.facts.forgotten === true
const forgotten = (from: bigint, to: bigint): TreelineError =>
  new TreelineError(
    'INVALID_PROOF',
    `the log shows an old head: it knows ${from} entries, and no longer what it signed at size ${to}. It was rolled back, or this is an old copy of it`,
  )

const notProved = (size: bigint): TreelineError =>
  new TreelineError(
    'INVALID_PROOF',
    `the log does not prove that the tree of size ${size} that it signed is a part of its tree: ask again, and if it stays so, tell others`,
  )

/** Root of what the tree of `head` has as its first `size` leaves, proved by the last one of them. */
async function otherPrefix(transport: Transport, size: bigint, head: Checkpoint): Promise<Hash> {
  const { leaf, hashes } = await fetchInclusion(transport, size - 1n, head.size)
  if (!verifyInclusion(size - 1n, head.size, leaf, hashes, head.root)) throw notProved(size)
  return prefixRoot(size - 1n, head.size, leaf, hashes)
}

/** Root of the leaves up to one with a valid inclusion proof: all that is before a leaf are its left siblings. */
function prefixRoot(index: bigint, size: bigint, leaf: Hash, proof: readonly Hash[]): Hash {
  let fn = index
  let sn = size - 1n
  let hash = leaf
  for (const sibling of proof) {
    if ((fn & 1n) === 1n || fn === sn) {
      hash = nodeHash(sibling, hash)
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n
        sn >>= 1n
      }
    }
    fn >>= 1n
    sn >>= 1n
  }
  return hash
}
