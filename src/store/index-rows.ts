/** Columns of index.db that hold more than one value, and the number that artifacts are looked up by. */
import type Database from 'better-sqlite3'
import { plain } from './plain.ts'

/** As they stand in a row: algorithms and keys by their ids in the index. */
export interface PackedArtifact {
  /** 1 produced, 2 consumed, 3 examined, 4 file of a manifest. */
  readonly role: number
  readonly algorithm: number
  readonly digest: Uint8Array
}

export const ROLE_CODES = { produced: 1, consumed: 2, examined: 3, file: 4 } as const
export const ROLE_OF_CODE = ['', 'produced', 'consumed', 'examined', 'file'] as const

/** The first 48 bits: whoever makes digests that agree in them makes rows that are looked at in vain, no more than rows for one digest would be. */
export function prefixOf(digest: Uint8Array): number {
  let prefix = 0
  for (let i = 0; i < 6; i++) prefix = prefix * 256 + (digest[i] ?? 0)
  return prefix
}

/** Role (1 byte), algorithm (4), length (1), digest. */
export function packArtifacts(artifacts: readonly PackedArtifact[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(artifacts.reduce((sum, { digest }) => sum + 6 + digest.length, 0))
  let at = 0
  for (const { role, algorithm, digest } of artifacts) {
    bytes.writeUInt8(role, at)
    bytes.writeUInt32LE(algorithm, at + 1)
    bytes.writeUInt8(digest.length, at + 5)
    bytes.set(digest, at + 6)
    at += 6 + digest.length
  }
  return bytes
}

export function unpackArtifacts(packed: Uint8Array): PackedArtifact[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length)
  const artifacts: PackedArtifact[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt8(at + 5)
    const digest = plain(bytes.subarray(at + 6, at + 6 + length))
    artifacts.push({ role: bytes.readUInt8(at), algorithm: bytes.readUInt32LE(at + 1), digest })
    at += 6 + length
  }
  return artifacts
}

export function packIds(ids: readonly number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(4 * ids.length)
  ids.forEach((id, i) => {
    bytes.writeUInt32LE(id, 4 * i)
  })
  return bytes
}

export function unpackIds(packed: Uint8Array): number[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length)
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))
}

/** Rows that one statement inserts. */
const TOGETHER = 64

/** Rows of numbers for a table that is sorted by them. In order, neighbours are written together; and a call for each row costs more than the row. */
export class SortedRows {
  readonly #many: Database.Statement
  readonly #one: Database.Statement
  #rows: (readonly number[])[] = []

  constructor(db: Database.Database, table: string, columns: number) {
    const row = `(${Array.from({ length: columns }, () => '?').join()})`
    // Keys of two algorithms may begin alike.
    const insert = `INSERT OR IGNORE INTO ${table} VALUES ${row}`
    this.#many = db.prepare(insert + `,${row}`.repeat(TOGETHER - 1))
    this.#one = db.prepare(insert)
  }

  add(row: readonly number[]): void {
    this.#rows.push(row)
  }

  write(): void {
    const rows = this.#rows
    this.#rows = []
    rows.sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!)
    let at = 0
    for (; at + TOGETHER <= rows.length; at += TOGETHER) this.#many.run(rows.slice(at, at + TOGETHER).flat())
    for (; at < rows.length; at++) this.#one.run(rows[at]!)
  }
}
