/** What the command line refuses, and what it says of itself. */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { createKeyFiles } from '../../src/client/signing-key.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog, temporaryFolder } from '../support/server.ts'
import { AWAY, NOWHERE, ORIGIN, Programs } from './programs.ts'

const folder = temporaryFolder(t)
const programs = new Programs(folder)
const trainer = createKeyFiles(programs.path('trainer'), 'ed25519')
for (const name of ['admin', 'stranger']) createKeyFiles(programs.path(name), 'ed25519')
const { vkey } = await makeEventLog(programs.path('data'), [new Actor()], [{ actor: { key: trainer } as Actor }], {
  name: 'models',
  origin: ORIGIN,
})
programs.write('trust.txt', `log ${vkey}\nquorum none\n`)
const server = await programs.serve()

t.test('usage', async (t) => {
  chmodSync(programs.path('stranger.key'), 0o644)
  for (const name of ['model.bin', 'statement.json']) programs.write(name, '{}')
  mkdirSync(programs.path('x=1'))
  programs.write('x=1/y', 'y')
  programs.write('token', 'secret')
  const submit = ['submit', ...programs.log(server.url)]
  const typed = [...submit, '--key', 'trainer.key', '--type', 'urn:x']
  const refused: readonly string[][] = [
    ['nothing'],
    ['policy'],
    ['policy', 'nothing'],
    ['keygen'],
    ['keygen', 'admin'],
    ['keygen', 'x', '--algorithm', 'rsa'],
    ['get', '--log', server.url],
    ['get', '--log', server.url, 'x'],
    ['get', '--log', 'log.example', '1'],
    ['get', '--log', server.url, '1', '--nothing'],
    ['get', '--log', server.url, '1', '--patience', 'x'],
    ['get', '--log', server.url, '1', '--token-file', 'token'],
    ['evidence', '--log', server.url, '--artifact', 'statement.json'],
    [...submit, '--type', 'urn:x', '--produced', 'model.bin'],
    [...submit, '--key', 'stranger.key', '--type', 'urn:x', '--produced', 'model.bin'],
    typed,
    [...typed, '--produced', 'model.bin', '--produced', 'x=1/../model.bin'],
    [...typed, '--statement', 'statement.json'],
    [...typed, '--produced', 'none'],
    [...typed, '--produced', 'model.bin', 'model.bin'],
    [...typed, '--produced', 'model.bin', '--parameter', 'x'],
    [...typed, '--produced', 'model.bin', '--parameter', 'x=1', '--parameter', 'x=2'],
    [...typed, '--produced', 'model.bin', '--started', 'yesterday'],
    [...submit, '--key', 'trainer.key', '--statement', 'statement.json', '--produced', 'model.bin'],
    ['policy', 'sign', 'model.bin', '--key', 'admin.key'],
    ['policy', 'new', '--log-key', 'x', '--administrator', 'admin.pub'],
    ['trust', 'log.example'],
    ['redact', ...programs.log(server.url), '--key', 'admin.key', '--reason', 'x'],
  ]
  await some(refused, async (args) => {
    const { code, err } = await programs.run(args)
    t.ok(code === 2 && /^treeline: /.test(err), `${args.join(' ')}: ${code} ${err}`)
  })
  await programs.expecting(4, ['get', '--log', NOWHERE, ...AWAY, '1'])
  await programs.expecting(3, ['get', '--log', server.url, '999'])
  await programs.expecting(3, ['trust', server.url.replace('models', 'others')])
  // A path with "=" in it is a path.
  const { out } = await programs.expecting(
    0,
    [
      ...submit.slice(0, 1),
      ...programs.log(NOWHERE),
      '--key',
      'trainer.key',
      '--type',
      'urn:x',
      '--produced',
      'x=1/y',
      ...AWAY,
      '--json',
    ],
    { TREELINE_STATE: programs.path('other-state') },
  )
  const made = JSON.parse(readFileSync(JSON.parse(out).spooled, 'utf8'))
  t.equal(JSON.parse(Buffer.from(made.payload, 'base64').toString()).subject[0].name, 'y')
})

t.test('help', async (t) => {
  const { out } = await programs.expecting(0, ['--help'])
  const commands = [...out.matchAll(/^ {2}(\S+(?: \S+)?) {2,}/gm)].map(([, name]) => name!.split(' '))
  t.ok(commands.length >= 14, `${commands.length} commands`)
  await some(commands, async (words) => {
    const { out: help } = await programs.expecting(0, [...words, '--help'])
    t.match(help, `usage: treeline ${words.join(' ')} [FLAGS]`)
  })
  t.match((await programs.expecting(0, ['policy', '--help'])).out, /policy suspend/)
  await server.stop()
})

/** Three at a time: each is a process. */
async function some<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const rest = [...all]
  const worker = async (): Promise<void> => {
    for (let one = rest.shift(); one !== undefined; one = rest.shift()) await work(one)
  }
  await Promise.all([worker(), worker(), worker()])
}
