/**
 * The main job, for real: trains a small model, logs every step as a signed event under the eyes of a witness, fetches the evidence for the model
 * and verifies it with the server stopped, and then tampers, in front of and behind the log's back. Every line after a `$` is a command that was run
 * and that you can run yourself.
 *
 *   npm run quickstart                     leaves log and witness running and prints their URLs
 *   npm run quickstart -- --once           ends instead
 *   npm run quickstart -- --seed 3         another model
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { type Artifact, DEFAULT_SEED, pipeline, ReleaseRefused, type Step } from './quickstart/pipeline.ts'
import { choosePort, Programs } from './quickstart/programs.ts'

const ORIGIN = 'log.example/models'
const FOLDER = join(process.cwd(), 'quickstart-data')
const TYPE = 'urn:treeline:quickstart'
/** Of e2fsprogs; where it is missing nothing was made immutable. */
const CHATTR = 'chattr'
const SIGNERS: Readonly<Record<Step['name'], string>> = {
  raw: 'trainer',
  split: 'trainer',
  train: 'trainer',
  evaluate: 'evaluator',
  release: 'releaser',
}

const { values } = parseArgs({
  options: { once: { type: 'boolean', default: false }, seed: { type: 'string', default: String(DEFAULT_SEED) } },
})
const seed = Number(values.seed)
const programs = new Programs(FOLDER)
const path = (name: string): string => join(FOLDER, name)
const say = (text: string): void => console.log(`\n\u001b[1m${text}\u001b[0m`)

const files = (flag: string, artifacts: readonly Artifact[]): string[] =>
  artifacts.flatMap(({ name, path: file }) => [`--${flag}`, `${name}=${file.replace(`${FOLDER}/`, '')}`])

/** The command that logs a step. What a step examined it also read, so that lineage leads through it. */
const submission = (
  log: readonly string[],
  { name, consumed, examined, produced, parameters, startedOn, finishedOn }: Step,
): string[] => [
  ...['submit', ...log, '--key', `${SIGNERS[name]}.key`, '--type', `${TYPE}:${name}:v1`],
  ...files('consumed', [...consumed, ...examined]),
  ...files('produced', produced),
  ...Object.entries(parameters).flatMap(([key, value]) => ['--parameter', `${key}=${value}`]),
  ...['--started', startedOn, '--finished', finishedOn],
]

/** Keys, the log with its first policy, and a witness with the list of logs that it follows. */
function prepare(logPort: number, witnessPort: number): { readonly vkey: string } {
  for (const name of ['admin', 'trainer', 'evaluator', 'releaser'])
    programs.run('treeline', ['keygen', name], { quiet: true })
  const init = ['init', '--data', 'data', '--name', 'models', '--origin', ORIGIN, '--profile', 'events']
  const vkey = programs.run('treeline-server', init, { quiet: true }).trim()
  const types = (...steps: Step['name'][]) => steps.map((step) => `${TYPE}:${step}:v1`).join('|')
  programs.run('treeline', [
    ...['policy', 'new', '--log-key', vkey, '--administrator', 'admin.pub', '--out', 'policy.json', '--signer'],
    `trainer=trainer.pub,types=${types('raw', 'split', 'train')},subjects=raw/*|split/*|model/*`,
    '--signer',
    `evaluator=evaluator.pub,types=${types('evaluate')},subjects=evaluation/*`,
    '--signer',
    `releaser=releaser.pub,types=${types('release')},subjects=release/*`,
  ])
  programs.run('treeline', ['policy', 'sign', 'policy.json', '--key', 'admin.key', '--out', 'policy.signed.json'])
  programs.run('treeline-server', [...init, '--policy', 'policy.signed.json'])

  const witness = programs.run('treeline-witness', ['init', '--data', 'witness', '--name', 'witness.example/w']).trim()
  const url = `http://127.0.0.1:${logPort}/models`
  const trust = `log ${vkey} ${url}\nwitness w ${witness} http://127.0.0.1:${witnessPort}\nquorum w\n`
  writeFileSync(path('trust.txt'), trust)
  return { vkey }
}

