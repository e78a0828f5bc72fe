/** A random forest over the Iris table, and its spelling as JSON. */
import { RandomForestClassifier } from 'ml-random-forest'
import { FEATURES, type Flower, SPECIES } from './iris.ts'

export const TREES = 25
/** Each tree sees two of the four measurements: the square root, as is usual for classification. */
export const FEATURES_PER_TREE = 2

type Forest = Pick<RandomForestClassifier, 'predict' | 'toJSON'>

/** The same flowers and seed grow the same forest. `seed` is an unsigned 32-bit integer: without one the package picks its own. */
export function growForest(flowers: readonly Flower[], seed: number): Forest {
  const forest = new RandomForestClassifier({
    seed,
    nEstimators: TREES,
    maxFeatures: FEATURES_PER_TREE,
    replacement: false,
    useSampleBagging: true,
    noOOB: true,
  })
  forest.train(
    flowers.map((flower) => flower.measurements),
    flowers.map((flower) => SPECIES.indexOf(flower.species)),
  )
  return forest
}

export const formatForest = (forest: Forest): string =>
  `${JSON.stringify({ features: FEATURES, species: SPECIES, forest })}\n`

/** The loaded forest predicts as the grown one did. It does not format to the same bytes: `load` drops the gains of leaves. */
export function parseForest(text: string): Forest {
  const { features, species, forest } = JSON.parse(text)
  if (String(features) !== String(FEATURES) || String(species) !== String(SPECIES)) {
    throw new Error(`the model must map ${FEATURES} to ${SPECIES}, not ${features} to ${species}`)
  }
  return RandomForestClassifier.load(forest)
}

export const predictSpecies = (forest: Forest, flowers: readonly Flower[]): string[] =>
  forest.predict(flowers.map((flower) => flower.measurements)).map((label) => SPECIES[label]!)
