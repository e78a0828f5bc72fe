/** A log that is gone, read from its copies; then restored, and what it and its successor tell together. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { toBase64 } from '../../src/core/bytes.ts'
import { step, trainer } from '../client/history.ts'
import { makeEventLog, ORIGIN } from '../support/server.ts'
import { check, run, startServer, tempFolder } from './lane.ts'
import {
  AFTER,
  administrator,
  type Client,
  LOST,
  type lostLog,
  NEXT,
  OFTEN,
  published,
  rules,
  submit,
  type succeed,
} from './responder-world.ts'

type Lost = Awaited<ReturnType<typeof lostLog>>
type Next = Awaited<ReturnType<typeof succeed>>

/** The server is gone: replay, diff and the verification of the copies read the S3 server. */
export async function fromCopies(client: Client, { worm, trust, witness }: Lost): Promise<void> {
  const copy = ['--from-worm', worm, '--trust', trust, '--vkey', join(witness.data, 'snapshot.vkey')]
  const keys = ['--keys', join(witness.data, 'keys.db')]
  await client.expect(
    'replay reads the copies on S3 with the server gone, under the quorum of then',
    0,
    [/model_signing/, new RegExp(`verified: ${LOST} of the entries 0 to ${LOST} .* cosigned by old, last seen`)],
    ...['replay', ...copy],
  )
  await client.expect(
    'payloads are searched with the keys',
    0,
    [/ 4 {2}event/, /verified: 1 of/],
    'replay',
    ...copy,
    ...keys,
    '--text',
    'tokenizer',
  )
  const sealed = [
    / 4 {2}event.*may be/,
    /6 of them nobody can say .*which the copy does not have, or has sealed \(--keys\)/,
  ]
  await client.expect('and without are said to be sealed', 0, sealed, 'replay', ...copy, '--text', 'tokenizer')
  await client.expect('diff reads them', 0, [/3 entries between/], 'diff', '2', '5', ...copy)
  const verified = await run(process.execPath, [
    'cmd/treeline-witness.ts',
    'verify',
    '--data',
    witness.data,
    '--worm',
    worm,
  ])
  check('the witness reads them back', verified.code === 0 && /6 opened/.test(verified.output), verified.output)
}

