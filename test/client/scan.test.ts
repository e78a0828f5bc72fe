import t from 'tap'
import { HttpSource } from '../../src/client/http-source.ts'
import { VerifiedLog } from '../../src/client/scan.ts'
import { Transport } from '../../src/client/transport.ts'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry, EVENT } from '../../src/core/entry.ts'
import { leafHash, rootHash } from '../../src/core/merkle.ts'
import { formatBundle, parseBundle } from '../../src/core/tile.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { readerOf } from '../core/full-tree.ts'
import { ORIGIN } from '../support/server.ts'
import vectors from '../vectors/c2sp-keys.json' with { type: 'json' }
import { eventOf, type Lie, lyingLog } from './liar.ts'

const one = await lyingLog(t, 699)
const transport = new Transport({ url: one.url, patience: 0 })
t.teardown(() => transport.close())
const source = new HttpSource(transport)
const options = { trust: one.trust, origin: ORIGIN }
const all = await one.log.store.entries(0, 700)

async function scanned(from?: number, to?: number): Promise<Uint8Array[]> {
  const log = await VerifiedLog.open(source, options)
  const found: Uint8Array[] = []
  for await (const { index, bytes, entry } of log.entries(from, to)) {
    if (index !== (from ?? 0) + found.length) throw new Error(`${index} is out of order`)
    if (!equal(decodeEntry(bytes).addendum, entry.addendum)) throw new Error('another entry')
    found.push(bytes)
  }
  return found
}

t.test('a verified scan yields every entry once, from anywhere to anywhere', async (t) => {
  one.liar.lie = undefined
  t.same(await scanned(), all)
  for (const [from, to] of [
    [0, 0],
    [0, 1],
    [255, 257],
    [256, 512],
    [1, 700],
    [512, 513],
    [600, 700],
    [700, 700],
  ] as const)
    t.same(await scanned(from, to), all.slice(from, to), `${from} to ${to}`)
  const log = await VerifiedLog.open(source, options)
  await t.rejects(log.bundles(0, 701).next(), { code: 'UNKNOWN_SIZE' })
  await t.rejects(log.bundles(3, 2).next(), { code: 'UNKNOWN_SIZE' })
  for (const index of [0, 255, 256, 511, 512, 699]) t.same(await log.entry(index), all[index])
  t.equal(log.size, 700)
  const read = readerOf(all.map(leafHash))
  for (const size of [0, 1, 255, 256, 257, 512, 600, 700])
    t.same(await log.rootAt(size), rootHash(size, read), `${size}`)
})

t.test('documents are those that their entries name', async (t) => {
  one.liar.lie = undefined
  const log = await VerifiedLog.open(source, options)
  const entry = decodeEntry(all[300]!)
  t.equal(entry.kind, EVENT)
  t.same(await log.document(300, entry), await one.log.store.addendum(300))
  one.liar.lie = (path, body) => (path.includes('/addenda/') ? Buffer.concat([body, Buffer.of(0)]) : undefined)
  await t.rejects(log.document(300, entry), { code: 'INVALID_PROOF', message: /document of entry 300/ })
  one.liar.lie = (path) => (path.includes('/addenda/') ? null : undefined)
  t.equal(await log.document(300, entry), undefined)
})

/** Changes the entries of one bundle. */
const inBundle =
  (name: string, edit: (entries: Uint8Array[]) => Uint8Array[]): Lie =>
  (path, body) =>
    path.includes(`/tile/entries/${name}`) ? formatBundle(edit(parseBundle(new Uint8Array(body)))) : undefined
const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte))
const inTile =
  (name: string): Lie =>
  (path, body) =>
    path.includes(`/tile/${name}`) ? flipped(new Uint8Array(body)) : undefined
const both =
  (...lies: Lie[]): Lie =>
  (path, body) =>
    lies.map((lie) => lie(path, body)).find((said) => said !== undefined)

