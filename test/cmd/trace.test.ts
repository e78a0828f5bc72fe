/** Trace, blast radius and reports as users run them, over two logs of one server. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { createKeyFiles } from '../../src/client/signing-key.ts'
import { ORIGIN, Programs } from '../client/programs.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog, makeRawLog, temporaryFolder } from '../support/server.ts'

const programs = new Programs(temporaryFolder(t))
const keys = Object.fromEntries(
  ['admin', 'curator', 'trainer', 'stranger'].map((name) => [name, createKeyFiles(programs.path(name), 'ed25519')]),
)
const actorOf = (name: string): Actor => ({ key: keys[name] }) as Actor
// Its private key signs the first policy; the one of the file signs what comes later.
const administrator = new Actor()
const models = await makeEventLog(
  programs.path('data'),
  [administrator],
  [{ actor: actorOf('trainer'), name: 'trainer' }],
  { name: 'models', origin: ORIGIN },
)
const datasets = await makeEventLog(
  programs.path('data'),
  [administrator],
  [{ actor: actorOf('curator'), name: 'curator' }],
  { name: 'datasets', origin: 'log.example/datasets' },
)
writeFileSync(programs.path('admin.key'), administrator.privateKey.export({ format: 'pem', type: 'pkcs8' }), {
  mode: 0o600,
})
// Another log of the server that the reader trusts: it has no lineage, and is not accused of hiding any.
const raw = await makeRawLog(programs.path('data'))
const server = await programs.serve()
t.teardown(() => server.stop())
const other = server.url.replace('/models', '/datasets')
programs.write(
  'both.txt',
  `log ${models.vkey} ${server.url}\nlog ${datasets.vkey} ${other}\nlog ${raw} ${server.url.replace('models', 'raw')}\nquorum none\n`,
)
programs.write('models.txt', `log ${models.vkey}\nquorum none\n`)
const trusting = (file: string): string[] => ['--log', server.url, '--trust', file]

for (const name of ['raw.csv', 'train.csv', 'model.bin', 'app.tar']) programs.write(name, name)
const logged = async (log: string, key: string, type: string, consumed: string[], produced: string): Promise<void> => {
  programs.write('one.txt', `log ${log === server.url ? models.vkey : datasets.vkey}\nquorum none\n`)
  const made = ['--key', `${key}.key`, '--type', `urn:treeline:${type}:v1`, '--produced', produced]
  const files = consumed.flatMap((file) => ['--consumed', file])
  await programs.expecting(0, ['submit', '--log', log, '--trust', 'one.txt', ...made, ...files])
}
await logged(other, 'curator', 'label', ['raw.csv'], 'train.csv')
await logged(server.url, 'trainer', 'train', ['train.csv'], 'model.bin')
await logged(server.url, 'trainer', 'package', ['model.bin'], 'app.tar')

t.test('lineage leads through the logs of a server', async (t) => {
  const up = await programs.expecting(0, ['trace', ...trusting('both.txt'), 'app.tar', '--complete'])
  t.match(up.out, /^1 +models +2 .* trainer +urn:treeline:package:v1$/m)
  t.match(up.out, /^2 +models +1 .* trainer +urn:treeline:train:v1$/m)
  t.match(up.out, /^3 +datasets +1 .* curator +urn:treeline:label:v1$/m)
  t.match(up.err, /verified: 3 events, .* nothing is left out of the 2 entries of datasets, 3 entries of models\n/)
  const down = await programs.expecting(0, ['trace', ...trusting('both.txt'), 'raw.csv', '--down', '--json'])
  const { lineage } = JSON.parse(down.out)
  t.strictSame(
    lineage.events.map(({ log, index }: { log: string; index: number }) => `${log} ${index}`),
    ['datasets 1', 'models 1', 'models 2'],
  )
  t.match(down.err, /whether the server left something out only --complete can say/)
  const alone = await programs.expecting(1, ['trace', ...trusting('models.txt'), 'app.tar'])
  t.match(
    alone.err,
    /NOT SHOWN: the lineage leads through log.example\/datasets \(event 1\), of which no trust policy has a key/,
  )
  t.match(alone.out, /^2 +models +1 /m, 'the rest is shown all the same')
  const unmet = await programs.expecting(0, ['trace', ...trusting('models.txt'), 'app.tar', '--depth', '1'])
  t.match(
    unmet.err,
    /also looked at log.example\/datasets, of which no trust policy has a key, and tells of no step there/,
  )
  t.match((await programs.expecting(0, ['trace', ...trusting('both.txt'), 'app.tar', '--dot'])).out, /^digraph lineage/)
  const prov = JSON.parse((await programs.expecting(0, ['trace', ...trusting('both.txt'), 'app.tar', '--prov'])).out)
  t.equal(Object.keys(prov.activity).length, 3)
  for (const wrong of [['nowhere.bin'], ['app.tar', '--dot', '--prov']])
    await programs.expecting(2, ['trace', ...trusting('both.txt'), ...wrong])
})

t.test('a report, verified offline', async (t) => {
  const report = ['--report', 'report', '--complete']
  await programs.expecting(0, ['blast-radius', ...trusting('both.txt'), '--artifact', 'raw.csv', ...report])
  t.strictSame(readdirSync(programs.path('report')).sort(), [
    'VERIFY.md',
    'checkpoints',
    'evidence',
    'report.html',
    'report.json',
  ])
  const again = await programs.expecting(2, ['trace', ...trusting('both.txt'), 'raw.csv', ...report])
  t.match(again.err, /report is not empty/)
  const verify = ['verify', '--trust', 'both.txt', 'report']
  const verified = await programs.expecting(0, verify)
  t.match(verified.out, /^verified: a report of 3 events and 4 artifacts, made .*\n {2}What raw.csv \(sha256:/)
  t.match(verified.out, /models \(log.example\/models\): whoever made it says that all 3 entries were read/)
  t.match(JSON.parse((await programs.expecting(0, [...verify, '--json'])).out), { events: 3, faults: [] })
  await programs.expecting(1, ['verify', '--trust', 'models.txt', 'report'])
  await programs.expecting(2, [...verify, '--artifact', 'raw.csv'])
  cpSync(programs.path('report'), programs.path('tampered'), { recursive: true })
  const page = programs.path('tampered/report.html')
  writeFileSync(page, readFileSync(page, 'utf8').replace('raw.csv', 'other.csv'))
  const tampered = await programs.expecting(1, ['verify', '--trust', 'both.txt', 'tampered'])
  t.match(tampered.err, /report.html is not what report.json says/)
})

t.test('what a key reached: by name, file or id, since the policy doubts it', async (t) => {
  const radius = (...more: string[]) =>
    programs.expecting(0, ['blast-radius', ...trusting('both.txt'), '--json', ...more])
  const indexes = ({ out }: { out: string }) =>
    JSON.parse(out).lineage.events.map(({ log, index }: { log: string; index: number }) => `${log} ${index}`)
  for (const key of ['trainer.pub', keys.trainer!.id])
    t.strictSame(indexes(await radius('--key', key)), ['models 1', 'models 2'])
  const all = JSON.parse((await radius('--key', 'trainer')).out)
  const time: number = all.lineage.events[1].time
  t.strictSame(indexes(await radius('--key', 'trainer', '--since', new Date(time).toISOString())), ['models 2'])
  t.strictSame(
    indexes(await radius('--key', 'trainer', '--until', String(time))),
    ['models 1', 'models 2'],
    'what came of it',
  )
  t.strictSame(indexes(await radius('--key', 'stranger.pub')), [])
  await programs.expecting(2, ['blast-radius', ...trusting('both.txt'), '--key', 'nobody'])
  await programs.expecting(2, ['blast-radius', ...trusting('both.txt')])

  const since = new Date(time).toISOString()
  const suspend = ['policy', 'suspend', 'trainer', '--key', 'admin.key', '--compromised-since', since]
  await programs.expecting(0, [...suspend, '--log', server.url, '--trust', 'models.txt'])
  const doubted = await radius('--key', 'trainer')
  t.match(doubted.err, `the write policy doubts the key since ${since}`)
  t.strictSame(indexes(doubted), ['models 2'])
  t.strictSame(indexes(await radius('--key', 'trainer', '--since', '0')), ['models 1', 'models 2'])
  // The route begins there too, also when another log of the server is asked, and says so.
  const told = async (more: string) => (await fetch(`${other}/v1/lineage?signer=${keys.trainer!.id}&${more}`)).json()
  t.match(await told('direction=down'), { since: time, compromisedSince: time, events: [{ log: 'models', index: 2 }] })
  t.match(await told('direction=down&since=0'), {
    since: 0,
    compromisedSince: time,
    events: [{ index: 1 }, { index: 2 }],
  })
  t.notOk(
    'since' in
      (await told('direction=down')
        .then(() => fetch(`${other}/v1/lineage?signer=${keys.curator!.id}`))
        .then((answer) => answer.json())),
  )
})
