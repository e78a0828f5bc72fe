/**
 * A folder as a disk may have it when the power goes. POSIX promises no more than this: of a file, what was there at its last fsync; of a folder,
 * the names of its last fsync. Whatever was written later is there or not, block by block, in any order, and a file may have its later
 * length without the bytes. Names come in the order in which they were made. Stricter than the file systems that we know, which is the point.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Step } from './power-recording.ts'

/** How much of what was never synced is there. */
export interface Cut {
  readonly name: string
  /** The unit that is there or not: bytes. */
  readonly block: number
  /** Of `count` writes to a file since its last sync, the nth; called again for each block of it. */
  keep(write: number, count: number): boolean
  /** How many of so many changes of names are there. */
  names(count: number): number
  /** Which of three lengths: the one that its blocks give, that of the last sync, the latest. */
  length(): 'written' | 'synced' | 'latest'
}

const edge = (name: string, keep: Cut['keep'], names: Cut['names']): Cut => ({
  ...{ name, keep, names, block: 4096 },
  length: () => 'written',
})

export const NONE = edge(
  'none',
  () => false,
  () => 0,
)
export const ALL = edge(
  'all',
  () => true,
  (count) => count,
)
export const LAST = edge(
  'only the last',
  (write, count) => write === count - 1,
  (count) => count,
)
export const NOT_FIRST = edge(
  'all but the first',
  (write) => write > 0,
  () => 0,
)

/** Any of what is possible, always the same for a seed. */
export function torn(block: number, seed: number): Cut {
  const random = mulberry32(seed)
  const share = [0.1, 0.5, 0.9][Math.floor(random() * 3)]!
  return {
    ...{ name: `torn at ${block}, seed ${seed}`, block },
    keep: () => random() < share,
    names: (count) => Math.floor(random() * (count + 1)),
    length: () => (['written', 'written', 'synced', 'latest'] as const)[Math.floor(random() * 4)]!,
  }
}

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly length: number }

class DiskFile {
  #synced: Buffer
  #changes: Change[] = []

  constructor(content = Buffer.alloc(0)) {
    this.#synced = content
  }

  change(change: Change): void {
    this.#changes.push(change)
  }

  sync(): void {
    this.#synced = this.cut(ALL)
    this.#changes = []
  }

  cut(cut: Cut): Buffer {
    const latest = this.#changes.reduce(lengthAfter, this.#synced.length)
    const longest = this.#changes.reduce((most, change) => Math.max(most, lengthAfter(0, change)), this.#synced.length)
    const content = Buffer.alloc(longest)
    this.#synced.copy(content)
    let length = this.#synced.length
    this.#changes.forEach((change, i) => {
      for (const part of parts(change, cut.block)) {
        if (!cut.keep(i, this.#changes.length)) continue
        length = lengthAfter(length, part)
        if (part.kind === 'write') part.bytes.copy(content, part.offset)
        else content.fill(0, length)
      }
    })
    const chosen = cut.length()
    if (chosen !== 'written' && this.#changes.length > 0) length = chosen === 'latest' ? latest : this.#synced.length
    return content.subarray(0, length)
  }
}

const lengthAfter = (length: number, change: Change): number =>
  change.kind === 'truncate' ? change.length : Math.max(length, change.offset + change.bytes.length)

/** A write as the blocks that it touches, each of them whole or not there. */
function parts(change: Change, block: number): Change[] {
  if (change.kind === 'truncate') return [change]
  const { offset, bytes } = change
  const cut: Change[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + block - ((offset + at) % block))
    cut.push({ kind: 'write', offset: offset + at, bytes: bytes.subarray(at, end) })
    at = end
  }
  return cut
}

/** null is a folder. */
type Names = Map<string, DiskFile | null>

export class Disk {
  readonly #now: Names = new Map()
  readonly #synced: Names
  readonly #changes = new Map<string, ((names: Names) => void)[]>()

  /** As a folder is, all of it synced. */
  constructor(folder: string) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      if (!path.endsWith('-shm'))
        this.#now.set(path.slice(folder.length + 1), entry.isDirectory() ? null : new DiskFile(readFileSync(path)))
    }
    this.#synced = new Map(this.#now)
  }

  apply(step: Step): void {
    switch (step.kind) {
      case 'print':
        return
      case 'write':
      case 'truncate':
        this.#file(step.path).change(step)
        return
      case 'sync':
        this.#sync(step.path)
        return
      case 'create':
      case 'mkdir': {
        const made = step.kind === 'mkdir' ? null : new DiskFile()
        this.#rename(step.path, (names) => names.set(step.path, made))
        return
      }
      case 'unlink':
      case 'rmdir':
        this.#rename(step.path, (names) => names.delete(step.path))
        return
      case 'rename':
      case 'link': {
        // One folder: between two, there would be a moment in which neither name or both are there.
        if (dirname(step.path) !== dirname(step.to)) throw new Error(`${step.path} goes to another folder`)
        const file = this.#file(step.path)
        this.#rename(step.path, (names) => {
          if (step.kind === 'rename') names.delete(step.path)
          names.set(step.to, file)
        })
        return
      }
    }
  }

  #file(path: string): DiskFile {
    const file = this.#now.get(path)
    if (!file) throw new Error(`the recorder missed how ${path} came to be`)
    return file
  }

  #rename(path: string, change: (names: Names) => unknown): void {
    change(this.#now)
    const folder = dirname(path)
    this.#changes.set(folder, [...(this.#changes.get(folder) ?? []), change])
  }

  #sync(path: string): void {
    const file = this.#now.get(path)
    if (file) {
      file.sync()
      return
    }
    const folder = path === '' ? '.' : path
    for (const change of this.#changes.get(folder) ?? []) change(this.#synced)
    this.#changes.delete(folder)
  }

  /** What a cut leaves: a name and the content of a file, or null for a folder. */
  cut(cut: Cut): Map<string, Buffer | null> {
    const names: Names = new Map(this.#synced)
    for (const changes of this.#changes.values())
      for (const change of changes.slice(0, cut.names(changes.length))) change(names)
    const contents = new Map<DiskFile, Buffer>()
    return new Map(
      [...names].map(([name, file]) => {
        if (file !== null && !contents.has(file)) contents.set(file, file.cut(cut))
        return [name, file && contents.get(file)!]
      }),
    )
  }
}

/** Into an empty folder. What stands below a folder that is not there is not there either. */
export function writeFiles(folder: string, files: ReadonlyMap<string, Buffer | null>): void {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [name, content] of sorted) {
    const parent = dirname(name)
    if (parent !== '.' && !files.has(parent)) continue
    if (content === null) mkdirSync(join(folder, name))
    else writeFileSync(join(folder, name), content, { mode: 0o600 })
  }
}

/** A small generator of numbers in [0, 1), the same for a seed on every machine. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