t.test('whatever a server does to the entries is named, and nothing after it is yielded', async (t) => {
  const cases: [what: string, lie: Lie, says: RegExp, code?: string][] = [
    ['changes one', inBundle('001', (all) => all.with(44, flipped(all[44]!))), /entry 300 .*: it was changed/],
    ['changes one of the last', inBundle('002', (all) => all.with(3, flipped(all[3]!))), /entry 515 .* changed/],
    ['drops one', inBundle('001', (all) => all.toSpliced(44, 1)), /only 255 are served: some were dropped/],
    ['drops one of the last', inBundle('002', (all) => all.toSpliced(44, 1)), /only 187 are served/],
    [
      'drops one and repeats another',
      inBundle('001', (all) => [...all.toSpliced(44, 1), all[0]!]),
      /entry 300 .* dropped/,
    ],
    ['moves one', inBundle('001', (all) => all.with(44, all[50]!).with(50, all[44]!)), /entry 300 .* stands at 306/],
    ['adds one', inBundle('000', (all) => [all[0]!, ...all.slice(0, 255)]), /entry 1 .* stands at 2/],
    ['serves another bundle', inBundle('000', () => all.slice(256, 512)), /entry 0 .*: it was changed/],
    ['serves no bundle', (path) => (path.includes('entries/001') ? 'x' : undefined), /bundle 1 cannot be read/],
    [
      'hides a bundle',
      (path) => (path.includes('entries/001') ? null : undefined),
      /does not give tile/,
      'UNVERIFIABLE',
    ],
    ['changes roots too', inTile('1/000'), /not the tree of 700 entries that was signed/],
    ['cuts off roots', (path) => (path.includes('/tile/1/') ? 'x' : undefined), /tile 0 of level 1 has 1 bytes/],
    [
      'changes an entry and its leaf hash',
      both(
        inBundle('001', (all) => all.with(44, flipped(all[44]!))),
        inTile('0/001'),
      ),
      /the entries 256 to 511 are not those/,
    ],
  ]
  for (const [what, lie, message, code = 'INVALID_PROOF'] of cases) {
    one.liar.lie = lie
    const yielded: number[] = []
    const scan = (async () => {
      const log = await VerifiedLog.open(source, options)
      for await (const { index, bytes } of log.entries()) {
        if (!equal(bytes, all[index]!)) throw new Error(`${index} was yielded, and is not in the log`)
        yielded.push(index)
      }
    })()
    await t.rejects(scan, { code, message }, what)
    t.ok(yielded.length <= 256, `${what}: ${yielded.length} before`)
  }
})

t.test('the head must be one that the trust policy accepts', async (t) => {
  one.liar.lie = undefined
  const { log, w1 } = vectors.keys
  const policy = (text: string) => parseWitnessPolicy(toUtf8(text))
  const opened = (trust: ReturnType<typeof policy>, origin = ORIGIN) => VerifiedLog.open(source, { trust, origin })
  await t.rejects(opened(policy(`log ${log.vkey}\nquorum none\n`)), { code: 'UNVERIFIED_NOTE' })
  await t.rejects(opened(policy(`log ${one.vkey}\nwitness w ${w1.vkey}\nquorum w\n`)), { code: 'UNVERIFIED_NOTE' })
  await t.rejects(opened(one.trust, 'log.example/other'), { code: 'UNVERIFIED_NOTE', message: /not of log.example/ })
})

t.test('under an older head a log that has grown is still proved', async (t) => {
  one.liar.lie = undefined
  const { note } = await VerifiedLog.open(source, options)
  await one.submit([eventOf(1_000)])
  const log = await VerifiedLog.open(source, { ...options, note })
  t.equal(log.size, 700)
  let count = 0
  for await (const { entries } of log.bundles()) count += entries.length
  t.equal(count, 700)
  t.equal((await VerifiedLog.open(source, options)).size, 701)
})
