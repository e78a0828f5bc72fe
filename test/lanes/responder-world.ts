/**
 * A log, its witness and the copies on an S3 server; the log is lost, restored, and succeeded by another that has another witness. Everything is a
 * process, as operators run it.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toBase64 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { logFiles } from '../../src/store/folder.ts'
import { openState } from '../../witness/folder.ts'
import { intruder, MANY, step, trainer } from '../client/history.ts'
import { Actor, envelope, policyDocument, signedPolicy } from '../support/actors.ts'
import { makeEventLog, ORIGIN } from '../support/server.ts'
import { check, eventually, must, run, SERVER, type Server, startProgram, startServer, tempFolder } from './lane.ts'
import { freePort, makeBucket, rawClient, startVersity, useServer } from './s3-servers.ts'

const WITNESS = 'cmd/treeline-witness.ts'
export const NEXT = 'log.example/next'
export const administrator = new Actor()
const signer = new Actor()
export const rules = [
  { actor: trainer, name: 'trainer' },
  { actor: intruder, name: 'intruder' },
  { actor: signer, name: 'model-signer' },
]

const sha = (name: string): string => createHash('sha256').update(name).digest('hex')

/** As the `model-signing` package writes it: the subject is the manifest, its files are listed in the predicate. */
export const manifest = (name: string, files: readonly string[]): string =>
  envelope(
    IN_TOTO,
    {
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name, digest: { sha256: sha(name) } }],
      predicateType: 'https://model_signing/signature/v1.0',
      predicate: {
        serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false },
        resources: files.map((file) => ({ name: file, algorithm: 'sha256', digest: sha(file) })),
      },
    },
    [signer],
  )

export async function submit(url: string, ...events: readonly string[]): Promise<void> {
  for (const body of events) {
    const answer = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`)
  }
}

/** Until a published checkpoint covers so many entries. */
export const published = (url: string, size: number): Promise<unknown> =>
  eventually(`a checkpoint of ${size} entries`, async () => {
    const answer = await fetch(`${url}/checkpoint`)
    return answer.status === 200 && Number((await answer.text()).split('\n')[1]) >= size ? true : undefined
  })

/** The client as a responder runs it, in a folder of its own; files are called what is in them. */
export class Client {
  readonly folder = tempFolder()
  readonly state = join(this.folder, 'state')
  token = ''

  path(name: string): string {
    return join(this.folder, name)
  }

  write(name: string, text = name): string {
    writeFileSync(this.path(name), text)
    return this.path(name)
  }

  async run(...args: readonly string[]) {
    const env = { TREELINE_STATE: this.state, ...(this.token && { TREELINE_TOKEN: this.token }) }
    const { code, output } = await run(process.execPath, ['cmd/treeline.ts', ...args], { env })
    const said = output.split('\n').filter((line) => line.startsWith('treeline: '))
    const printed = output.split('\n').filter((line) => !line.startsWith('treeline: '))
    return { code, output, said: said.join('\n'), printed: printed.join('\n') }
  }

  /** Counts as a check; `matches` are all to be found in what it printed. */
  async expect(what: string, code: number, matches: readonly RegExp[], ...args: readonly string[]) {
    const ended = await this.run(...args)
    const missing = matches.filter((match) => !match.test(ended.output))
    check(
      what,
      ended.code === code && missing.length === 0,
      `treeline ${args.join(' ')}\n${ended.code}, not ${code}; ${missing}\n${ended.output}`,
    )
    return ended
  }
}

/** A witness that is not running yet. */
export async function makeWitness(name: string) {
  const data = tempFolder()
  const init = ['init', '--data', data, '--name', name, '--retention', '2']
  const vkey = (await must(process.execPath, [WITNESS, ...init])).trim()
  const port = await freePort()
  const list = join(data, 'logs.json')
  const flags = ['--data', data, '--logs', list, '--listen', `127.0.0.1:${port}`, '--log-level', 'fatal']
  return {
    ...{ data, vkey, url: `http://127.0.0.1:${port}` },
    /** Watches one log of a server that runs. */
    async start(server: string, log: string, ...more: string[]): Promise<Server> {
      const logs = (await (await fetch(`${server}/v1/logs`)).json()) as {
        name: string
        vkey: string
        genesis: string
      }[]
      const { vkey, genesis } = logs.find((one) => one.name === log)!
      writeFileSync(list, JSON.stringify({ logs: [{ vkeys: [vkey], url: `${server}/${log}`, genesis, keeper: true }] }))
      return startProgram(WITNESS, ['run', ...flags, '--audit-interval', '100', ...more])
    },
  }
}

