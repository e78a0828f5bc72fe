/** What a checkpoint says of the log that another one is to go on from. */
import { parseCheckpoint, sizeOf } from './checkpoint.ts'
import { TreelineError } from './errors.ts'
import { parseNote } from './note.ts'
import type { Predecessor } from './write-policy.ts'

/**
 * Takes a signed note. It must have a line of the log itself, which is verified by whoever has its key. Throws MALFORMED_NOTE, MALFORMED_CHECKPOINT,
 * UNVERIFIED_NOTE.
 */
export function predecessorOf(file: Uint8Array): Predecessor {
  const { text, signatures } = parseNote(file)
  const checkpoint = parseCheckpoint(text)
  const { origin, root } = checkpoint
  const size = sizeOf(checkpoint)
  if (size === 0) throw new TreelineError('MALFORMED_CHECKPOINT', `${origin} is empty: there is nothing to go on from`)
  if (!signatures.some(({ name }) => name === origin))
    throw new TreelineError('UNVERIFIED_NOTE', `the checkpoint has no signature of ${origin} itself`)
  return { origin, size, root }
}
