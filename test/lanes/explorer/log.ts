/** A log for the explorer to show: a few pipelines with known lineage, more entries than a tile has hashes, and a witness that cosigns it. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { IN_TOTO } from '../../../src/core/payload.ts'
import { Actor, envelope } from '../../support/actors.ts'
import { makeEventLog } from '../../support/server.ts'
import { eventually, must, type Server, startProgram, startServer, tempFolder } from '../lane.ts'

const NAME = 'models'
const ORIGIN = 'lane.example/models'
const WITNESS = 'cmd/treeline-witness.ts'
const RUNS = 60

export interface Shown {
  readonly server: Server
  readonly url: string
  readonly data: string
  readonly vkey: string
  /** C2SP tlog-policy text: this log, and the witness as its quorum. */
  readonly trust: string
  readonly size: number
  /** Of the first model: bytes whose SHA-256 an event names, that digest, and the index of the event that made it. */
  readonly model: {
    readonly bytes: Buffer
    readonly id: string
    readonly index: number
    readonly envelope: string
    readonly receipt: string
  }
  /** Logs one more event at a server of this log. */
  submit(server: string, name: string): Promise<void>
  stop(): Promise<void>
}

interface Resource {
  readonly name: string
  readonly digest: { readonly sha256: string }
}

export const resource = (name: string): Resource => ({
  name,
  digest: { sha256: createHash('sha256').update(name).digest('hex') },
})

/** In every payload: text, whatever it looks like. */
const MARKUP = '<img src="/x" onerror="window.ran = 1"><script>window.ran = 1</script>'

export const step = (type: string, produced: Resource, consumed: readonly Resource[], origin = ORIGIN): object => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [produced],
  predicateType: `urn:treeline:pipeline:${type}:v1`,
  predicate: { origin, consumed, parameters: { seed: 7, note: MARKUP } },
})

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  return port
}

export async function startShown(): Promise<Shown> {
  const data = tempFolder()
  const [trainer, evaluator] = [new Actor(), new Actor('p256')]
  const signers = [
    { actor: trainer, name: 'trainer' },
    { actor: evaluator, name: 'evaluator' },
  ]
  const { vkey } = await makeEventLog(data, [new Actor()], signers, { name: NAME, origin: ORIGIN })
  const port = await freePort()
  const base = `http://127.0.0.1:${port}/${NAME}`
  const first = await startServer(data)
  const [{ genesis }] = (await (await fetch(`${first.url}/v1/logs`)).json()) as [{ genesis: string }]
  await first.stop()
  const witness = await startWitness(vkey, base, genesis)
  const trust = `log ${vkey} ${base}\nwitness w ${witness.vkey} ${witness.server.url}\nquorum w\n`
  const file = join(tempFolder(), 'trust')
  writeFileSync(file, trust)
  const server = await startServer(data, [
    '--listen',
    `127.0.0.1:${port}`,
    '--witness-policy',
    file,
    '--publish-interval',
    '200',
  ])
  const { model, size } = await fill(base, trainer, evaluator)
  await eventually('the witnessed head of everything', async () => {
    const answer = await fetch(`${base}/checkpoint`)
    return answer.ok && Number((await answer.text()).split('\n')[1]) >= size ? true : undefined
  })
  return {
    ...{ server, url: server.url, data, vkey, trust, size, model },
    async submit(at, name) {
      await submitTo(`${at}/${NAME}`, step('ingest', resource(name), []), trainer)
    },
    async stop() {
      await server.stop()
      await witness.server.stop()
    },
  }
}

async function startWitness(vkey: string, url: string, genesis: string): Promise<{ server: Server; vkey: string }> {
  const data = tempFolder()
  const output = await must(process.execPath, [WITNESS, 'init', '--data', data, '--name', 'witness.example/w'])
  const logs = join(data, 'logs.json')
  writeFileSync(logs, JSON.stringify({ logs: [{ vkeys: [vkey], url, genesis, keeper: true }] }))
  const flags = ['run', '--data', data, '--logs', logs, '--listen', '127.0.0.1:0', '--log-level', 'error']
  return { server: await startProgram(WITNESS, [...flags, '--audit-interval', '200']), vkey: output.trim() }
}

interface Submitted {
  readonly envelope: string
  readonly receipt: string
  readonly index: number
}

async function submitTo(base: string, statement: object, actor: Actor): Promise<Submitted> {
  const body = envelope(IN_TOTO, statement, [actor])
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${base}/v1/events`, { method: 'POST', headers, body })
  if (answer.status !== 201) throw new Error(`an event was not taken: ${answer.status} ${await answer.text()}`)
  const receipt = await answer.text()
  return { envelope: body, receipt, index: (JSON.parse(receipt) as { index: number }).index }
}

/** Five steps a run; the model of the first run goes into the release of the last one too. */
async function fill(base: string, trainer: Actor, evaluator: Actor): Promise<Pick<Shown, 'model' | 'size'>> {
  const submit = (statement: object, actor: Actor) => submitTo(base, statement, actor)
  let model: Shown['model'] | undefined
  for (let run = 0; run < RUNS; run++) {
    const raw = resource(`raw/iris-${run}.csv`)
    const split = resource(`split/train-${run}.csv`)
    const made = resource(`model/forest-${run}.json`)
    const report = resource(`evaluation/report-${run}.json`)
    await submit(step('ingest', raw, []), trainer)
    await submit(step('split', split, [raw]), trainer)
    const trained = await submit(step('train', made, [split]), trainer)
    model ??= { ...trained, bytes: Buffer.from(made.name), id: `sha256:${made.digest.sha256}` }
    await submit(step('evaluate', report, [made]), evaluator)
    await submit(step('release', resource(`release/${run}`), [made, report]), evaluator)
  }
  await submit(
    step('release', resource('release/ensemble'), [
      resource('model/forest-0.json'),
      resource(`model/forest-${RUNS - 1}.json`),
    ]),
    evaluator,
  )
  const about = { origin: ORIGIN, index: model!.index, reason: 'trained on data that was withdrawn' }
  const subject = [resource('quarantine/1')]
  const quarantine = {
    _type: 'https://in-toto.io/Statement/v1',
    subject,
    predicateType: 'urn:treeline:quarantine:v1',
    predicate: about,
  }
  const { index: last } = await submit(quarantine, evaluator)
  return { model: model!, size: last + 1 }
}
