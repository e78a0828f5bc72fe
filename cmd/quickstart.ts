/**
 * The main job, for real: trains a small model, logs every step as a signed event, fetches the evidence for the model and verifies
 * it with the server stopped. Every line after a `$` is a command that was run and that you can run yourself.
 *
 *   npm run quickstart                     leaves the server running and prints its URL
 *   npm run quickstart -- --once           ends instead
 *   npm run quickstart -- --seed 3         another model
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Artifact, DEFAULT_SEED, pipeline, ReleaseRefused, type Step } from './quickstart/pipeline.ts'

const ORIGIN = 'log.example/models'
const PORT = 8640
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = join(process.cwd(), 'quickstart-data')
const TYPE = 'urn:treeline:quickstart'
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
const say = (text: string): void => console.log(`\n\u001b[1m${text}\u001b[0m`)

/** Runs one of the programs in the quickstart's folder, shows it, and returns what it printed. Ends the quickstart when it does not exit with `expected`. */
function run(
  program: 'treeline' | 'treeline-server',
  args: readonly string[],
  { expected = 0, quiet = false } = {},
): string {
  if (!quiet) console.log(`$ ${program} ${args.map((arg) => (/^[\w./:@=-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ')}`)
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, `cmd/${program}.ts`), ...args], {
    cwd: FOLDER,
    encoding: 'utf8',
    env: { ...process.env, TREELINE_STATE: join(FOLDER, 'state') },
  })
  const output = `${stdout}${stderr}`.trim()
  if (!quiet && output !== '') console.log(output.replace(/^/gm, '  '))
  if (status === expected) return stdout
  console.error(
    `quickstart: ${program} ended with ${status} where ${expected} was expected${quiet ? `:\n${output}` : ''}`,
  )
  server?.kill()
  process.exit(70)
}

let server: ChildProcess | undefined

