import type { Head, ReadStore, StoredTile, WitnessedCheckpoint } from '../../store/store.ts'

/** Asks the thread that writes, which alone knows the digests of the newest entries. */
export type Find = (what: 'addendum' | 'leaf', hash: Uint8Array) => Promise<readonly number[]>

/** A log that another thread writes: read from the file, but for what only that thread has. */
export class RemoteStore implements ReadStore {
  readonly #file: ReadStore
  readonly #find: Find

  constructor(file: ReadStore, find: Find) {
    this.#file = file
    this.#find = find
  }

  get origin(): string {
    return this.#file.origin
  }

  get profile(): string {
    return this.#file.profile
  }

  get restored(): boolean {
    return this.#file.restored
  }

  get durability(): string {
    return this.#file.durability
  }

  head = (): Promise<Head> => this.#file.head()
  entries = (from: number, to: number): Promise<Uint8Array[]> => this.#file.entries(from, to)
  entry = (index: number): Promise<Uint8Array | undefined> => this.#file.entry(index)
  bundle = (index: number, width: number): Promise<Uint8Array> => this.#file.bundle(index, width)
  tile = (level: number, index: number): Promise<StoredTile | undefined> => this.#file.tile(level, index)
  addendum = (index: number): Promise<Uint8Array | undefined> => this.#file.addendum(index)
  policies = (): Promise<readonly number[]> => this.#file.policies()
  redactedBy = (index: number): Promise<number | undefined> => this.#file.redactedBy(index)
  checkpointCovering = (index: number): Promise<WitnessedCheckpoint | undefined> => this.#file.checkpointCovering(index)
  checkpointBefore = (index: number): Promise<WitnessedCheckpoint | undefined> => this.#file.checkpointBefore(index)
  findAddendum = (digest: Uint8Array): Promise<readonly number[]> => this.#find('addendum', digest)
  findLeaf = async (hash: Uint8Array): Promise<number | undefined> => (await this.#find('leaf', hash))[0]
}
