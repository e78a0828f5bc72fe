/**
 * The lineage of whole logs in as little memory as a page can take: the bytes of the entries as they came, and beside them one number for each
 * artifact of each event. An entry is decoded when somebody walks through it.
 */
import { toHex } from '../core/bytes.ts'
import { decodeEntry, EVENT, type EventEntry } from '../core/entry.ts'
import {
  type Lineage,
  type LineageEvent,
  type LineageMark,
  type LineageRole,
  type LineageSource,
  lineageStep,
  stepEdges,
  type WalkLimits,
  walkLineage,
} from '../core/lineage.ts'

/** A row is the beginning of a digest and the number of an event, exact in a double: 32 bits and 21. */
const NUMBERS = 2 ** 21
/** Decoded events that are kept. */
const KEPT = 4_096
/** A walk may hold the thread for so long, ms. */
const MOST_TIME = 400

interface Part {
  readonly log: string
  readonly signers: ReadonlyMap<string, string>
  /** Number of its first entry among those of all logs. */
  readonly first: number
}

export class ScannedGraph implements LineageSource {
  readonly #parts: Part[] = []
  readonly #entries: Uint8Array[] = []
  #rows = new Float64Array(2 ** 16)
  #count = 0
  readonly #byKey = new Map<string, number[]>()
  readonly #times: number[] = []
  readonly #marks = new Map<string, readonly LineageMark[]>()
  readonly #decoded = new Map<number, EventEntry>()

  /** What is added from now on is of this log, from its entry 0 on. */
  begin(log: string, signers: ReadonlyMap<string, string>): void {
    this.#parts.push({ log, signers, first: this.#entries.length })
  }

  /** Takes a view of a bundle and keeps it. Throws MALFORMED_ENTRY. */
  add(bytes: Uint8Array): void {
    const number = this.#entries.push(bytes) - 1
    const entry = decodeEntry(bytes)
    this.#times.push(entry.time)
    if (entry.kind !== EVENT) return
    for (const { digest } of entry.artifacts) this.#row(beginning(digest) * NUMBERS + number)
    for (const key of entry.keys.map(toHex)) {
      const events = this.#byKey.get(key)
      if (events === undefined) this.#byKey.set(key, [number])
      else events.push(number)
    }
  }

  #row(row: number): void {
    if (this.#count === this.#rows.length) {
      const larger = new Float64Array(this.#count * 2)
      larger.set(this.#rows)
      this.#rows = larger
    }
    this.#rows[this.#count++] = row
  }

  /** Once everything is in it. `marks`: by `log index`. */
  seal(marks: ReadonlyMap<string, readonly LineageMark[]>): void {
    this.#rows = this.#rows.slice(0, this.#count).sort()
    for (const [about, list] of marks) this.#marks.set(about, list)
  }

  trace(start: string, limits: WalkLimits): Lineage {
    return walkLineage(this, [start], { ...limits, ...inTime() })
  }

  /** From all that the key signed between the two moments, ms since the Unix epoch. */
  bySigner(key: string, since: number, until: number, limits: WalkLimits): Lineage {
    const seeds = (this.#byKey.get(key) ?? []).filter((number) => {
      const time = this.#times[number]!
      return time >= since && time < until
    })
    // More than are listed need not be decoded.
    const some = seeds.slice(0, limits.limit + 1)
    const start = new Set<string>()
    for (const number of some)
      for (const { artifact, role } of this.edges(String(number))) if (role === 'produced') start.add(artifact)
    return walkLineage(this, [...start], { ...limits, ...inTime() }, some.map(String))
  }

  *touching(artifact: string, role: LineageRole): Generator<string | undefined> {
    const from = beginningOf(artifact) * NUMBERS
    let before = -1
    for (let at = this.#find(from); at < this.#count && this.#rows[at]! < from + NUMBERS; at++) {
      const number = this.#rows[at]! - from
      // One event with one artifact in two roles has two rows.
      if (number === before) continue
      before = number
      const found = this.edges(String(number)).some((edge) => edge.artifact === artifact && edge.role === role)
      yield found ? String(number) : undefined
    }
  }

  edges(event: string): readonly { readonly artifact: string; readonly role: LineageRole }[] {
    const { type, artifacts } = this.#step(Number(event))
    return stepEdges(
      type,
      artifacts.map(({ role, algorithm, digest }) => ({ artifact: `${algorithm}:${digest}`, role })),
    )
  }

  event(event: string): Omit<LineageEvent, 'distance'> {
    const number = Number(event)
    const { log, index, time, type, keys } = this.#step(number)
    const { signers } = this.#partOf(number)
    return {
      ...{ log, index, time, type, keys },
      signers: keys.map((key) => signers.get(key) ?? key.slice(0, 12)),
      marks: this.#marks.get(`${log} ${index}`) ?? [],
    }
  }

  names(): undefined {
    return undefined
  }

  #step(number: number) {
    const { log, first } = this.#partOf(number)
    let entry = this.#decoded.get(number)
    if (entry === undefined) {
      entry = decodeEntry(this.#entries[number]!) as EventEntry
      if (this.#decoded.size >= KEPT) this.#decoded.clear()
      this.#decoded.set(number, entry)
    }
    return lineageStep(log, number - first, entry)
  }

  #partOf(number: number): Part {
    return this.#parts.findLast(({ first }) => first <= number)!
  }

  /** Place of the first row that is not less. */
  #find(row: number): number {
    let [low, high] = [0, this.#count]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#rows[middle]! < row) low = middle + 1
      else high = middle
    }
    return low
  }
}

function inTime(): Pick<WalkLimits, 'expired'> {
  const end = performance.now() + MOST_TIME
  return { expired: () => performance.now() > end }
}

const beginning = (digest: Uint8Array): number =>
  (((digest[0] ?? 0) << 24) | ((digest[1] ?? 0) << 16) | ((digest[2] ?? 0) << 8) | (digest[3] ?? 0)) >>> 0

/** Of `algorithm:hex`; there are algorithms with a colon. */
function beginningOf(artifact: string): number {
  const hex = artifact.slice(artifact.lastIndexOf(':') + 1)
  return Number.parseInt(hex.slice(0, 8).padEnd(8, '0'), 16)
}
