/** What the page says of a thing: proved here, not proved, or disproved. Nothing else on the page may look like any of the three. */

/** `absent`: there was nothing to check, which takes nothing away from the rest. */
export type State = 'verified' | 'unverified' | 'failed' | 'absent'

/** One thing that was checked, in words for a reader who has never heard of Merkle trees. */
export interface Step {
  readonly title: string
  readonly state: State
  readonly detail: string
}

/** The worst of them; nothing checked is nothing verified. */
export function worst(states: readonly State[]): State {
  if (states.includes('failed')) return 'failed'
  if (states.includes('unverified')) return 'unverified'
  return states.includes('verified') ? 'verified' : 'unverified'
}

export const verdictOf = (steps: readonly Step[]): State => worst(steps.map(({ state }) => state))

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The same as a sentence. */
export function sentenceOf(error: unknown): string {
  const message = messageOf(error)
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.`
}

/** How many of which state, without those that there are none of. */
export function tally(states: readonly State[]): string {
  const of = (state: State, word: string) => {
    const count = states.filter((one) => one === state).length
    return count === 0 ? [] : [`${count} ${word}`]
  }
  return [...of('verified', 'verified'), ...of('unverified', 'not verified'), ...of('failed', 'failed')].join(', ')
}

/** With the word for them, in the singular where it is one. */
export const many = (count: number, one: string, more = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : more}`
