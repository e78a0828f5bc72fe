/** A log is lost, restored, and succeeded: by the programs, as an operator and an auditor run them. */
import { once } from 'node:events'
import { copyFileSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import t from 'tap'
import { logFiles } from '../../src/store/folder.ts'
import { ORIGIN, Programs } from '../client/programs.ts'
import { restoreInto } from '../support/copies.ts'
import { temporaryFolder } from '../support/server.ts'

const NEXT = 'log.example/models-2'
const programs = new Programs(temporaryFolder(t))
const data = programs.path('after')
const note = programs.path('witnessed')
const init = (...more: string[]) => {
  const given = (name: string, value: string) => (more.includes(name) ? [] : [name, value])
  const defaults = [...given('--name', 'models-2'), ...given('--origin', NEXT), ...given('--profile', 'events')]
  return programs.server('init', '--data', data, ...defaults, ...more)
}
const policyNew = (vkey: string, out: string, ...more: string[]) => [
  ...['policy', 'new', '--log-key', vkey, '--administrator', 'admin.pub', '--signer', 'trainer=trainer.pub'],
  ...['--out', out, ...more],
]

async function serve(): Promise<{ url: string; errors: string[]; stop(): Promise<void> }> {
  const flags = ['--listen', '127.0.0.1:0', '--publish-interval', '20']
  const child = programs.start('treeline-server', ['serve', '--data', data, ...flags])
  t.teardown(() => child.kill('SIGKILL'))
  const errors: string[] = []
  createInterface({ input: child.stderr! }).on('line', (line) => errors.push(line))
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
  const closed = once(child, 'close')
  return {
    url: /listens on (\S+)/.exec(line)![1]!,
    errors,
    async stop() {
      child.kill('SIGTERM')
      await closed
    },
  }
}

t.test('a log with two events is lost, and restored', async (t) => {
  const [first] = await Promise.all([
    programs.init(),
    ...['admin', 'trainer'].map((name) => programs.expecting(0, ['keygen', name])),
  ])
  const vkey = first.out.trim()
  await programs.expecting(0, policyNew(vkey, 'policy.json'))
  await programs.expecting(0, ['policy', 'sign', 'policy.json', '--key', 'admin.key', '--out', 'signed.json'])
  t.equal((await programs.init('--policy', 'signed.json')).code, 0)
  const served = await programs.serve()
  await programs.expecting(0, ['trust', served.url, '--out', 'trust.txt'])
  await programs.expecting(0, programs.submission(served.url, 'model.bin'))
  await served.stop()
  const lost = programs.path('data')
  t.match(await restoreInto(data, lost, 'models'), { size: 2 })
  copyFileSync(logFiles(lost, 'models').published, note)
})

t.test('the commands of the server know a restored log', async (t) => {
  t.match(await programs.server('check', '--data', data), {
    code: 0,
    out: /^models: 2 entries.*all agree \(restored\)/,
  })
  t.match(await programs.server('token', 'add', '--data', data, '--log', 'models', '--scope', 'tree'), {
    code: 0,
    out: /^tl_/,
  })
  rmSync(`${data}/tokens.json`)
  const again = await init('--name', 'models', '--origin', ORIGIN)
  t.match([again.code, again.err], [2, /exists already/])
  const twin = await init('--name', 'twin', '--origin', ORIGIN)
  t.match([twin.code, twin.err], [2, /the log models of .* has the origin log.example\/models already/])
})

t.test('init opens a successor of it, and of nothing else', async (t) => {
  const refused = async (message: RegExp, ...more: string[]): Promise<void> => {
    const { code, err } = await init(...more)
    t.match([code, err], [2, message])
  }
  programs.write(
    'empty',
    'log.example/models\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— log.example/models AAAAAAAA\n',
  )
  await refused(/raw log has no genesis/, '--profile', 'raw', '--successor-of', note)
  await refused(/cannot be used/, '--successor-of', programs.path('policy.json'))
  await refused(/cannot be used/, '--successor-of', programs.path('empty'))
  t.notOk(readdirSync(`${data}/logs`).includes('models-2'), 'nothing was begun')

  const first = await init('--successor-of', note)
  t.match(first, { code: 0, err: /policy new --log-key '.*' --successor-of FILE/ })
  const vkey = first.out.trim()
  await programs.expecting(2, policyNew(vkey, 'bad.json', '--successor-of', 'signed.json'))
  await programs.expecting(0, policyNew(vkey, 'next.json', '--successor-of', note))
  t.match(JSON.parse(readFileSync(programs.path('next.json'), 'utf8')), { successorOf: { origin: ORIGIN, size: 2 } })
  await programs.expecting(0, ['policy', 'sign', 'next.json', '--key', 'admin.key', '--out', 'next.signed'])
  const signed = programs.path('next.signed')
  await refused(/give --successor-of/, '--policy', signed)
  // The lost log itself, put beside: it would go on signing.
  const active = await programs.server(
    ...['init', '--data', programs.path('data'), '--name', 'models-2', '--origin', NEXT, '--profile', 'events'],
    ...['--policy', signed, '--successor-of', note],
  )
  t.match([active.code, active.err], [2, /would go on signing/])
  t.match(await init('--policy', signed, '--successor-of', note), { code: 0, out: vkey })
})

t.test('what users of the successor see', async (t) => {
  const served = await serve()
  const [old, next] = [`${served.url}/models`, `${served.url}/models-2`]
  const shown = await programs.expecting(0, ['trust', next, '--out', 'next.txt'])
  const succeeds = new RegExp(`succeeds ${ORIGIN} at size 2, root [A-Za-z0-9+/]{43}=`)
  t.match(shown, { out: succeeds, err: /It answers with receipts of log.example\/models/ })
  t.match(readFileSync(programs.path('next.txt'), 'utf8'), succeeds)
  t.match(JSON.parse((await programs.expecting(0, ['trust', next, '--json'])).out).successorOf, { origin: ORIGIN })
  t.match((await programs.expecting(0, ['trust', old, '--out', 'old.txt'])).out, /restored from a copy/)
  const lines = ['old.txt', 'next.txt'].map((name) => readFileSync(programs.path(name), 'utf8'))
  programs.write('both.txt', lines.join('').replace('quorum none\n', ''))

  const { out } = await programs.expecting(0, ['get', '--log', old, '1', '--json'])
  programs.write('old.json', JSON.stringify(JSON.parse(out).envelope))
  const submit = (trust: string, ...more: string[]) => ['submit', '--log', next, '--trust', trust, ...more]
  const again = ['--envelope', 'old.json', '--public-key', 'trainer.pub']
  t.match(
    (await programs.expecting(0, submit('both.txt', ...again))).out,
    /^already logged at index 1 of log.example\/models;/,
  )
  // Without the other key nothing is lost, and it says what to do. 1: what the log answered was not verified.
  const { err } = await programs.expecting(1, submit('next.txt', ...again, '--state', 'narrow'))
  t.match(err, /pin it too.*The event is kept in .*UNVERIFIED_NOTE/s)
  const event = [
    '--key',
    'trainer.key',
    '--type',
    'urn:treeline:train:v1',
    '--produced',
    programs.write('new.bin', 'new'),
  ]
  t.match(
    (await programs.expecting(0, submit('both.txt', ...event, '--receipt', 'new.json'))).out,
    /^logged at index 1 of log.example\/models-2/,
  )
  await programs.expecting(0, ['evidence', '--log', next, '--trust', 'both.txt', 'new.json', '--out', 'new.proof'])
  await programs.expecting(0, ['evidence', '--log', old, '--trust', 'both.txt', '1', '--out', 'old.proof'])
  const withKey = ['--key', 'admin.key', '--log', next, '--trust', 'both.txt']
  await programs.expecting(0, ['policy', 'suspend', 'trainer', ...withKey])
  await served.stop()
  t.match(
    (await programs.expecting(0, ['verify', 'new.proof', '--trust', 'both.txt'])).out,
    /the log succeeds log.example\/models at size 2/,
  )
  t.notMatch((await programs.expecting(0, ['verify', 'old.proof', '--trust', 'both.txt'])).out, /succeeds/)
  t.match(JSON.parse((await programs.expecting(0, ['verify', 'new.proof', '--trust', 'next.txt', '--json'])).out), {
    successorOf: { origin: ORIGIN, size: 2 },
  })
  t.match(await programs.server('check', '--data', data), {
    code: 0,
    out: /models: 2 entries[\s\S]*models-2: 3 entries/,
  })

  // The operator is told at the start, not by an event that is logged twice.
  rmSync(logFiles(data, 'models').blinding)
  copyFileSync(logFiles(programs.path('data'), 'models').key, logFiles(data, 'models').key)
  const warned = await serve()
  await warned.stop()
  t.match(warned.errors.join('\n'), /blinding.key is missing: the log that succeeds this one does not know/)
  t.match(warned.errors.join('\n'), /log.key is not used: a restored log never signs/)
})
