/** Logs that ask a witness for cosignatures, each growing by one entry at a time. */
import { generateKeyPairSync, sign } from 'node:crypto'
import { formatAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint } from '../../src/core/checkpoint.ts'
import { ed25519NoteSigner } from '../../src/core/ed25519.ts'
import { consistencyRanges, proveRanges, rootHash } from '../../src/core/merkle.ts'
import { type NoteSigner, signNote } from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { entryTree } from '../core/full-tree.ts'

/** A log that signs whatever it is told to. */
function makeSigner(origin: string): NoteSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'))
  return ed25519NoteSigner(origin, raw, (message) => new Uint8Array(sign(null, message, privateKey)))
}

export class GrowingLogs {
  readonly #signers: readonly NoteSigner[]
  /** All logs have the same entries: only who signs differs. */
  readonly #tree: ReturnType<typeof entryTree>

  constructor(logs: number, size: number) {
    this.#signers = Array.from({ length: logs }, (_, i) => makeSigner(`bench.example/log-${i}`))
    this.#tree = entryTree(size)
  }

  get vkeys(): string[] {
    return this.#signers.map(({ key }) => formatVkey(key))
  }

  /** Bodies of add-checkpoint: each log grows by one entry, all in turn, `steps` times from `from` on. */
  bodies(from: number, steps: number): string[] {
    const { read } = this.#tree
    const bodies: string[] = []
    for (let size = from + 1; size <= from + steps; size++) {
      const proof = proveRanges(consistencyRanges(size - 1, size), read)
      const root = rootHash(size, read)
      for (const signer of this.#signers) {
        const text = formatCheckpoint({ origin: signer.key.name, size: BigInt(size), root, extensions: [] })
        const note = toUtf8(signNote(text, [signer]))
        bodies.push(fromUtf8(formatAddCheckpoint({ old: BigInt(size - 1), proof, note }))!)
      }
    }
    return bodies
  }
}
