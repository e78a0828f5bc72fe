import { sha256 } from '@noble/hashes/sha2.js'
import { toHex } from '../core/bytes.ts'

/** Lowercase hex. In pieces: a model of many gigabytes does not fit in memory, and `crypto.subtle` takes no pieces. */
export async function digestFile(file: Blob, progress: (done: number) => void): Promise<string> {
  const hash = sha256.create()
  const reader = file.stream().getReader()
  let done = 0
  for (;;) {
    const piece = await reader.read()
    if (piece.done) return toHex(hash.digest())
    hash.update(piece.value)
    done += piece.value.length
    progress(done)
  }
}
