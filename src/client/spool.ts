/**
 * Events that the log has not taken yet: one file each, named so that sorting by name is the order of submission. A file is removed
 * only after its receipt is verified and kept, so a crash at any point submits again at worst, and the log knows an event that it has.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { sha256 } from '#platform'
import { toHex } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { makeFolder, syncFolder, writeDurably } from './durable-file.ts'

/** `.batch`: the body of a signed batch. */
const NAME = /^([0-9]{20})-[0-9a-f]{64}\.(?:json|batch)$/

export class Spool {
  readonly folder: string
  readonly rejected: string
  readonly #lock: string
  #last = 0n
  #adding: Promise<unknown> = Promise.resolve()

  /** `folder` is that of one log: another one would refuse these events for good. */
  constructor(folder: string) {
    this.folder = join(folder, 'spool')
    this.rejected = join(folder, 'rejected')
    this.#lock = join(folder, 'lock')
  }

  /** Names of the waiting events, oldest first. */
  list(): string[] {
    return existsSync(this.folder)
      ? readdirSync(this.folder)
          .filter((name) => NAME.test(name))
          .sort()
      : []
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(this.path(name)))
  }

  /** Keeps an envelope or the body of a batch; durable when it resolves, to its path. Calls keep their order, also of a process that does not wait. */
  add(bytes: Uint8Array, kind: 'json' | 'batch' = 'json'): Promise<string> {
    const added = this.#adding.then(async () => {
      const file = this.path(`${this.#next()}-${toHex(sha256(bytes))}.${kind}`)
      await writeDurably(file, bytes)
      return file
    })
    this.#adding = added.catch(() => {})
    return added
  }

  /** Microseconds since the Unix epoch, but past all that is there: a clock that was set back must not reorder events. */
  #next(): string {
    const newest = NAME.exec(this.list().at(-1) ?? '')?.[1] ?? '0'
    const candidates = [BigInt(Date.now()) * 1000n, BigInt(newest) + 1n, this.#last + 1n]
    this.#last = candidates.reduce((a, b) => (a > b ? a : b))
    return String(this.#last).padStart(20, '0')
  }

  async remove(name: string): Promise<void> {
    await unlink(this.path(name))
    // Dies before: the event is sent again, and the log answers with the entry that it has.
    syncFolder(this.folder)
  }

  /** Moves an event that the log refused for good, with the reason beside it. */
  async reject(name: string, { code, message: detail, facts }: TreelineError): Promise<string> {
    const problem = `${JSON.stringify({ ...facts, code, detail }, null, 2)}\n`
    await writeDurably(join(this.rejected, name.replace(/(json|batch)$/, 'problem.json')), problem)
    const file = join(this.rejected, name)
    await rename(this.path(name), file)
    // Dies before: a reason without its event, which is refused again.
    syncFolder(this.rejected)
    syncFolder(this.folder)
    return file
  }

  /** Runs one drainer at a time over all processes; the kernel frees the lock of a dead one. Throws LOCKED. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    makeFolder(this.folder)
    const lock = new Database(this.#lock, { timeout: 0 })
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
