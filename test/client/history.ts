/** A small history with known lineage, in a real log behind a server that may lie. */
import { createHash } from 'node:crypto'
import { toUtf8 } from '../../src/core/bytes.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, envelope } from '../support/actors.ts'
import { post } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'
import { liarBefore } from './liar.ts'

type Test = { teardown(f: () => unknown): unknown }

export const trainer = new Actor()
export const intruder = new Actor()
const sha = (name: string): string => createHash('sha256').update(name).digest('hex')
export const idOf = (name: string): string => `sha256:${sha(name)}`
const resource = (name: string) => ({ name, digest: { sha256: sha(name) } })

export interface Step {
  readonly type?: string
  readonly consumed?: readonly string[]
  readonly produced?: readonly string[]
  readonly by?: Actor
  /** The log that it is for. */
  readonly origin?: string
}

/** A statement as `treeline submit --type` writes it; of files that are called what is in them. */
export const step = ({ type = 'step', consumed = [], produced = [], by = trainer, origin = ORIGIN }: Step): string =>
  envelope(
    IN_TOTO,
    {
      _type: 'https://in-toto.io/Statement/v1',
      subject: produced.map(resource),
      predicateType: `urn:treeline:${type}:v1`,
      predicate: { origin, consumed: consumed.map(resource), parameters: {} },
    },
    [by],
  )

/** A statement about the event at an index. */
const mark = (kind: 'quarantine' | 'supersedes', index: number, reason: string): string =>
  envelope(
    IN_TOTO,
    {
      _type: 'https://in-toto.io/Statement/v1',
      subject: [],
      predicateType: `urn:treeline:${kind}:v1`,
      predicate: { origin: ORIGIN, index, reason },
    },
    [trainer],
  )

/** More than an entry shows: the last of them stand only in the payload. */
export const MANY = Array.from({ length: 70 }, (_, i) => `shard ${i}`)
export const SCRIPT = '<script>alert("x")</script>'

export async function tracedLog(t: Test) {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(
    data,
    [new Actor()],
    [
      { actor: trainer, name: 'trainer' },
      { actor: intruder, name: '<b>intruder</b>' },
    ],
  )
  const server = await startServer(data, { publishInterval: 5 })
  t.teardown(() => server.close())
  const { log } = server.opened.logs.get('test')!
  const liar = await liarBefore(t, server.url)
  const submit = async (...events: readonly string[]): Promise<void> => {
    for (const event of events) {
      const answer = await post(server.url, '/test/v1/events', event)
      if (answer.status !== 201) throw new Error(answer.body.toString())
    }
    while (log.published?.size !== log.head.tree.size) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  // 1 raw, 2 split, 3 train, 4 evaluate, 5 release; 6 something else; 7 a second producer of the model; 8 a step with many inputs.
  await submit(
    step({ type: 'raw', produced: ['raw.csv'] }),
    step({ type: 'split', consumed: ['raw.csv'], produced: ['train.csv', 'test.csv'] }),
    step({ type: 'train', consumed: ['train.csv'], produced: ['model'] }),
    step({ type: 'evaluate', consumed: ['test.csv', 'model'], produced: ['report'] }),
    step({ type: 'release', consumed: ['model', 'report'], produced: [SCRIPT] }),
    step({ type: 'other', consumed: ['elsewhere'], produced: ['elsewhere too'] }),
    step({ type: 'train', consumed: ['poison'], produced: ['model'], by: intruder }),
    step({ type: 'merge', consumed: MANY, produced: ['merged'] }),
    mark('quarantine', 2, 'labels were <wrong>'),
  )
  return {
    data,
    vkey,
    trust: parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`)),
    server,
    log,
    liar,
    submit,
    honest: `${server.url}/test`,
    url: `${liar.url}/test`,
  }
}
