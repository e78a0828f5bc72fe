/** How well predictions match the truth: accuracy, confusion matrix, and each species on its own. */
import { type Flower, SPECIES } from './iris.ts'

export type Score = {
  flowers: number
  accuracy: number
  /** `confusion[actual][predicted]` */
  confusion: Record<string, Record<string, number>>
  species: Record<string, { precision: number; recall: number; flowers: number }>
}

export function score(flowers: readonly Flower[], predicted: readonly string[]): Score {
  const count = (was: string, said: string) =>
    flowers.filter((f, i) => f.species === was && predicted[i] === said).length
  const sum = (value: (species: string) => number) => SPECIES.reduce((total, s) => total + value(s), 0)
  return {
    flowers: flowers.length,
    accuracy: ratio(
      sum((s) => count(s, s)),
      flowers.length,
    ),
    confusion: perSpecies((was) => perSpecies((said) => count(was, said))),
    species: perSpecies((s) => {
      const named = sum((was) => count(was, s))
      const present = sum((said) => count(s, said))
      return { precision: ratio(count(s, s), named), recall: ratio(count(s, s), present), flowers: present }
    }),
  }
}

const perSpecies = <T>(value: (species: string) => T): Record<string, T> =>
  Object.fromEntries(SPECIES.map((species) => [species, value(species)]))

/** 0 of 0 counts as 0: a species that was never named has no precision to boast of. */
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