export async function acrossLogs(client: Client, { trust }: Lost, { at, own }: Next): Promise<void> {
  const [old, now] = [`${at}/test`, `${at}/next`]
  const both = ['--log', now, '--trust', trust, '--trust', own]
  const tuned = client.write('tuned.bin')
  const raw = client.write('raw.csv')
  await submit(now, ...AFTER)
  await published(now, 3)

  const restored = [/verified: 7 of the entries 0 to 7 .* of log.example\/test, cosigned by old/]
  await client.expect(
    'a restored log is replayed under the quorum that it had',
    0,
    restored,
    'replay',
    '--log',
    old,
    '--trust',
    trust,
  )
  const succeeding = [/cosigned by w/, /log.example\/next goes on from log.example\/test at size 7/]
  await client.expect(
    'its successor under its own, and says what it goes on from',
    0,
    succeeding,
    'replay',
    '--log',
    now,
    '--trust',
    own,
  )
  await client.expect(
    'one of several trust files is chosen by the log',
    0,
    restored,
    'replay',
    '--log',
    old,
    '--trust',
    own,
    '--trust',
    trust,
  )

  const report = client.path('report')
  await client.expect(
    'a trace leads from the successor into the log before it, each under its own quorum',
    0,
    [
      /^1 +next +1 .*urn:treeline:tune:v1$/m,
      /^2 +test +3 .*trainer/m,
      /^2 +test +6 .*intruder/m,
      /2 events say that they produced model.bin/,
      /next is log.example\/next: 1 events, under its checkpoint of size 3, with signatures of witness.example\/next$/m,
      /test is log.example\/test: 4 events, under its checkpoint of size 7, with signatures of witness.example\/old$/m,
      /verified: 5 events, .* the 3 entries of next, 7 entries of test/,
    ],
    ...['trace', ...both, tuned, '--up', '--complete', '--report', report],
  )
  const chain = [
    /verified: a report of 5 events/,
    /next goes on from log.example\/test at size 7, which is shown to have held the same then/,
  ]
  await client.expect('and its report verifies with both', 0, chain, 'verify', '--trust', own, '--trust', trust, report)
  const unpinned = [/does not verify: checkpoints\/test.txt: no trust policy has a key of log.example\/test/]
  await client.expect('not with one of them', 1, unpinned, 'verify', '--trust', own, report)
  await client.expect(
    'the poison reaches the successor',
    0,
    [/^4 +next +2 .*release/m],
    'trace',
    ...both,
    raw,
    '--down',
  )

  const alone = [
    /^1 +next +1 /m,
    /NOT SHOWN: the lineage leads through log.example\/test \(events 1, 2, 3, 6\), .* or give another --trust/,
  ]
  await client.expect(
    'without a key of the log before, what is missing is said',
    1,
    alone,
    'trace',
    '--log',
    now,
    '--trust',
    own,
    tuned,
  )
  const merged = client.write(
    'merged.txt',
    [own, trust]
      .map((file) => readFileSync(file, 'utf8').replace(/^quorum.*\n/m, ''))
      .join('')
      .concat('quorum w\n'),
  )
  const unmet = [
    /test: the 0 known cosignatures are not the policy's quorum|test: the 1 known cosignatures are not the policy's quorum/,
  ]
  await client.expect(
    'one quorum for both is refused, and says for which log',
    1,
    unmet,
    'trace',
    '--log',
    now,
    '--trust',
    merged,
    tuned,
  )
  await client.expect(
    'diff says what came between',
    0,
    [/4 entries between/],
    'diff',
    '1',
    '5',
    '--log',
    old,
    '--trust',
    trust,
  )
  const foreign = [/is a checkpoint of log.example\/test, not of log.example\/next/]
  await client.expect(
    'a checkpoint of the other log is none of this',
    1,
    foreign,
    'diff',
    client.path('witnessed'),
    '2',
    ...['--log', now, '--trust', own, '--trust', trust],
  )
  await client.expect(
    'an answer of the restored log is complete',
    0,
    [/these 2 entries, and no other/, /server is the same/],
    ...['search', '--log', old, '--trust', trust, '--complete', '--type', 'urn:treeline:train:v1'],
  )
  const watched = ['monitor', '--trust', trust, '--trust', own, '--type', 'urn:treeline:*']
  await client.expect(
    'a monitor of the restored log',
    10,
    [/only grew, to 7 entries/, /: 5 news/],
    ...watched,
    '--log',
    old,
    '--from',
    '0',
  )
  await client.expect('has seen it all', 0, [/: 0 news/], ...watched, '--log', old)
  await client.expect(
    'and one of its successor',
    10,
    [/to 3 entries/, /: 2 news/],
    ...watched,
    '--log',
    now,
    '--from',
    '0',
  )
}