async function serve(port: number): Promise<string> {
  const listen = `127.0.0.1:${port}`
  console.log(`$ treeline-server serve --data data --listen ${listen} &`)
  const child = spawn(
    process.execPath,
    [join(ROOT, 'cmd/treeline-server.ts'), 'serve', '--data', 'data', '--listen', listen],
    {
      cwd: FOLDER,
      stdio: ['ignore', 'pipe', 'inherit'],
      // Without a line for each request.
      env: { ...process.env, TREELINE_LOG_LEVEL: 'warn' },
    },
  )
  server = child
  const lines = createInterface({ input: child.stdout })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the server ended with ${code}`)
  })
  ended.catch(() => {})
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string]
  console.log(`  ${line}`)
  return /listens on (\S+)/.exec(line)![1]!
}

async function stop(): Promise<void> {
  const child = server!
  server = undefined
  console.log('$ kill %1')
  child.kill('SIGTERM')
  await once(child, 'exit')
}

/** The usual port, or a free one where that is taken. */
async function choosePort(): Promise<number> {
  const probe = createServer()
  try {
    probe.listen(PORT, '127.0.0.1')
    await once(probe, 'listening')
    return PORT
  } catch {
    probe.listen(0, '127.0.0.1')
    await once(probe, 'listening')
    return (probe.address() as { port: number }).port
  } finally {
    probe.close()
  }
}

const files = (flag: string, artifacts: readonly Artifact[]): string[] =>
  artifacts.flatMap(({ name, path }) => [`--${flag}`, `${name}=${path.replace(`${FOLDER}/`, '')}`])

/** The command that logs a step. What a step examined it also read, so that lineage leads through it. */
const submission = (
  log: readonly string[],
  { name, consumed, examined, produced, parameters, startedOn, finishedOn }: Step,
): string[] => [
  'submit',
  ...log,
  '--key',
  `${SIGNERS[name]}.key`,
  '--type',
  `${TYPE}:${name}:v1`,
  ...files('consumed', [...consumed, ...examined]),
  ...files('produced', produced),
  ...Object.entries(parameters).flatMap(([key, value]) => ['--parameter', `${key}=${value}`]),
  '--started',
  startedOn,
  '--finished',
  finishedOn,
]

async function quickstart(): Promise<number> {
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER)

  say('1. Keys for an administrator and three signers; the log, with the policy that says who may submit what')
  for (const name of ['admin', 'trainer', 'evaluator', 'releaser']) run('treeline', ['keygen', name], { quiet: true })
  const init = ['init', '--data', 'data', '--name', 'models', '--origin', ORIGIN, '--profile', 'events']
  const vkey = run('treeline-server', init, { quiet: true }).trim()
  const types = (...steps: Step['name'][]) => steps.map((step) => `${TYPE}:${step}:v1`).join('|')
  run('treeline', [
    'policy',
    'new',
    '--log-key',
    vkey,
    '--administrator',
    'admin.pub',
    '--out',
    'policy.json',
    '--signer',
    `trainer=trainer.pub,types=${types('raw', 'split', 'train')},subjects=raw/*|split/*|model/*`,
    '--signer',
    `evaluator=evaluator.pub,types=${types('evaluate')},subjects=evaluation/*`,
    '--signer',
    `releaser=releaser.pub,types=${types('release')},subjects=release/*`,
  ])
  run('treeline', ['policy', 'sign', 'policy.json', '--key', 'admin.key', '--out', 'policy.signed.json'])
  run('treeline-server', [...init, '--policy', 'policy.signed.json'])
  const port = await choosePort()
  const url = await serve(port)
  run('treeline', ['trust', `${url}/models`, '--out', 'trust.txt'])
  const log = ['--log', `${url}/models`, '--trust', 'trust.txt']

  say(`2. The pipeline on real files, each step a signed event (seed ${seed})`)
  const steps = new Map<Step['name'], Step>()
  try {
    for (const step of pipeline(join(FOLDER, 'run'), { seed })) {
      steps.set(step.name, step)
      run('treeline', [...submission(log, step), '--receipt', `${step.name}.receipt.json`])
    }
  } catch (error) {
    if (!(error instanceof ReleaseRefused)) throw error
    console.log(`\n${error.message}: nothing is released, and the log shows the steps up to here.`)
    await stop()
    return 1
  }
  const report = JSON.parse(readFileSync(join(FOLDER, 'run/evaluation/report.json'), 'utf8')) as { accuracy: number }
  console.log(`  the model has an accuracy of ${report.accuracy}`)
  const index = (JSON.parse(readFileSync(join(FOLDER, 'train.receipt.json'), 'utf8')) as { index: number }).index

  say('3. The evidence for the model, verified with the server stopped')
  run('treeline', ['evidence', '--log', `${url}/models`, String(index), '--out', 'model.tlog-proof'])
  await stop()
  const verify = ['verify', '--trust', 'trust.txt', '--artifact', 'run/model/model.json']
  run('treeline', [...verify, 'model.tlog-proof'])

  say('4. What is tampered with is caught')
  const evidence = readFileSync(join(FOLDER, 'model.tlog-proof'))
  const at = evidence.indexOf('extra ') + 200
  evidence[at] = evidence[at] === 0x41 ? 0x42 : 0x41
  writeFileSync(join(FOLDER, 'tampered.tlog-proof'), evidence)
  run('treeline', [...verify, 'tampered.tlog-proof'], { expected: 1 })
  writeFileSync(join(FOLDER, 'other-model.json'), `${readFileSync(join(FOLDER, 'run/model/model.json'), 'utf8')} `)
  run('treeline', ['verify', '--trust', 'trust.txt', '--artifact', 'other-model.json', 'model.tlog-proof'], {
    expected: 1,
  })

  say('5. The server again: a second submission is recognised, and the whole tree is checked from the entries')
  await serve(port)
  run('treeline', submission(log, steps.get('train')!))
  run('treeline-server', ['check', '--data', 'data'])

  if (values.once) {
    await stop()
    say('Done.')
    return 0
  }
  say(`The log is at ${url}/models. Ctrl-C ends it; everything is in ${FOLDER}.`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => server?.kill('SIGTERM'))
  await once(server!, 'exit')
  return 0
}

if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
  console.error('quickstart: --seed takes a whole number below 2^32')
  process.exitCode = 2
} else {
  try {
    process.exitCode = await quickstart()
  } finally {
    server?.kill()
  }
}
