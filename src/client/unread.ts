/** Events of one log whose payloads would have said more, and why they were not read. A redaction is in the log; what no redaction explains is not. */

/** Of each the indexes, ascending. */
export interface UnreadEvents {
  /** The token does not open them. */
  readonly closed: readonly number[]
  readonly redacted: readonly number[]
  /** Not served, and no redaction names them: lost, or hidden. */
  readonly missing: readonly number[]
}

export class Unread {
  readonly #redacted = new Set<number>()
  readonly #unread = new Map<number, 'gone' | 'closed'>()

  /** What a redaction entry of the log names. */
  redacted(indexes: readonly number[]): void {
    for (const index of indexes) this.#redacted.add(index)
  }

  add(index: number, why: 'gone' | 'closed'): void {
    this.#unread.set(index, why)
  }

  get size(): number {
    return this.#unread.size
  }

  /** Once all redactions are known: they stand behind what they name. */
  events(): UnreadEvents {
    const indexes = [...this.#unread.keys()].sort((a, b) => a - b)
    const gone = indexes.filter((index) => this.#unread.get(index) === 'gone')
    return {
      closed: indexes.filter((index) => this.#unread.get(index) === 'closed'),
      redacted: gone.filter((index) => this.#redacted.has(index)),
      missing: gone.filter((index) => !this.#redacted.has(index)),
    }
  }
}

/** `event 3`, or `events 3, 5 and 9 more`. */
export const sayIndexes = (indexes: readonly number[]): string =>
  `event${indexes.length > 1 ? 's' : ''} ${indexes.slice(0, 10).join(', ')}${indexes.length > 10 ? ` and ${indexes.length - 10} more` : ''}`
