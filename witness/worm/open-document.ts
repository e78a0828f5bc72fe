import { addendumHash } from '../../src/core/addendum.ts'
import { equal } from '../../src/core/bytes.ts'
import { decodeEntry } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { open } from '../seal/seal.ts'
import { ABSENT, CLEAR, type DocumentFrame } from './frames.ts'

export interface DocumentContext {
  readonly origin: string
  readonly index: number
  /** The GGM leaf of the index; undefined where it was destroyed, or nobody has it. */
  readonly leaf: Uint8Array | undefined
}

/**
 * The document of an entry as a copy has it; undefined where there is none, or its key is not here. Throws BAD_SIGNATURE for what the key does not
 * open, WORM_BROKEN for what is not the document that the entry names.
 */
export function openDocument(
  { kind, bytes }: DocumentFrame,
  entry: Uint8Array,
  { origin, index, leaf }: DocumentContext,
): Uint8Array | undefined {
  if (kind === ABSENT || (kind !== CLEAR && leaf === undefined)) return undefined
  const { addendum: digest } = decodeEntry(entry)
  const document =
    leaf === undefined || kind === CLEAR
      ? bytes
      : open(bytes, { leaf, origin, index, digest, leafHash: leafHash(entry) })
  if (equal(addendumHash(document), digest)) return document
  throw new TreelineError(
    'WORM_BROKEN',
    `the document of entry ${index} in the copy is not the one that the entry names`,
  )
}