/** Steps of the log that is lost: 1 raw, 2 split, 3 train, 4 the manifest of the model, 5 a step with many inputs, 6 a second producer of the model. */
const BEFORE = [
  step({ type: 'raw', produced: ['raw.csv'] }),
  step({ type: 'split', consumed: ['raw.csv'], produced: ['train.csv', 'test.csv'] }),
  step({ type: 'train', consumed: ['train.csv'], produced: ['model.bin'] }),
  manifest('model', ['model.bin', 'tokenizer.json']),
  step({ type: 'merge', consumed: MANY, produced: ['merged'] }),
  step({ type: 'train', consumed: ['elsewhere'], produced: ['model.bin'], by: intruder }),
]
export const LOST = BEFORE.length + 1

/** `worm` is where the copies are; the server is gone. */
export async function lostLog(client: Client) {
  const s3 = await startVersity()
  useServer(s3.url)
  const worm = `s3://${await makeBucket(rawClient(s3))}/copies`
  const data = tempFolder()
  const { vkey } = await makeEventLog(data, [administrator], rules)
  const port = await freePort()
  const at = `http://127.0.0.1:${port}`
  const witness = await makeWitness('witness.example/old')
  const trust = client.write(
    'old.txt',
    `log ${vkey} ${at}/test\nwitness old ${witness.vkey} ${witness.url}\nquorum old\n`,
  )
  const server = await startServer(data, ['--listen', `127.0.0.1:${port}`, '--witness-policy', trust, ...OFTEN])
  const process = await witness.start(at, 'test', '--snapshot-interval', '200', '--worm', worm)
  await submit(`${at}/test`, ...BEFORE)
  await eventually('a copy of all', async () => {
    const state = openState(witness.data)
    const { size = 0 } = state.copies.snapshot(ORIGIN) ?? {}
    state.close()
    return size === LOST ? true : undefined
  })
  await Promise.all([process.stop(), server.stop()])
  copyFileSync(logFiles(data, 'test').published, client.path('witnessed'))
  const blinding = client.path('blinding.key')
  copyFileSync(logFiles(data, 'test').blinding, blinding)
  rmSync(data, { recursive: true })
  return { s3, worm, vkey, port, trust, witness, blinding }
}

export const OFTEN = ['--publish-interval', '50']

/** The same log again, which signs no more, and its successor beside it, with a witness of its own. */
export async function succeed(
  client: Client,
  { worm, port, trust, witness, blinding }: Awaited<ReturnType<typeof lostLog>>,
) {
  const data = tempFolder()
  const from = [
    '--from',
    worm,
    '--trust',
    trust,
    '--vkey',
    join(witness.data, 'snapshot.vkey'),
    '--blinding-key',
    blinding,
  ]
  const keys = ['--keys', join(witness.data, 'keys.db')]
  await must(process.execPath, [SERVER, 'restore', '--data', data, '--name', 'test', ...from, ...keys])
  const at = `http://127.0.0.1:${port}`
  const note = client.path('witnessed')
  const opened = [
    ...['init', '--data', data, '--name', 'next', '--origin', NEXT, '--profile', 'events', '--successor-of', note],
  ]
  const [vkey = ''] = (await must(process.execPath, [SERVER, ...opened])).split('\n')
  const { origin, size, root } = parseCheckpoint(readFileSync(note, 'utf8').split('\n\n')[0]!.concat('\n'))
  const successorOf = { origin, size: Number(size), root: toBase64(root) }
  const document = policyDocument(NEXT, vkey, [administrator], rules, { successorOf })
  const policy = client.write('next.json', signedPolicy(document, [administrator]))
  await must(process.execPath, [SERVER, ...opened, '--policy', policy])
  const cosigner = await makeWitness('witness.example/next')
  const own = client.write('next.txt', `log ${vkey} ${at}/next\nwitness w ${cosigner.vkey} ${cosigner.url}\nquorum w\n`)
  const serve = () => startServer(data, ['--listen', `127.0.0.1:${port}`, '--witness-policy', own, ...OFTEN])
  return { data, at, vkey, cosigner, own, serve }
}

/** Steps of the successor: 1 a fine-tuning of the model, 2 its release. */
export const AFTER = [
  step({ type: 'tune', consumed: ['model.bin', 'tokenizer.json'], produced: ['tuned.bin'], origin: NEXT }),
  step({ type: 'release', consumed: ['tuned.bin'], produced: ['app.tar'], by: intruder, origin: NEXT }),
]
