/** A log without a server that can sign two histories: what a witness is there to notice. */
import { formatAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint } from '../../src/core/checkpoint.ts'
import { ed25519NoteSigner } from '../../src/core/ed25519.ts'
import { consistencyRanges, type Hash, leafHash, nodeHash, proveRanges, rootHash } from '../../src/core/merkle.ts'
import { signNote } from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { ed25519Signer } from '../core/signers.ts'

export class TwoFacedLog {
  readonly origin: string
  readonly vkey: string
  readonly #seed: number
  readonly #signer
  /** Hashes by height; those of one height are complete as far as the leaves go. */
  #heights: Hash[][] = [[]]

  constructor(origin: string, seed = 9) {
    this.origin = origin
    this.#seed = seed
    const { key, sign } = ed25519Signer(seed)
    this.#signer = ed25519NoteSigner(origin, key.raw, sign)
    this.vkey = formatVkey(this.#signer.key)
  }

  get size(): number {
    return this.#heights[0]!.length
  }

  append(entry: string): void {
    let hash = leafHash(toUtf8(entry))
    let index = this.size
    for (let height = 0; ; height++) {
      this.#heights[height] ??= []
      const hashes = this.#heights[height]!
      hashes.push(hash)
      if (index % 2 === 0) return
      hash = nodeHash(hashes[index - 1]!, hash)
      index = (index - 1) / 2
    }
  }

  /** The same entries and the same key; what is appended to one is not in the other. */
  fork(): TwoFacedLog {
    const other = new TwoFacedLog(this.origin, this.#seed)
    other.#heights = this.#heights.map((hashes) => [...hashes])
    return other
  }

  root(size = this.size): Hash {
    return rootHash(size, ({ height, index }) => this.#heights[height]![index]!)
  }

  note(size = this.size): string {
    const text = formatCheckpoint({ origin: this.origin, size: BigInt(size), root: this.root(size), extensions: [] })
    return signNote(text, [this.#signer])
  }

  /** Whether `proof` would hold is for the witness to say: `from` may be any size of this log. */
  request(from: number, size = this.size): Uint8Array {
    const proof = proveRanges(consistencyRanges(from, size), ({ height, index }) => this.#heights[height]![index]!)
    return formatAddCheckpoint({ old: BigInt(from), proof, note: toUtf8(this.note(size)) })
  }
}
