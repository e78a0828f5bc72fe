/** The bytes of snapshots: frames, manifests, and packs of a log that is longer than one. */
import fc from 'fast-check'
import t from 'tap'
import { fromHex, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { originHash, parseCheckpoint } from '../../src/core/checkpoint.ts'
import { CompactRange } from '../../src/core/compact-range.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { parseNote, verifyNote } from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { Auditor } from '../../witness/auditor.ts'
import { loadSnapshotSigner } from '../../witness/cosigner.ts'
import { initWitness, openState } from '../../witness/folder.ts'
import { LogReader } from '../../witness/log-reader.ts'
import { logVerifier, nativeVerify } from '../../witness/native-verify.ts'
import { FolderStore } from '../../witness/worm/folder.ts'
import {
  ABSENT,
  CLEAR,
  type DocumentFrame,
  formatDocumentFrame,
  formatEntryFrame,
  parseDocumentFrames,
  parseEntryFrames,
  SEALED,
} from '../../witness/worm/frames.ts'
import {
  formatManifest,
  type Manifest,
  openManifest,
  parseManifest,
  signManifest,
} from '../../witness/worm/manifest.ts'
import { findNewest } from '../../witness/worm/reader.ts'
import { Snapshotter } from '../../witness/worm/snapshot.ts'
import { verifySnapshot } from '../../witness/worm/verify.ts'
import { makeRawLog, startServer, temporaryFolder } from '../support/server.ts'
import { wormFolder } from './worm-files.ts'

const join_ = (parts: readonly (readonly Uint8Array[])[]) => new Uint8Array(Buffer.concat(parts.flat()))

t.test('frames come back as they went, and nothing else is one', (t) => {
  const golden = join_([
    formatDocumentFrame({ kind: ABSENT, bytes: new Uint8Array(0) }),
    formatDocumentFrame({ kind: CLEAR, bytes: toUtf8('{}') }),
    formatDocumentFrame({ kind: SEALED, bytes: fromHex('aabbcc')! }),
  ])
  t.equal(toHex(golden), '000000000001000000027b7d0200000003aabbcc')
  t.equal(toHex(join_([formatEntryFrame(toUtf8('ab')), formatEntryFrame(new Uint8Array(0))])), '000261620000')
  const bytes = fc.uint8Array({ maxLength: 70 })
  const frame = fc.oneof(
    fc.constant<DocumentFrame>({ kind: ABSENT, bytes: new Uint8Array(0) }),
    fc.record({ kind: fc.constantFrom(CLEAR, SEALED), bytes }) as fc.Arbitrary<DocumentFrame>,
  )
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(bytes, { maxLength: 8 }), (frames, entries) => {
      const documents = join_(frames.map(formatDocumentFrame))
      t.same(parseDocumentFrames(documents, frames.length), frames)
      const whole = join_(entries.map(formatEntryFrame))
      t.same(parseEntryFrames(whole, entries.length), entries)
      for (const [parse, all, count] of [
        [parseDocumentFrames, documents, frames.length],
        [parseEntryFrames, whole, entries.length],
      ] as const) {
        t.throws(() => parse(all, count + 1), { code: 'MALFORMED_SNAPSHOT' })
        if (count > 0) t.throws(() => parse(all, count - 1), { code: 'MALFORMED_SNAPSHOT' })
        for (let cut = 1; cut <= all.length; cut++)
          t.throws(() => parse(all.subarray(0, -cut), count), { code: 'MALFORMED_SNAPSHOT' })
      }
    }),
    { numRuns: 40 },
  )
  t.throws(() => parseDocumentFrames(fromHex('0300000000')!, 1), /kind 3/)
  t.throws(() => parseDocumentFrames(fromHex('000000000161')!, 1), /nothing that has bytes/)
  t.end()
})

const ORIGIN = 'log.example/l'
const HASH = originHash(ORIGIN)
const sha = (digit: string) => digit.repeat(64)
const object = (kind: 'entries' | 'documents' | 'checkpoint', from: number, to: number, digit: string) => ({
  ...{ kind, from, to, version: '1', length: 9, sha256: sha(digit), retainUntil: 2e12 },
  key: `${HASH}/snapshot/${'3'.padStart(20, '0')}/${digit.repeat(16)}-${kind === 'documents' ? 'sealed' : kind}`,
})
const manifest: Manifest = {
  ...{ origin: ORIGIN, size: 3, audited: 3, time: 1_767_225_600_000, packs: [] },
  root: new Uint8Array(32).fill(1),
  subtrees: [new Uint8Array(32).fill(2), new Uint8Array(32).fill(3)],
  objects: [
    object('entries', 0, 2, 'a'),
    object('entries', 2, 3, 'b'),
    object('documents', 1, 3, 'c'),
    object('checkpoint', 0, 3, 'd'),
  ],
}