/** A key is doubted by the successor alone: the restored log takes no word any more. */
export async function doubted(client: Client, { trust }: Lost, { at, own }: Next): Promise<void> {
  const [old, now] = [`${at}/test`, `${at}/next`]
  const { time } = (await (await fetch(`${old}/v1/events/3`)).json()) as { time: number }
  const since = new Date(time).toISOString()
  writeFileSync(client.path('admin.key'), administrator.privateKey.export({ format: 'pem', type: 'pkcs8' }), {
    mode: 0o600,
  })
  const suspend = ['policy', 'suspend', 'trainer', '--key', client.path('admin.key'), '--compromised-since', since]
  await client.expect('a key is suspended in the successor', 0, [], ...suspend, '--log', now, '--trust', own)
  await published(now, 4)
  const radius = ['blast-radius', '--log', old, '--trust', trust, '--trust', own, '--key', 'trainer', '--json']
  const { printed, said } = await client.expect('its blast radius, asked of the log before', 0, [], ...radius)
  const events = (lineage: { events: { log: string; index: number }[] }) =>
    lineage.events.map(({ log, index }) => `${log} ${index}`)
  const document = JSON.parse(printed)
  check('begins when the successor doubts it', said.includes(`doubts the key since ${since}`), said)
  const expected = ['test 3', 'test 5', 'next 1', 'test 4', 'next 2']
  check(
    'and leads into it',
    expected.every((one) => events(document.lineage).includes(one)) && !events(document.lineage).includes('test 2'),
    printed,
  )
  check(
    'by origin',
    JSON.stringify(document.logs.map(({ origin }: { origin: string }) => origin).sort()) ===
      JSON.stringify([NEXT, ORIGIN]),
  )
  const ask = async (more: string) =>
    (await fetch(`${old}/v1/lineage?signer=${trainer.key.id}&direction=down${more}`)).json()
  const told = await ask('')
  check(
    'the server begins there too, and says so',
    told.since === time && told.compromisedSince === time,
    JSON.stringify(told).slice(0, 300),
  )
  check('with the same answer', JSON.stringify(events(told)) === JSON.stringify(events(document.lineage)))
  const all = await ask('&since=0')
  check(
    'unless it is asked for more',
    all.since === 0 && all.compromisedSince === time && events(all).includes('test 1'),
  )
}

/** Its genesis says that it goes on from the lost log, with a root that this one never had. */
export async function impostor(client: Client, { trust }: Lost, { at }: Next): Promise<void> {
  const origin = 'log.example/impostor'
  const root = toBase64(new Uint8Array(32).fill(7))
  const note = readFileSync(client.path('witnessed'), 'utf8').replace(/^(.*\n.*\n).*\n/, `$1${root}\n`)
  const data = tempFolder()
  const change = { successorOf: { origin: ORIGIN, size: LOST, root } }
  const parts = { name: 'impostor', origin, change, succeeded: note }
  const { vkey } = await makeEventLog(data, [administrator], rules, parts)
  const server = await startServer(data, OFTEN)
  await submit(
    `${server.url}/impostor`,
    step({ type: 'tune', consumed: ['model.bin'], produced: ['other.bin'], origin }),
  )
  await published(`${server.url}/impostor`, 2)
  // An honest server does not start with the two; one that lies shows them as one.
  const liar = createServer(async ({ url = '' }, response) => {
    const answer = await fetch(`${url.startsWith('/test/') ? at : server.url}${url}`)
    let body = Buffer.from(await answer.arrayBuffer())
    if (url.includes('/v1/lineage/')) {
      const [told, real] = [
        JSON.parse(body.toString()),
        await (await fetch(`${at}${url.replace('impostor', 'test')}`)).json(),
      ]
      told.logs.push(...real.logs.filter(({ log }: { log: string }) => log === 'test'))
      body = Buffer.from(JSON.stringify(told))
    }
    response.writeHead(answer.status).end(body)
  }).listen(0, '127.0.0.1')
  await once(liar, 'listening')
  const url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`
  const pinned = client.write('impostor.txt', `log ${vkey} ${at}/impostor\nquorum none\n`)
  const trusts = [trust, pinned].flatMap((file) => ['--trust', moved(client, file, at, url)])
  const lie = [
    /FAULT: impostor goes on from log.example\/test at size 7 with another root than test has: they are not one history/,
  ]
  await client.expect(
    'a log that goes on from another history is named',
    1,
    lie,
    'trace',
    '--log',
    `${url}/impostor`,
    ...trusts,
    client.write('other.bin'),
  )
  liar.closeAllConnections()
  liar.close()
  await server.stop()
}

/** A trust file with other addresses. */
const moved = (client: Client, file: string, from: string, to: string): string =>
  client.write(`moved-${basename(file)}`, readFileSync(file, 'utf8').replaceAll(from, to))
