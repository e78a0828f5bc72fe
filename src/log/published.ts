/** The head that was public last, as it stands beside the database, and how a database that went back in time shows. */
import { existsSync, readFileSync } from 'node:fs'
import { equal, toUtf8 } from '../core/bytes.ts'
import { parseCheckpoint, sizeOf } from '../core/checkpoint.ts'
import { ed25519NoteVerifier } from '../core/ed25519.ts'
import { TreelineError } from '../core/errors.ts'
import { parseNote, type VerifierKey, verifyNote } from '../core/note.ts'
import type { Tree } from '../core/tree.ts'
import { verifyCheckpoint, type WitnessPolicy } from '../core/witness-policy.ts'
import type { Prover } from './prover.ts'
import type { PublishedHead } from './published-heads.ts'

interface Published extends PublishedHead {
  readonly root: Uint8Array
}

/** Undefined when there is none. Throws USAGE when the file is not a checkpoint of this log. */
export function readPublished(
  file: string,
  key: VerifierKey,
  witnesses: WitnessPolicy | undefined,
): Published | undefined {
  if (!existsSync(file)) return undefined
  const note = readFileSync(file, 'utf8')
  try {
    const parsed = parseNote(toUtf8(note))
    verifyNote(parsed, [ed25519NoteVerifier(key)])
    const checkpoint = parseCheckpoint(parsed.text)
    return { note, size: sizeOf(checkpoint), root: checkpoint.root, witnessed: isWitnessed(note, witnesses) }
  } catch (error) {
    throw new TreelineError(
      'USAGE',
      `${file} is not a checkpoint that this log signed: restore it from a backup`,
      {},
      { cause: error },
    )
  }
}

function isWitnessed(note: string, witnesses: WitnessPolicy | undefined): boolean {
  if (witnesses === undefined) return false
  try {
    verifyCheckpoint(toUtf8(note), witnesses)
    return true
  } catch (error) {
    if (error instanceof TreelineError) return false
    throw error
  }
}

/** A head with this log's signature that its tree does not extend means a disk that went back in time. */
export async function rolledBack(
  what: string,
  { size, root }: Pick<Published, 'size' | 'root'>,
  tree: Tree,
  prover: Prover,
): Promise<TreelineError | undefined> {
  if (size <= tree.size && equal(await prover.root(tree, size), root)) return undefined
  return new TreelineError(
    'FROZEN',
    `${what} (size ${size}) is not a part of this log (size ${tree.size}): the disk was rolled back, and the log only answers reads`,
  )
}