async function quickstart(): Promise<number> {
  thaw()
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER)
  mkdirSync(path('worm'))
  const port = await choosePort(8640)
  const witnessPort = await choosePort(8641)
  const serve = () =>
    programs.start('treeline-server', [
      ...['serve', '--data', 'data', '--listen', `127.0.0.1:${port}`, '--witness-policy', 'trust.txt'],
    ])
  const url = `http://127.0.0.1:${port}/models`
  const published = async (): Promise<string> => await (await fetch(`${url}/checkpoint`)).text()

  say(
    '1. Keys for an administrator and three signers; the log, with the policy that says who may submit what; a witness',
  )
  const { vkey } = prepare(port, witnessPort)
  await serve()
  const [{ genesis }] = (await (await fetch(url.replace('/models', '/v1/logs'))).json()) as [{ genesis: string }]
  writeFileSync(path('logs.json'), JSON.stringify({ logs: [{ vkeys: [vkey], url, genesis, keeper: true }] }))
  const watch = ['run', '--data', 'witness', '--logs', 'logs.json', '--listen', `127.0.0.1:${witnessPort}`]
  const often = ['--audit-interval', '500', '--snapshot-interval', '1000']
  await programs.start('treeline-witness', [...watch, '--worm', 'worm', ...often])
  programs.run('treeline', ['trust', url])
  console.log('  trust.txt has this key, the key of the witness, and says that nothing counts without it')
  const log = ['--log', url, '--trust', 'trust.txt']

  say(`2. The pipeline on real files, each step a signed event (seed ${seed})`)
  const steps = new Map<Step['name'], Step>()
  try {
    for (const step of pipeline(path('run'), { seed })) {
      steps.set(step.name, step)
      programs.run('treeline', [...submission(log, step), '--receipt', `${step.name}.receipt.json`])
    }
  } catch (error) {
    if (!(error instanceof ReleaseRefused)) throw error
    console.log(`\n${error.message}: nothing is released, and the log shows the steps up to here.`)
    await programs.stop('treeline-server')
    await programs.stop('treeline-witness')
    return 1
  }
  const report = JSON.parse(readFileSync(path('run/evaluation/report.json'), 'utf8')) as { accuracy: number }
  console.log(`  the model has an accuracy of ${report.accuracy}`)
  const index = (JSON.parse(readFileSync(path('train.receipt.json'), 'utf8')) as { index: number }).index

  say('3. The checkpoint that the witness cosigned, and the evidence for the model, verified with the server stopped')
  programs.run('treeline', ['evidence', '--log', url, String(index), '--out', 'model.tlog-proof'])
  console.log((await published()).replace(/^/gm, '  ').trimEnd())
  await untilCopied(steps.size + 1)
  await programs.stop('treeline-server')
  const verify = ['verify', '--trust', 'trust.txt', '--artifact', 'run/model/model.json']
  programs.run('treeline', [...verify, 'model.tlog-proof'])

  say('4. The copy that the witness keeps in write-once storage, read back object by object')
  programs.run('treeline-witness', ['verify', '--data', 'witness', '--worm', 'worm', '--report', 'copy.report'])

  say('5. What is tampered with is caught')
  const evidence = readFileSync(path('model.tlog-proof'))
  const at = evidence.indexOf('extra ') + 200
  evidence[at] = evidence[at] === 0x41 ? 0x42 : 0x41
  writeFileSync(path('tampered.tlog-proof'), evidence)
  programs.run('treeline', [...verify, 'tampered.tlog-proof'], { expected: 1 })
  writeFileSync(path('other-model.json'), `${readFileSync(path('run/model/model.json'), 'utf8')} `)
  programs.run('treeline', ['verify', '--trust', 'trust.txt', '--artifact', 'other-model.json', 'model.tlog-proof'], {
    expected: 1,
  })

  say('6. The server again: a second submission is recognised, and the whole tree is checked from the entries')
  cpSync(path('data'), path('data.old'), { recursive: true })
  await serve()
  programs.run('treeline', submission(log, steps.get('train')!))
  const later = ['--type', `${TYPE}:release:v1`, '--produced', 'release/notes=policy.json', '--key', 'releaser.key']
  programs.run('treeline', ['submit', ...log, ...later])
  programs.run('treeline-server', ['check', '--data', 'data'])
  await untilCovered(published, steps.size + 2)
  await programs.stop('treeline-server')

  say('7. Behind the back of the log: an entry changed, then the whole folder rolled back to an older copy')
  cpSync(path('data'), path('data.good'), { recursive: true })
  changeEntry()
  programs.run('treeline-server', ['check', '--data', 'data'], { expected: 1 })
  replaceData('data.old')
  console.log('$ rm -r data; cp -r data.old data')
  // Everything in it fits together, the published checkpoint too. The witness remembers more.
  await serve()
  const ready = await fetch(url.replace('/models', '/readyz'))
  const { logs } = (await ready.json()) as { logs: { code: string; why: string }[] }
  console.log(`$ curl ${url.replace('/models', '/readyz')}\n  ${ready.status} ${logs[0]!.code}: ${logs[0]!.why}`)
  if (ready.status !== 503 || logs[0]!.code !== 'FROZEN') throw new Error('a rolled back folder was not noticed')
  await programs.stop('treeline-server')
  replaceData('data.good')
  programs.run('treeline-witness', ['status', '--data', 'witness'])

  if (values.once) {
    await programs.stop('treeline-witness')
    say('Done.')
    return 0
  }
  await serve()
  say(
    `The log is at ${url}, its witness at http://127.0.0.1:${witnessPort}. Ctrl-C ends both; everything is in ${FOLDER}.`,
  )
  console.log(
    `  Look at it at http://127.0.0.1:${port}/, with the trust file ${path('trust.txt')} dropped on the page.`,
  )
  console.log('  Where its files are immutable, "chattr -R -i quickstart-data/worm" lets the copies be removed.')
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => programs.kill())
  await programs.ended('treeline-server')
  return 0
}

