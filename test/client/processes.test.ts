/** The spool over processes: killed, two at once, refused, and a log that forks. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createKeyFiles } from '../../src/client/signing-key.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog, temporaryFolder } from '../support/server.ts'
import vectors from '../vectors/c2sp-keys.json' with { type: 'json' }
import { middle } from './middle.ts'
import { AWAY, NOWHERE, ORIGIN, Programs, subjectsOf } from './programs.ts'

const folder = temporaryFolder(t)
const programs = new Programs(folder)
const trainer = createKeyFiles(programs.path('trainer'), 'ed25519')
for (const name of ['admin', 'stranger']) createKeyFiles(programs.path(name), 'ed25519')
const { vkey } = await makeEventLog(programs.path('data'), [new Actor()], [{ actor: { key: trainer } as Actor }], {
  name: 'models',
  origin: ORIGIN,
})
programs.write('trust.txt', `log ${vkey}\nquorum none\n`)
let server = await programs.serve()

t.test('a log that is down fails no pipeline, and a killed drain loses and repeats nothing', async (t) => {
  await server.stop()
  const { code, out, err } = await programs.run(programs.submission(NOWHERE, 'while away', ...AWAY))
  t.equal(code, 0)
  t.match(out, /^spooled: the event waits in /)
  t.match(err, /UNREACHABLE/)
  t.match(JSON.parse((await programs.expecting(0, programs.submission(NOWHERE, 'also away', ...AWAY, '--json'))).out), {
    spooled: String,
  })
  await programs.expecting(4, ['drain', ...programs.log(NOWHERE), ...AWAY])
  t.equal(programs.stateFiles('spool').length, 2)
  const many = Array.from({ length: 12 }, (_, i) => `many ${i}`)
  await programs.spool(many)
  server = await programs.serve()

  // The drainer is killed before the log has the event, before it has the answer, and right after.
  let at = 0
  let child: ChildProcess | undefined
  const { url } = await middle(t, server.url.replace('/models', ''), async ({ method }, forward, response) => {
    if (method !== 'POST') return forward()
    at++
    if (at === 3) child?.kill('SIGKILL')
    const answer = await forward()
    if (at === 6) child?.kill('SIGKILL')
    if (at === 9) response.on('finish', () => child?.kill('SIGKILL'))
    return answer
  })
  const killed: (string | null)[] = []
  for (let run = 0; run < 3; run++) {
    child = programs.start('treeline', ['drain', ...programs.log(`${url}/models`)])
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
    killed.push(signal)
  }
  t.same(killed, ['SIGKILL', 'SIGKILL', 'SIGKILL'])
  t.ok(programs.stateFiles('spool').length > 0)
  const { out: last } = await programs.expecting(0, ['drain', ...programs.log(server.url)])
  t.match(last, /, 0 refused, 0 left in the spool\n/)
  t.same(await subjectsOf(server.url), ['while away', 'also away', ...many], 'each once, in order')
})

t.test('two drainers share one spool', async (t) => {
  const names = Array.from({ length: 10 }, (_, i) => `shared ${i}`)
  await programs.spool(names)
  const { url } = await middle(t, server.url.replace('/models', ''), async (_, forward) => {
    await new Promise((resolve) => setTimeout(resolve, 50))
    return forward()
  })
  const results = await Promise.all([1, 2, 3].map(() => programs.run(['drain', ...programs.log(`${url}/models`)])))
  // Whoever comes while another drains is told so; whoever comes after it finds nothing to do.
  for (const { code, err } of results) t.ok(code === 0 || (code === 2 && /LOCKED/.test(err)), `${code} ${err}`)
  t.ok(results.some(({ code }) => code === 0))
  t.same(programs.stateFiles('spool'), [])
  t.same((await subjectsOf(server.url)).slice(-10), names)
})

t.test('a refusal: exit 3, and the event with its problem is put aside', async (t) => {
  const foreign = [
    'submit',
    ...programs.log(server.url),
    '--key',
    'stranger.key',
    '--type',
    'urn:x',
    '--produced',
    programs.write('model.bin', 'weights'),
  ]
  t.match(await programs.expecting(3, foreign), { err: /UNKNOWN_KEY/ })
  await programs.expecting(0, [...foreign.map((arg) => (arg === server.url ? NOWHERE : arg)), ...AWAY])
  const { err } = await programs.expecting(3, programs.submission(server.url, 'after the refused'))
  t.match(err, /refused: .*UNKNOWN_KEY\); the event is in .*rejected/)
  t.equal((await subjectsOf(server.url)).at(-1), 'after the refused')
  const rejected = programs.stateFiles('rejected')
  t.equal(rejected.length, 2)
  await programs.expecting(0, [...foreign.map((arg) => (arg === server.url ? NOWHERE : arg)), ...AWAY])
  const drained = await programs.expecting(3, ['drain', ...programs.log(server.url), '--json'])
  t.match(JSON.parse(drained.out), { logged: [], rejected: [{ code: 'UNKNOWN_KEY' }], left: 0 })
})

/** Of another log. */
const otherKey = vectors.keys.log.vkey

t.test('a log with two histories: exit 1, and evidence', async (t) => {
  await server.stop()
  cpSync(programs.path('data'), programs.path('twin'), { recursive: true })
  server = await programs.serve()
  await programs.expecting(0, programs.submission(server.url, 'in one history', ...AWAY))
  await server.stop()
  rmSync(programs.path('data'), { recursive: true })
  cpSync(programs.path('twin'), programs.path('data'), { recursive: true })
  server = await programs.serve()
  await programs.spool(['in the other', 'in the other too'])
  const { err } = await programs.expecting(1, ['drain', ...programs.log(server.url)])
  t.match(err, /contradicts itself.*INVALID_LOG/)
  const faults = programs.stateFiles('.').filter((name) => name.startsWith('fault-'))
  t.equal(faults.length, 1)
  const [log = ''] = readdirSync(programs.state)
  const file = join(programs.state, log, faults[0]!)
  const { out } = await programs.expecting(0, ['verify', '--trust', 'trust.txt', file])
  // Which of the two depends on whether the second event was published before the first receipt was compared.
  const differ =
    /signed two trees of size \d+ with different roots|signed at size \d+ is no part of what it signed at size/
  t.match(out, /^a fault is proved: .*log.example\/models/)
  t.match(out, differ)
  const other = programs.write('other.txt', `log ${otherKey}\nquorum none\n`)
  await programs.expecting(1, ['verify', '--trust', other, file])
  programs.write('cut.txt', readFileSync(file, 'utf8').slice(0, -9))
  await programs.expecting(1, ['verify', '--trust', 'trust.txt', 'cut.txt'])
  await programs.expecting(1, programs.submission(server.url, 'later'))
})

t.teardown(() => server.stop())
