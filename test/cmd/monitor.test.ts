/** treeline monitor: what it tells, what it remembers, and what a log that lies looks like to it. */
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { type Look, look, type News, type Watch } from '../../src/client/monitor.ts'
import { parseQuery } from '../../src/client/query.ts'
import { parseReceipt, Receipts } from '../../src/client/receipts.ts'
import { Transport } from '../../src/client/transport.ts'
import { stateFolder } from '../../src/client/trusted-log.ts'
import { formatCheckpoint, originHash } from '../../src/core/checkpoint.ts'
import { ed25519NoteSigner } from '../../src/core/ed25519.ts'
import { signNote } from '../../src/core/note.ts'
import { formatBundle, parseBundle } from '../../src/core/tile.ts'
import { logFiles } from '../../src/store/folder.ts'
import { loadLogSigner } from '../../src/store/log-key.ts'
import { digestOf, eventOf, type Lie, lyingLog, signers } from '../client/liar.ts'
import { json, post } from '../support/http.ts'
import { runProgram, startProgram } from '../support/programs.ts'
import { ORIGIN, temporaryFolder } from '../support/server.ts'

const one = await lyingLog(t, 9)
const folder = temporaryFolder(t)
const trust = join(folder, 'trust.txt')
writeFileSync(trust, `log ${one.vkey}\nquorum none\n`)
const transport = new Transport({ url: one.url, patience: 0 })
t.teardown(() => transport.close())
let next = 10
const grow = () => one.submit([eventOf(next++)])

/** Looks, and remembers; `state` is a name. */
async function looked(
  state: string,
  watches: readonly string[] = ['type urn:treeline:t*'],
  from?: number,
): Promise<Look> {
  const named = watches.map((name): Watch => {
    const [kind = '', value = ''] = name.split(' ')
    return { name, query: parseQuery({ [kind]: value }) }
  })
  const found = await look({
    ...{
      transport,
      trust: one.trust,
      origin: ORIGIN,
      watches: named,
      folder: stateFolder(join(folder, state), ORIGIN),
    },
    ...(from !== undefined && { from }),
  })
  await found.remember()
  return found
}
const told = ({ news }: Look) => news.map((one) => (one.news === 'entry' ? one.entry.index : one.news))

t.test('only what is new is told, and only once', async (t) => {
  t.match(await looked('a'), { news: [], from: 10, to: 10, size: 10 }, 'the first look begins at the end')
  await grow()
  await grow()
  t.same(told(await looked('a')), [10, 11])
  t.same(told(await looked('a')), [])
  await grow()
  const narrow = [`signer ${signers[0]!.key.id}`, `artifact ${digestOf(11)}`, 'kind policy']
  const { news } = await looked('b', narrow, 8)
  t.same(
    news.map((one) => one.news === 'entry' && [one.entry.index, one.watches.map((name) => name.split(' ')[0])]),
    [
      [8, ['signer']],
      [10, ['signer']],
      [11, ['artifact']],
      [12, ['signer', 'artifact']],
    ],
  )
  const unheard = await look({
    ...{ transport, trust: one.trust, origin: ORIGIN, from: 12 },
    folder: join(folder, 'c'),
    watches: [{ name: 'all', query: {} }],
  })
  t.same(told(unheard), [12])
  t.notOk(existsSync(join(folder, 'c', 'monitor.json')), 'what was not told is not remembered')
  writeFileSync(join(stateFolder(join(folder, 'a'), ORIGIN), 'monitor.json'), '{"next":-1}')
  await t.rejects(looked('a'), { code: 'USAGE', message: /not what a monitor remembers/ })
})

const forged = (size: number) => {
  const signer = loadLogSigner(logFiles(one.data, 'test').key, ORIGIN)
  return signNote(
    formatCheckpoint({ origin: ORIGIN, size: BigInt(size), root: new Uint8Array(32).fill(9), extensions: [] }),
    [signer],
  )
}
const instead =
  (note: string): Lie =>
  (path) =>
    path.endsWith('/checkpoint') ? note : undefined

t.test('a log that lies is named', async (t) => {
  const old = one.log.published!.note
  await looked('d')
  await grow()
  await looked('d')
  one.liar.lie = instead(old)
  t.match((await looked('d')).news, [{ news: 'old-head', shown: next - 1, known: next }])
  one.liar.lie = instead(forged(next))
  await t.rejects(looked('d'), { code: 'INVALID_LOG', message: /contradicts itself/ })
  const evidence = readdirSync(stateFolder(join(folder, 'd'), ORIGIN)).find((name) => name.startsWith('fault-'))
  t.ok(evidence, 'evidence is kept')
  one.liar.lie = instead(forged(next + 5))
  await t.rejects(looked('d'), { code: 'INVALID_PROOF' })
  const edit =
    (change: (entries: Uint8Array[]) => Uint8Array[]): Lie =>
    (path, body) =>
      path.includes('/tile/entries/') ? formatBundle(change(parseBundle(new Uint8Array(body)))) : undefined
  one.liar.lie = undefined
  await grow()
  for (const [what, change, message] of [
    ['drops', (all) => all.slice(0, -1), /some were dropped/],
    [
      'alters',
      (all) =>
        all.with(
          -1,
          all.at(-1)!.map((byte, i) => (i === 9 ? byte ^ 1 : byte)),
        ),
      /it was changed/,
    ],
    ['reorders', (all) => all.with(-1, all.at(-2)!).with(-2, all.at(-1)!), /entries were moved/],
  ] as [string, (all: Uint8Array[]) => Uint8Array[], RegExp][]) {
    one.liar.lie = edit(change)
    await t.rejects(looked('d'), { code: 'INVALID_PROOF', message }, what)
  }
  one.liar.lie = undefined
  t.same(told(await looked('d')), [next - 1], 'nothing of what was not proved is passed over')
})