async function untilCovered(published: () => Promise<string>, size: number): Promise<void> {
  for (let i = 0; i < 100 && Number((await published()).split('\n')[1]) < size; i++)
    await new Promise((resolve) => setTimeout(resolve, 100))
}

/** Snapshots follow the audits, which follow the cosignatures. */
async function untilCopied(size: number): Promise<void> {
  const copied = () => programs.run('treeline-witness', ['status', '--data', 'witness', '--json'], { quiet: true })
  for (let i = 0; i < 40; i++) {
    const { logs } = JSON.parse(copied()) as { logs: readonly { copied: string }[] }
    if (Number(logs[0]?.copied ?? 0) >= size) return
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

/** Copies of an earlier run may be immutable, as they would have to be. */
function thaw(): void {
  if (existsSync(path('worm'))) spawnSync(CHATTR, ['-R', '-i', path('worm')], { stdio: 'ignore' })
}

/** One byte of one entry, in the database. */
function changeEntry(): void {
  const db = new Database(path('data/logs/models/log.db'))
  const { first, bundle } = db.prepare('SELECT first, bundle FROM entries WHERE first = 3').get() as {
    first: number
    bundle: Buffer
  }
  bundle[40]! ^= 1
  db.prepare('UPDATE entries SET bundle = ? WHERE first = ?').run(bundle, first)
  db.close()
  console.log(`$ sqlite3 data/logs/models/log.db "UPDATE entries SET bundle = … WHERE first = ${first}"`)
}

function replaceData(copy: string): void {
  rmSync(path('data'), { recursive: true })
  cpSync(path(copy), path('data'), { recursive: true })
}

if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
  console.error('quickstart: --seed takes a whole number below 2^32')
  process.exitCode = 2
} else {
  try {
    process.exitCode = await quickstart()
  } finally {
    programs.kill()
  }
}
