/**
 * Events that the log has not taken yet: one file each, named so that sorting by name is the order of submission. A file is removed
 * only after its receipt is verified and kept, so a crash at any point submits again at worst, and the log knows an event that it has.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { sha256 } from '#platform'
import { toHex } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { syncFolder, writeDurably } from './durable-file.ts'

const NAME = /^([0-9]{20})-[0-9a-f]{64}\.json$/

export class Spool {
  readonly folder: string
  readonly rejected: string

  constructor(state: string) {
    this.folder = join(state, 'spool')
    this.rejected = join(state, 'rejected')
  }

  /** Names of the waiting events, oldest first. */
  list(): string[] {
    return existsSync(this.folder)
      ? readdirSync(this.folder)
          .filter((name) => NAME.test(name))
          .sort()
      : []
  }

  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(join(this.folder, name)))
  }

  /** Keeps an envelope; durable when it resolves, to its path. */
  async add(envelope: Uint8Array): Promise<string> {
    const newest = this.list().at(-1)
    const last = newest === undefined ? 0n : BigInt(NAME.exec(newest)![1]!)
    const now = BigInt(Date.now()) * 1000n
    const sequence = now > last ? now : last + 1n
    const file = join(this.folder, `${String(sequence).padStart(20, '0')}-${toHex(sha256(envelope))}.json`)
    await writeDurably(file, envelope)
    return file
  }

  async remove(name: string): Promise<void> {
    await unlink(join(this.folder, name))
    await syncFolder(this.folder)
  }

  /** Moves an event that the log refused for good, with the reason beside it. */
  async reject(name: string, reason: TreelineError): Promise<string> {
    const { code, message: detail, facts } = reason
    await writeDurably(
      join(this.rejected, name.replace(/json$/, 'problem.json')),
      `${JSON.stringify({ code, detail, ...facts }, null, 2)}\n`,
    )
    const file = join(this.rejected, name)
    await rename(join(this.folder, name), file)
    await syncFolder(this.rejected)
    await syncFolder(this.folder)
    return file
  }

  /** Runs one drainer at a time over all processes; the kernel frees the lock of a dead one. Throws LOCKED. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 })
    const lock = new Database(join(this.folder, 'lock'), { timeout: 0 })
    try {
      try {
        lock.exec('BEGIN EXCLUSIVE')
      } catch (error) {
        if (!(error as { code?: string }).code?.startsWith('SQLITE_BUSY')) throw error
        throw new TreelineError('LOCKED', `another process drains ${this.folder}: it will send what is there`)
      }
      return await work()
    } finally {
      lock.close()
    }
  }
}