t.test('what a witness has seen is compared with what the log shows here', async (t) => {
  let note = one.log.published!.note
  let status = 200
  const witness = createServer((request, response) => {
    const path = `/w/${originHash(ORIGIN)}/checkpoint`
    response.writeHead(request.url === path ? status : 404).end(status === 200 ? note : undefined)
  })
  await new Promise<void>((resolve) => witness.listen(0, '127.0.0.1', resolve))
  t.teardown(() => witness.close())
  const url = `http://127.0.0.1:${(witness.address() as AddressInfo).port}/w`
  const compared = (where = url) =>
    look({
      ...{ transport, trust: one.trust, origin: ORIGIN, watches: [] },
      folder: join(folder, 'w'),
      witnesses: [where],
    })
  t.match(await compared(), { news: [], away: [] })
  const old = one.log.published!.note
  await grow()
  t.match(await compared(), { news: [], away: [] }, 'a witness that lags')
  note = one.log.published!.note
  one.liar.lie = instead(old)
  const fresh = await look({
    ...{ transport, trust: one.trust, origin: ORIGIN, watches: [], folder: join(folder, 'w2'), witnesses: [url] },
  })
  t.match(fresh.news, [{ news: 'old-head', shown: next - 1, known: next, by: url }], 'also for who has never looked')
  one.liar.lie = undefined
  note = forged(4)
  await t.rejects(compared(), { code: 'INVALID_LOG', message: /size 4 is no part/ })
  note = forged(next + 50)
  await t.rejects(compared(), { code: 'INVALID_PROOF' })
  note = signNote(formatCheckpoint({ origin: ORIGIN, size: 1n, root: new Uint8Array(32), extensions: [] }), [
    ed25519NoteSigner(ORIGIN, new Uint8Array(32).fill(1), () => new Uint8Array(64)),
  ])
  await t.rejects(compared(), { code: 'UNVERIFIED_NOTE', message: /shows no checkpoint/ })
  status = 404
  t.match(await compared(), { news: [], away: [] }, 'one that never saw the log')
  status = 500
  t.match(await compared(), { news: [], away: [url] })
})

t.test('kept receipts are proved, and one that the log did not keep is a contradiction', async (t) => {
  const answer = json(await post(one.server.url, '/test/v1/events', eventOf(next++)))
  const receipts = new Receipts({ folder: stateFolder(join(folder, 'e'), ORIGIN), origin: ORIGIN, trust: one.trust })
  await receipts.keep(parseReceipt(answer))
  await one.submit([])
  t.match((await looked('e')).receipts, { proved: 1, waiting: 0, foreign: 0 })
  await receipts.keep(parseReceipt({ ...answer, checkpoint: forged(3) }))
  await t.rejects(looked('e'), { code: 'INVALID_LOG', message: /size 3 is no part/ })
})

const flags = (state: string) => ['--log', one.url, '--trust', trust, '--state', join(folder, state), '--patience', '0']
const monitor = (...args: string[]) => runProgram(t, 'cmd/treeline.ts', ['monitor', ...args])

t.test('as a program: exit codes, a file, a webhook that is told again what it did not take', async (t) => {
  const taken: News[] = []
  let status = 500
  const hook = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      if (status === 200) taken.push(...JSON.parse(Buffer.concat(parts).toString()).news)
      response.writeHead(status).end()
    })
  })
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve))
  t.teardown(() => hook.close())
  const out = join(folder, 'news.ndjson')
  const watched = [...flags('f'), '--signer', signers[0]!.key.id, '--signer', signers[1]!.key.id, '--out', out]
  const all = [...watched, '--webhook', `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`]
  t.match(await monitor(...all), {
    code: 0,
    output: '',
    errors: /only grew, to \d+ entries; looked at (\d+) to \1: 0 news/,
  })
  await grow()
  t.match(await monitor(...all), { code: 4, output: '', errors: /the webhook did not take the news \(500\)/ })
  status = 200
  const { code, output } = await monitor(...all)
  t.equal(code, 10)
  t.match(
    output,
    new RegExp(
      `^\\S{24} +${next - 1} {2}event urn:treeline:t\\d:v1 by signer-\\w+ {2}\\[signer [0-9a-f]{64}\\]\n +produced`,
    ),
  )
  t.match(taken, [{ news: 'entry', entry: { index: next - 1, sure: true } }])
  t.same(
    readFileSync(out, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line)),
    taken,
  )
  t.match(await monitor(...all), { code: 0, output: '' })
  one.liar.lie = instead(forged(next))
  const fault = await monitor(...all, '--json')
  t.match([fault.code, JSON.parse(fault.output)], [1, { news: 'fault', code: 'INVALID_LOG', file: /fault-/ }])
  t.match(taken.at(-1), { news: 'fault' })
  one.liar.lie = undefined
  t.match(await monitor(...all, '--webhook', 'file:///x'), { code: 2 })
})

t.test('in a loop, until it is told to stop', async (t) => {
  const args = ['monitor', ...flags('g'), '--type', '*', '--loop', '1', '--json']
  const child = startProgram(t, 'cmd/treeline.ts', args)
  const closed = once(child, 'close')
  await once(child.stderr!, 'data')
  const line = once(createInterface({ input: child.stdout! }), 'line')
  await grow()
  const [text] = (await line) as [string]
  t.match(JSON.parse(text), { news: 'entry', watches: ['type *'], entry: { index: next - 1 } })
  child.kill('SIGTERM')
  t.same(await closed, [0, null])
})