t.test('a manifest has one spelling, and fits together or is none', (t) => {
  const text = formatManifest(manifest)
  t.same(parseManifest(text), manifest)
  t.match(text, /^{"format":"urn:treeline:snapshot:v1","origin":"log.example\/l","size":3,"audited":3,"root":"AQEB/)
  t.match(
    text,
    /"objects":\[\n{"kind":"entries","from":0,"to":2,"key":"[0-9a-f]{64}\/snapshot\/0{19}3\/a{16}-entries",/,
  )
  t.ok(text.endsWith('}\n]}\n'))
  const [first, second, documents, checkpoint] = manifest.objects as [never, never, never, never]
  const other = (change: object) => ({ ...(first as object), ...change }) as never
  const bad: Record<string, Partial<Manifest>> = {
    'a gap': { objects: [first, documents, checkpoint] },
    'an overlap': { objects: [first, other({ from: 1, to: 3 }), checkpoint] },
    'the wrong order': { objects: [second, first, documents, checkpoint] },
    'no checkpoint': { objects: [first, second, documents] },
    'two checkpoints': { objects: [first, second, checkpoint, checkpoint] },
    'a checkpoint before the end': { objects: [first, second, checkpoint, documents] },
    'a key of another origin': {
      objects: [
        other({ key: `${'e'.repeat(64)}/${manifest.objects[0]!.key.slice(65)}` }),
        second,
        documents,
        checkpoint,
      ],
    },
    'a key that climbs': {
      objects: [other({ key: `${HASH}/snapshot/../${'a'.repeat(16)}-entries` }), second, documents, checkpoint],
    },
    'a key of other content': { objects: [other({ sha256: sha('e') }), second, documents, checkpoint] },
    'a key of another kind': {
      objects: [other({ key: manifest.objects[0]!.key.replace('entries', 'sealed') }), second, documents, checkpoint],
    },
    'another kind': { objects: [other({ kind: 'tiles' }), second, documents, checkpoint] },
    'half an entry': { objects: [other({ to: 1.5 }), second, documents, checkpoint] },
    'a length below zero': { objects: [other({ length: -1 }), second, documents, checkpoint] },
    'a version that is a number': { objects: [other({ version: 1 }), second, documents, checkpoint] },
    'more audited than there is': { audited: 4 },
    'a pack too many': { packs: [new Uint8Array(32)] },
    'a subtree too few': { subtrees: [new Uint8Array(32)] },
    'an origin that is none': { origin: '' },
    'another size': { size: 4 },
  }
  for (const [name, change] of Object.entries(bad))
    t.throws(() => parseManifest(formatManifest({ ...manifest, ...change })), { code: 'MALFORMED_SNAPSHOT' }, name)
  for (const [name, other_] of [
    ['a member more', text.replace('"size"', '"x":1,"size"')],
    ['a space', text.replace('"size":3', '"size": 3')],
    ['another number', text.replace('"size":3', '"size":3.0')],
    ['another format', text.replace(':v1', ':v2')],
    ['no JSON', text.slice(0, -3)],
    ['no object', 'null\n'],
    ['objects that are none', text.replace(/"objects":\[[\s\S]*\]/, '"objects":[null]')],
  ] as const)
    t.throws(() => parseManifest(other_), { code: 'MALFORMED_SNAPSHOT' }, name)
  t.throws(() => parseManifest(text.replace('"size":3', '"size":3,"size":3')), { code: 'DUPLICATE_JSON_KEY' })
  t.end()
})

t.test('a manifest is believed when the snapshot key signed it for this origin, and no bit of it is another', (t) => {
  const folder = temporaryFolder(t)
  initWitness(folder, { name: 'witness.example/w', mlDsa: false, newState: false, retention: 1e9 })
  const signer = loadSnapshotSigner(folder, 'witness.example/w')
  const verifier = logVerifier(signer.key)
  const signed = signManifest(manifest, signer)
  t.same(openManifest(signed, ORIGIN, verifier), manifest)
  t.throws(() => openManifest(signed, 'log.example/m', verifier), { code: 'MALFORMED_SNAPSHOT' })
  for (let at = 0; at < signed.length; at += 7) {
    const flipped = Uint8Array.from(signed)
    flipped[at]! ^= 4
    t.throws(() => openManifest(flipped, ORIGIN, verifier), `byte ${at}`)
  }
  t.end()
})

t.test('a full pack replaces the deltas before it, and a later snapshot goes on from its root', async (t) => {
  const data = temporaryFolder(t)
  const vkey = parseVkey(await makeRawLog(data))
  const server = await startServer(data)
  const folder = temporaryFolder(t)
  initWitness(folder, { name: 'witness.example/w', mlDsa: false, newState: false, retention: 1e9 })
  const state = openState(folder)
  const [origin, url] = ['log.example/raw', `${server.url}/raw`]
  const log = {
    ...{ origin, keys: [vkey], url, tokenFile: undefined, keeper: false },
    genesis: undefined,
    witnesses: [],
  }
  const reader = new LogReader(url)
  const quiet = { raise: (alert: object) => t.fail(JSON.stringify(alert)), settle: () => {} } as never
  const auditor = new Auditor({
    ...{ log, reader, verifiers: [logVerifier(vkey)], state, alerts: quiet },
    ...{ verify: nativeVerify, now: Date.now, patience: 1e6 },
  })
  const signer = loadSnapshotSigner(folder, state.name)
  const verifier = logVerifier(signer.key)
  const worm = wormFolder(t)
  const store = await FolderStore.open(worm)
  t.teardown(async () => {
    await reader.close()
    await server.close()
    state.close()
  })
  const parts = {
    log,
    reader,
    state,
    store,
    signer,
    verifier,
    keys: undefined,
    now: Date.now,
    logger: { info: () => {} },
  }
  const { log: served } = server.opened.logs.get('raw')!
  const tree = CompactRange.empty()
  const grow = async (size: number) => {
    while (tree.size < size) {
      const entries = Array.from({ length: Math.min(1_000, size - tree.size) }, (_, i) =>
        toUtf8(`entry ${tree.size + i}`),
      )
      await Promise.all(entries.map((entry) => served.append({ size: entry.length, place: () => ({ entry }) })))
      for (const entry of entries) tree.append(leafHash(entry))
    }
    let note = new Uint8Array(0)
    for (let at = 0n; at < BigInt(size); at = parseCheckpoint(parseNote(note).text).size)
      note = new Uint8Array(await (await fetch(`${url}/checkpoint`)).arrayBuffer())
    const head = parseCheckpoint(parseNote(note).text)
    state.advance(origin, () => ({
      origin,
      size: head.size,
      root: head.root,
      time: 1,
      note: new TextDecoder().decode(note),
    }))
    await auditor.step()
    await new Snapshotter(parts).step()
    t.equal(state.copies.snapshot(origin)?.size, size)
    const checkHead = (bytes: Uint8Array) => void verifyNote(parseNote(bytes), [logVerifier(vkey)])
    const report = await verifySnapshot({ store, origin, verifier, checkHead, now: Date.now })
    t.match(report, { size, problems: [], root: Buffer.from(tree.root()).toString('base64') })
    return (await findNewest(store, origin, verifier))!.manifest.objects.map(({ key, from, to }) => [
      key.split('/')[1],
      from,
      to,
    ])
  }
  t.same(await grow(100), [
    ['snapshot', 0, 100],
    ['snapshot', 0, 100],
  ])
  t.same(await grow(65_535), [
    ['snapshot', 0, 100],
    ['snapshot', 100, 65_535],
    ['snapshot', 0, 65_535],
  ])
  t.same(await grow(65_800), [
    ['pack', 0, 65_536],
    ['snapshot', 65_536, 65_800],
    ['snapshot', 0, 65_800],
  ])
  t.same(await grow(65_801), [
    ['pack', 0, 65_536],
    ['snapshot', 65_536, 65_800],
    ['snapshot', 65_800, 65_801],
    ['snapshot', 0, 65_801],
  ])
  t.same(await grow(131_072), [
    ['pack', 0, 65_536],
    ['pack', 65_536, 131_072],
    ['snapshot', 0, 131_072],
  ])
})
