/** A log that is served by HTTP, for a verified scan. */
import { addendumPath } from '../core/addenda.ts'
import { TreelineError } from '../core/errors.ts'
import type { Hash } from '../core/merkle.ts'
import { formatTilePath, TILE_WIDTH } from '../core/tile.ts'
import type { ScanSource } from './scan.ts'
import type { Transport } from './transport.ts'

export class HttpSource implements ScanSource {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  checkpoint(): Promise<Uint8Array> {
    return this.#transport.get('checkpoint')
  }

  bundle(index: number, width: number): Promise<Uint8Array> {
    return this.#tile('entries', index, width)
  }

  tile(level: 0 | 1, index: number, width: number): Promise<Uint8Array> {
    return this.#tile(level, index, width)
  }

  /** Throws FORBIDDEN or UNAUTHENTICATED where the token does not open payloads. */
  addendum(digest: Hash): Promise<Uint8Array | undefined> {
    return this.#find(addendumPath(digest))
  }

  async #tile(level: 0 | 1 | 'entries', index: number, width: number): Promise<Uint8Array> {
    const path = formatTilePath({ level, index, width })
    const bytes = await this.#find(path)
    if (bytes !== undefined) return bytes
    // A partial tile may be gone once the full one is there.
    const full = width < TILE_WIDTH ? await this.#find(formatTilePath({ level, index, width: TILE_WIDTH })) : undefined
    if (full !== undefined) return full
    throw new TreelineError('UNVERIFIABLE', `the log does not give ${path} of the tree that it signed`)
  }

  async #find(path: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#transport.plain(path)
    } catch (error) {
      if (error instanceof TreelineError && (error.code === 'NOT_FOUND' || error.code === 'REDACTED')) return undefined
      throw error
    }
  }
}
