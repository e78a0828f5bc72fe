import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as steps from '../../cmd/quickstart/pipeline.ts'

const { DEFAULT_MIN_ACCURACY, DEFAULT_SEED, pipeline, REFUSED_SEED, ReleaseRefused } = steps

/** Runs the whole pipeline without a threshold and digests every file it produced. */
function digests(folder: string, seed?: number): Record<string, string> {
  const run = [...pipeline(folder, seed === undefined ? { minAccuracy: 0 } : { seed, minAccuracy: 0 })]
  return Object.fromEntries(run.flatMap((step) => step.produced.map(({ name, path }) => [name, sha256(path)])))
}
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')
const accuracy = (folder: string): number =>
  JSON.parse(readFileSync(join(folder, 'evaluation/report.json'), 'utf8')).accuracy

t.test('each step records the files it read and wrote, and they exist', (t) => {
  const run = t.testdir()
  const touched = []
  for (const step of pipeline(run)) {
    for (const { name, path } of [...step.consumed, ...step.produced, ...step.examined]) {
      t.equal(path, join(run, name))
      t.ok(existsSync(path), `${step.name}: ${name} is there when the step returns`)
    }
    t.ok(Date.parse(step.startedOn) <= Date.parse(step.finishedOn))
    const names = (list: steps.Artifact[]) => list.map(({ name }) => name)
    touched.push([step.name, names(step.consumed), names(step.examined), names(step.produced)])
  }
  t.same(touched, [
    ['raw', [], [], ['raw/iris.csv']],
    ['split', ['raw/iris.csv'], [], ['split/train.csv', 'split/test.csv']],
    ['train', ['split/train.csv'], [], ['model/model.json']],
    ['evaluate', ['split/test.csv'], ['model/model.json'], ['evaluation/report.json']],
    ['release', ['model/model.json', 'evaluation/report.json'], [], ['release/release.json']],
  ])

  const lines = (name: string) => readFileSync(join(run, name), 'utf8').trimEnd().split('\n').slice(1)
  t.equal(lines('raw/iris.csv').length, 150)
  t.equal(lines('split/test.csv').length, 50)
  t.same([...lines('split/train.csv'), ...lines('split/test.csv')].sort(), lines('raw/iris.csv').sort())

  const card = JSON.parse(readFileSync(join(run, 'release/release.json'), 'utf8'))
  t.equal(card.model.text, readFileSync(join(run, 'model/model.json'), 'utf8'))
  t.equal(card.model.sha256, sha256(join(run, 'model/model.json')))
  t.equal(card.evaluation.sha256, sha256(join(run, 'evaluation/report.json')))
  t.ok(accuracy(run) >= DEFAULT_MIN_ACCURACY)
  t.end()
})

t.test('the seed decides every byte', (t) => {
  const dir = t.testdir()
  const first = digests(join(dir, 'first'))
  t.same(digests(join(dir, 'again'), DEFAULT_SEED), first, 'same seed, same files, in another folder')

  const other = digests(join(dir, 'other'), DEFAULT_SEED + 1)
  for (const name of Object.keys(first)) {
    t.equal(other[name] === first[name], name === 'raw/iris.csv', `${name} with another seed`)
  }
  t.not(accuracy(join(dir, 'other')), accuracy(join(dir, 'first')), 'and another accuracy')
  t.end()
})

t.test('the report adds up', (t) => {
  const run = t.testdir()
  digests(run)
  const report = JSON.parse(readFileSync(join(run, 'evaluation/report.json'), 'utf8'))
  const names = Object.keys(report.confusion)
  const hits = names.reduce((sum, name) => sum + report.confusion[name][name], 0)
  t.equal(report.accuracy, hits / 50)
  for (const name of names) {
    const actual = names.reduce((sum, said) => sum + report.confusion[name][said], 0)
    const predicted = names.reduce((sum, was) => sum + report.confusion[was][name], 0)
    t.same(report.species[name], {
      precision: report.confusion[name][name] / predicted,
      recall: report.confusion[name][name] / actual,
      flowers: actual,
    })
  }
  t.equal(report.model.sha256, sha256(join(run, 'model/model.json')))
  t.equal(report.data.sha256, sha256(join(run, 'split/test.csv')))
  t.end()
})

t.test('release', (t) => {
  t.test('refuses an accuracy below the threshold and writes nothing', (t) => {
    const run = t.testdir()
    const done: string[] = []
    const all = () => {
      for (const step of pipeline(run, { seed: REFUSED_SEED })) done.push(step.name)
    }
    t.throws(all, new ReleaseRefused(0.86, 0.9))
    t.same(done, ['raw', 'split', 'train', 'evaluate'])
    t.notOk(existsSync(join(run, 'release')))
    t.equal(steps.release(run, 0.86).name, 'release', 'the threshold itself is enough')
    t.throws(() => steps.release(run, Number.NaN), ReleaseRefused)
    t.end()
  })

  t.test('refuses a model that the report is not about', (t) => {
    const run = t.testdir()
    for (const step of pipeline(run)) if (step.name === 'evaluate') break
    steps.train(run, DEFAULT_SEED + 1)
    t.throws(() => steps.release(run), { message: 'evaluation/report.json is about another model' })
    t.notOk(existsSync(join(run, 'release')))
    t.end()
  })
  t.end()
})

t.test('a step judges what is on disk', (t) => {
  const run = t.testdir()
  steps.raw(run)
  const csv = join(run, 'raw/iris.csv')
  const table = readFileSync(csv, 'utf8')
  for (const [name, text] of [
    ['empty', ''],
    ['no final newline', table.slice(0, -1)],
    ['a loose number', table.replace('5.1', '5.10')],
    ['a negative length', table.replace('5.1', '-5.1')],
    ['an unknown species', table.replace('setosa', 'rosa')],
    ['a column too many', table.replace('setosa', 'setosa,')],
    ['another header', table.replace('sepal_length', 'length')],
  ] as const) {
    writeFileSync(csv, text)
    t.throws(() => steps.split(run, 1), { message: 'not a table of iris flowers' }, name)
  }
  writeFileSync(csv, table)
  steps.split(run, 2 ** 32 - 1)
  steps.train(run, 2 ** 32 - 1)
  const model = join(run, 'model/model.json')
  writeFileSync(model, readFileSync(model, 'utf8').replace('petal_width', 'petal_colour'))
  t.throws(() => steps.evaluate(run), { message: /^the model must map/ })
  for (const seed of [-1, 0.5, 2 ** 32, Number.NaN]) {
    t.throws(() => steps.split(run, seed), RangeError, `split with seed ${seed}`)
    t.throws(() => steps.train(run, seed), RangeError, `train with seed ${seed}`)
  }
  t.end()
})
