/** What the clients of a `raw` log know of it, over all its crashes. */
import { equal, fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { leafHash, verifyConsistency } from '../../src/core/merkle.ts'
import { TILE_WIDTH } from '../../src/core/tile.ts'
import { Tree } from '../../src/core/tree.ts'
import { checkpointCovering, type Found, type Killed, type Memory, type Submission } from './crash.ts'
import { initRaw, tempFolder, treeSize } from './lane.ts'
import { type SeenCheckpoint, TileClient } from './tile-client.ts'

const NAME = 'crashed'

/** Checkpoints that each audit compares with the newest; consistency is transitive. */
const RECENT = 20

export class RawMemory implements Memory {
  readonly data = tempFolder()
  #vkey = ''
  #sent = 0
  /** By index. */
  readonly #acknowledged = new Map<number, string>()
  readonly #submitted = new Set<string>()
  readonly #seen: SeenCheckpoint[] = []

  async init(): Promise<void> {
    this.#vkey = await initRaw(this.data, NAME, 'lane.example/crashed')
  }

  get acknowledged(): number {
    return this.#acknowledged.size
  }

  get checkpoints(): number {
    return this.#seen.length
  }

  client(url: string): TileClient {
    return new TileClient(`${url}/${NAME}`, this.#vkey)
  }

  /** No two submissions are alike, so that an entry says which one it was. */
  next(): Submission {
    const text = `entry ${this.#sent++} ${'x'.repeat(this.#sent % 300)}`
    this.#submitted.add(text)
    return { path: `/${NAME}/add`, body: toUtf8(text) }
  }

  /** Returns what was wrong with the answers themselves. */
  remember({ answers, checkpoints }: Killed<Submission>): string[] {
    const wrong: string[] = []
    for (const { submission, status, body } of answers) {
      const index = Number(fromUtf8(body))
      if (status !== 200) wrong.push(`an answer of ${status}`)
      else if (this.#acknowledged.has(index)) wrong.push(`index ${index} was given twice`)
      else this.#acknowledged.set(index, fromUtf8(submission.body)!)
    }
    this.#seen.push(...checkpoints)
    return wrong
  }

  /** Reads the whole log as a stranger and returns every broken promise. */
  async audit(url: string): Promise<Found> {
    const lost: string[] = []
    const wrong: string[] = []
    const client = this.client(url)
    const now = await checkpointCovering(await treeSize(url), client)

    const entries = new Map<number, string>()
    let tree = Tree.empty
    for (let bundle = 0; bundle * TILE_WIDTH < now.size; bundle++) {
      const raw = await client.bundle(bundle, now.size).catch((error: Error) => {
        wrong.push(`bundle ${bundle}: ${error.message}`)
        return []
      })
      tree = tree.append(raw.map(leafHash)).tree
      raw.forEach((entry, i) => {
        entries.set(bundle * TILE_WIDTH + i, fromUtf8(entry) ?? '')
      })
    }
    for (const [index, text] of this.#acknowledged) {
      if (entries.get(index) !== text) lost.push(`index ${index} was acknowledged and is ${entries.get(index)}`)
    }
    const texts = new Set(entries.values())
    if (texts.size !== entries.size) wrong.push(`${entries.size - texts.size} entries are there twice`)
    for (const text of texts) if (!this.#submitted.has(text)) wrong.push(`nobody submitted ${text}`)
    if (!equal(tree.root, now.root)) wrong.push(`the entries do not give the root of the checkpoint of ${now.size}`)

    for (const { size, root } of this.#seen.slice(-RECENT)) {
      try {
        const proof = size <= now.size ? await client.consistency(size, now.size) : []
        if (!verifyConsistency(BigInt(size), BigInt(now.size), root, now.root, proof))
          wrong.push(`the checkpoint of ${size} is no prefix of that of ${now.size}`)
      } catch (error) {
        wrong.push(`no consistency proof from ${size}: ${error}`)
      }
    }
    this.#seen.push(now)
    return { lost, wrong }
  }
}
