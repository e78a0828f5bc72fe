/** Lineage of manifests and of artifacts past those that an entry shows, held against evidence; and what other programs make of what we write. */
import { readFileSync, writeFileSync } from 'node:fs'
import { idOf } from '../client/history.ts'
import { check, ROOT, run } from './lane.ts'
import type { Client, lostLog, succeed } from './responder-world.ts'
import { needProgram, pythonTool } from './tools.ts'

type Lost = Awaited<ReturnType<typeof lostLog>>
type Next = Awaited<ReturnType<typeof succeed>>

export async function manifests(client: Client, { trust }: Lost, { at, own }: Next): Promise<void> {
  const both = ['--log', `${at}/test`, '--trust', trust, '--trust', own]
  const tokenizer = client.write('tokenizer.json')
  const listed = [/test +4 .*model-signer +https:\/\/model_signing/, /examined +model \(/, /file +tokenizer.json \(/]
  const down = ['trace', ...both, tokenizer, '--down', '--complete', '--report', client.path('manifest')]
  await client.expect('a file that stands only in a manifest leads to it', 0, [...listed, /next +1 /], ...down)
  const verify = ['verify', '--trust', trust, '--trust', own]
  await client.expect('with evidence', 0, [/a report of 3 events/], ...verify, client.path('manifest'))
  const up = [/^1 +test +4 /m, /file +tokenizer.json/, /^2 +test +3 .*train:v1$/m]
  await client.expect(
    'the manifest leads up to its files',
    0,
    up,
    'trace',
    ...both,
    client.write('model'),
    '--up',
    '--complete',
  )
  const proof = client.path('tokenizer.proof')
  // Of the restored log, where the manifest is the newest event that names it.
  const evidence = ['evidence', '--log', `${at}/test`, '--artifact', tokenizer, '--out', proof]
  await client.expect('evidence is found by a file of a manifest', 0, [], ...evidence)
  await client.expect(
    'and names it',
    0,
    [/event at index 4/, /it names .*tokenizer.json/],
    ...verify,
    '--artifact',
    tokenizer,
    proof,
  )
  const other = [/does not name the digest/]
  await client.expect('and no other', 1, other, ...verify, '--artifact', client.write('raw.csv'), proof)
  for (const shard of ['shard 0', 'shard 69']) {
    const merged = [/^1 +test +5 .*merge:v1$/m, /produced +merged/]
    await client.expect(
      `${shard} of 70 leads on`,
      0,
      merged,
      'trace',
      ...both,
      client.write(shard),
      '--down',
      '--complete',
    )
  }
  const found = [/these [1-9] entries, and no other/, / 4 {2}event/]
  await client.expect(
    'search finds it',
    0,
    found,
    'search',
    '--log',
    `${at}/test`,
    '--trust',
    trust,
    '--complete',
    '--artifact',
    idOf('tokenizer.json'),
  )
}

interface Counts {
  readonly counts: Readonly<Record<string, number>>
  readonly dangling: readonly string[]
  readonly stable: boolean
}

/** The package `prov`, and Graphviz. */
export async function judges(client: Client, { trust }: Lost, { at, own }: Next): Promise<void> {
  await needProgram('dot', 'apt-get install graphviz')
  const python = await pythonTool('prov', 'python')
  const count = async (file: string) => run(python, [`${ROOT}test/tools/prov/count.py`, file])
  const both = ['--log', `${at}/next`, '--trust', trust, '--trust', own, client.path('app.tar')]
  client.write('app.tar')
  const { printed } = await client.run('trace', ...both, '--up', '--json')
  const { lineage } = JSON.parse(printed) as {
    lineage: { artifacts: object[]; events: { keys: string[] }[]; edges: { role: string }[] }
  }
  const prov = (await client.run('trace', ...both, '--up', '--prov')).printed
  const judged = await count(client.write('lineage.provn.json', prov))
  check('the package prov loads our PROV-JSON', judged.code === 0, judged.output)
  const { counts, dangling, stable } = JSON.parse(judged.output) as Counts
  const produced = lineage.edges.filter(({ role }) => role === 'produced').length
  const expected = {
    ProvEntity: lineage.artifacts.length,
    ProvActivity: lineage.events.length,
    ProvAgent: new Set(lineage.events.flatMap(({ keys }) => keys)).size,
    ProvGeneration: produced,
    ProvUsage: lineage.edges.length - produced,
    ProvAssociation: lineage.events.reduce((sum, { keys }) => sum + keys.length, 0),
  }
  const same = Object.entries(expected).every(([name, one]) => one > 0 && counts[name] === one)
  check(
    'and finds all of it, and nothing else',
    same && Object.keys(counts).length === 6,
    JSON.stringify({ counts, expected }),
  )
  check('each relation is between things that are described', dangling.length === 0, dangling.join(', '))
  check('and what it writes is the same document', stable)
  check(
    'by origin',
    /"treeline:origin": "log.example\/next"/.test(prov) && /"treeline:origin": "log.example\/test"/.test(prov),
  )

  const broken = JSON.parse(prov)
  const [used] = Object.keys(broken.used)
  delete broken.prefix
  const unnamed = await count(client.write('broken.json', JSON.stringify(broken)))
  check('the judge refuses a document whose prefix nobody knows', unnamed.code !== 0, unnamed.output)
  const hanging = JSON.parse(prov)
  hanging.used[used!]['prov:entity'] = 'treeline:nowhere'
  const found = await count(client.write('hanging.json', JSON.stringify(hanging)))
  check(
    'and finds a relation to nothing',
    found.code === 0 && (JSON.parse(found.output) as Counts).dangling.length === 1,
    found.output,
  )

  const dot = (await client.run('trace', ...both, '--up', '--dot')).printed
  writeFileSync(client.path('lineage.dot'), dot)
  const drawn = await run('dot', ['-Tsvg', '-o', client.path('lineage.svg'), client.path('lineage.dot')])
  const nodes = drawn.code === 0 ? readFileSync(client.path('lineage.svg'), 'utf8').match(/class="node"/g)?.length : 0
  check(
    'Graphviz draws our DOT, each artifact and event',
    nodes === lineage.artifacts.length + lineage.events.length,
    drawn.output,
  )
  writeFileSync(client.path('lineage.dot'), dot.replace('{', ''))
  const refused = await run('dot', ['-Tsvg', '-o', client.path('broken.svg'), client.path('lineage.dot')])
  check('and refuses a broken one', refused.code !== 0)
}
