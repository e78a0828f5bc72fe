/** What a log gives to readers, as values. Only shapes are checked here: whoever asks verifies. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fromHex, fromUtf8 } from '../core/bytes.ts'
import { type Checkpoint, parseCheckpoint } from '../core/checkpoint.ts'
import { TreelineError } from '../core/errors.ts'
import { HASH_SIZE, type Hash } from '../core/merkle.ts'
import { parseNote } from '../core/note.ts'
import { formatProof } from '../core/proof-file.ts'
import { bytesOf, hashesOf, indexOf, textOf, wrongAnswer } from './answer.ts'
import type { Transport } from './transport.ts'

/** Between the sizes of two checkpoints that the log signed. */
export async function fetchConsistency(transport: Transport, from: bigint, to: bigint): Promise<Hash[]> {
  const path = `v1/proofs/consistency?from=${from}&to=${to}`
  return hashesOf((await ofSigned(transport.json<{ hashes?: unknown }>(path))).hashes)
}

/** Under a checkpoint that the log signed and that covers the index. */
export async function fetchInclusion(
  transport: Transport,
  index: bigint,
  size: bigint,
): Promise<{ readonly leaf: Hash; readonly hashes: Hash[] }> {
  const path = `v1/proofs/inclusion?index=${index}&size=${size}`
  const answer = await ofSigned(transport.json<{ leafHash?: unknown; hashes?: unknown }>(path))
  const leaf = fromHex(textOf(answer.leafHash, 'leafHash'))
  if (leaf?.length !== HASH_SIZE) throw wrongAnswer('leafHash is not hex of a hash')
  return { leaf, hashes: hashesOf(answer.hashes) }
}

/** A log that does not know what it signed is wrong, whatever it says of the question. */
async function ofSigned<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    const unknown = error instanceof TreelineError && ['UNKNOWN_SIZE', 'UNKNOWN_INDEX'].includes(error.code)
    if (!unknown) throw error
    const { code, message } = wrongAnswer(`it does not know what it signed: ${error.message}`)
    throw new TreelineError(code, message, { forgotten: true }, { cause: error })
  }
}

/** The bytes of an entry. */
export async function fetchEntry(transport: Transport, index: number): Promise<Uint8Array> {
  return bytesOf((await transport.json<{ entry?: unknown }>(`v1/events/${index}`)).entry, 'entry')
}

/** Where the write policy in force stands. */
export async function fetchPolicyIndex(transport: Transport): Promise<number> {
  return indexOf((await transport.json<{ index?: unknown }>('v1/policy')).index, 'index')
}

/** A `.tlog-proof` of an entry under the published checkpoint. Throws UNKNOWN_INDEX, and NOT_YET_PUBLISHED when that does not cover it in time. */
export async function fetchProof(transport: Transport, index: number): Promise<Uint8Array> {
  const { note: checkpoint, size } = await coveringCheckpoint(transport, BigInt(index))
  const { hashes } = await fetchInclusion(transport, BigInt(index), size)
  return formatProof({ index: BigInt(index), hashes, checkpoint })
}

/** How often to look for a newer checkpoint, ms: most logs publish once a second. */
const LOOK = 250

async function coveringCheckpoint(transport: Transport, index: bigint): Promise<{ note: Uint8Array; size: bigint }> {
  const end = performance.now() + transport.patience
  for (let asked = false; ; ) {
    const note = await transport.get('checkpoint')
    const { size } = readCheckpoint(note)
    if (size > index) return { note, size }
    // An entry that the log does not have is not worth waiting for: UNKNOWN_INDEX.
    if (!asked) await transport.get(`v1/proofs/inclusion?index=${index}`)
    asked = true
    if (performance.now() + LOOK > end)
      throw new TreelineError(
        'NOT_YET_PUBLISHED',
        `the published checkpoint of size ${size} does not cover entry ${index}`,
      )
    await sleep(LOOK)
  }
}

/** The text of a note as a checkpoint; no signature is verified. Throws MALFORMED_NOTE, MALFORMED_CHECKPOINT. */
function readCheckpoint(note: Uint8Array): Checkpoint {
  if (fromUtf8(note) === undefined) throw wrongAnswer('the checkpoint is not UTF-8')
  return parseCheckpoint(parseNote(note).text)
}
