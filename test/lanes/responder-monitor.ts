/** treeline monitor beside a real log and a real witness: a fork, an old head, a receipt that the log did not keep, and a loop over a restart of the server. */
import { once } from 'node:events'
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { News } from '../../src/client/monitor.ts'
import { originHash } from '../../src/core/checkpoint.ts'
import { step, trainer } from '../client/history.ts'
import { makeEventLog, ORIGIN } from '../support/server.ts'
import { check, eventually, spawnChild, startServer, tempFolder } from './lane.ts'
import { administrator, Client, makeWitness, OFTEN, published, rules, submit } from './responder-world.ts'
import { freePort } from './s3-servers.ts'

const event = (name: string): string => step({ type: 'train', consumed: ['data'], produced: [name] })

/** Takes news as an alerting system would. */
async function startHook() {
  const taken: News[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    taken.push(...(JSON.parse(body) as { news: News[] }).news)
    response.writeHead(204).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, taken, close: () => server.close() }
}

export async function monitors(): Promise<void> {
  const client = new Client()
  const hook = await startHook()
  const [data, port] = [tempFolder(), await freePort()]
  const { vkey } = await makeEventLog(data, [administrator], rules)
  const at = `http://127.0.0.1:${port}`
  const witness = await makeWitness('witness.example/monitor')
  const own = `log ${vkey} ${at}/test\nwitness w ${witness.vkey} ${witness.url}\nquorum w\n`
  const trust = client.write('trust.txt', own)
  // A reader who asks for no quorum is the one whom a fork can be shown to.
  const lax = client.write('lax.txt', own.replace('quorum w', 'quorum none'))
  const serve = () => startServer(data, ['--listen', `127.0.0.1:${port}`, '--witness-policy', trust, ...OFTEN])
  let server = await serve()
  let cosigner = await witness.start(at, 'test')
  await submit(`${at}/test`, event('one'))
  await published(`${at}/test`, 2)
  await server.stop()
  // What was there at size 2, twice: one goes on in secret, one stands still.
  const [fork, old] = [tempFolder(), tempFolder()]
  for (const copy of [fork, old]) cpSync(join(data, 'logs'), join(copy, 'logs'), { recursive: true })
  server = await serve()

  const out = client.path('news.ndjson')
  const watching = (url: string, policy: string, ...more: string[]) => [
    'monitor',
    '--log',
    `${url}/test`,
    '--trust',
    policy,
    '--type',
    '*',
    '--out',
    out,
    '--webhook',
    hook.url,
    '--patience',
    '1000',
    ...more,
  ]
  const beside = ['--witness', witness.url]
  await client.expect('a first look', 0, [/only grew, to 2 entries/], ...watching(at, trust, ...beside))

  // Without the witness nothing is published: the receipt has to wait.
  await cosigner.stop()
  writeFileSync(client.path('trainer.key'), trainer.privateKey.export({ format: 'pem', type: 'pkcs8' }), {
    mode: 0o600,
  })
  const sent = [
    '--key',
    client.path('trainer.key'),
    '--type',
    'urn:treeline:train:v1',
    '--produced',
    client.write('two'),
  ]
  await client.expect(
    'an event is logged, and its receipt kept',
    0,
    [/index 2/],
    'submit',
    '--log',
    `${at}/test`,
    '--trust',
    trust,
    ...sent,
  )
  const folder = join(client.state, originHash(ORIGIN))
  const receipts = () => readdirSync(join(folder, 'receipts')).length
  check('until it is proved', receipts() === 1)
  const before = tempFolder()
  cpSync(client.state, before, { recursive: true })
  cosigner = await witness.start(at, 'test')
  await published(`${at}/test`, 3)
  const proved = [/only grew, to 3 entries; .* 1 news; 1 receipts proved, 0 wait/]
  await client.expect('news, and the receipt is proved', 10, proved, ...watching(at, trust, ...beside))
  check('and kept no longer', receipts() === 0)
  check(
    'the webhook heard of it',
    hook.taken.some((one) => one.news === 'entry' && one.entry.index === 2),
  )

  const stale = await startServer(old, OFTEN)
  await published(`${stale.url}/test`, 2)
  const hidden = [
    /fault: the log shows an old head: it knows 2 entries, and no longer what it signed at size 3. It was rolled back/,
  ]
  const unaware = ['--state', client.path('fresh')]
  await client.expect(
    'an old head is seen by the witness',
    1,
    hidden,
    ...watching(stale.url, lax, ...beside, ...unaware),
  )
  await client.expect('and by whoever has seen a newer one', 1, hidden, ...watching(stale.url, lax))
  check('the webhook heard of both', hook.taken.filter(({ news }) => news === 'fault').length === 2)
  const forgetful = ['--log', `${stale.url}/test`, '--trust', lax]
  const forgotten = [/the log shows an old head: it knows 2 entries, and no longer what it signed at size 3/]
  await client.expect('so does a replay', 1, forgotten, 'replay', ...forgetful)
  await client.expect('and a trace', 1, forgotten, 'trace', ...forgetful, client.write('one'), '--up')
  await stale.stop()

  const forked = await startServer(fork, OFTEN)
  await submit(`${forked.url}/test`, event('another'), event('more'))
  await published(`${forked.url}/test`, 4)
  const faultsOf = (state: string) =>
    readdirSync(join(state, originHash(ORIGIN))).filter((name) => name.startsWith('fault-'))
  const contradiction = [
    /fault: the log contradicts itself: what it signed at size 3 is no part of what it signed at 4/,
    /INVALID_LOG/,
  ]
  const naive = client.path('naive')
  await client.expect(
    'a fork is seen by the witness',
    1,
    contradiction,
    ...watching(forked.url, lax, ...beside, '--state', naive),
  )
  const [evidence = ''] = faultsOf(naive)
  const convinces = [/a fault is proved/]
  await client.expect(
    'its evidence convinces others',
    0,
    convinces,
    'verify',
    '--trust',
    trust,
    join(naive, originHash(ORIGIN), evidence),
  )
  await client.expect(
    'whoever asks for the quorum is not shown it',
    1,
    [/quorum/],
    ...watching(forked.url, trust, '--state', client.path('strict')),
  )
  await client.expect(
    'a receipt that is in another history',
    1,
    contradiction,
    ...watching(forked.url, lax, '--state', before),
  )
  check('is evidence too', faultsOf(before).length === 1)
  const faults = readFileSync(out, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"news":"fault"'))
    .map((line) => JSON.parse(line))
  check(
    'file and webhook tell of each fault',
    faults.length === 5 && hook.taken.filter(({ news }) => news === 'fault').length === 5,
    JSON.stringify(faults),
  )
  check('and where its evidence is', faults.filter(({ file }) => file !== null && existsSync(file)).length === 2)
  await forked.stop()

  const loop = spawnChild(process.execPath, ['cmd/treeline.ts', ...watching(at, trust), '--loop', '1', '--json'], {
    TREELINE_STATE: client.state,
  })
  let said = ''
  for (const stream of [loop.stdout!, loop.stderr!])
    stream.on('data', (part) => {
      said += part
    })
  const says = (what: RegExp) =>
    eventually(`the loop says ${what}`, async () => (what.test(said) ? true : undefined), 30)
  await says(/only grew, to 3 entries/)
  await server.stop()
  await says(/trying again/)
  server = await serve()
  await submit(`${at}/test`, event('three'))
  await says(/"news":"entry".*"index":3/)
  check('a loop goes on over a restart of the server', loop.exitCode === null)
  const closed = once(loop, 'close')
  loop.kill('SIGTERM')
  check('until it is told to stop', (await closed)[0] === 0)
  check('each entry is told once', said.match(/"index":3,/g)?.length === 1, said)
  await Promise.all([server.stop(), cosigner.stop()])
  hook.close()
}
