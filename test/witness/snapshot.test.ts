/** Copies of a real log in a folder: what they hold, what survives a crash at every step, and what is wrong with a broken one. */
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { cosignatureVerifier } from '../../src/core/cosignature.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { formatNote, parseNote, verifyNote } from '../../src/core/note.ts'
import { loadCosigner, loadSnapshotSigner } from '../../witness/cosigner.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import { Copies } from '../../witness/worm/copies.ts'
import { FolderStore } from '../../witness/worm/folder.ts'
import { findNewest } from '../../witness/worm/reader.ts'
import { Snapshotter } from '../../witness/worm/snapshot.ts'
import type { WormStore } from '../../witness/worm/store.ts'
import { signReport, verifySnapshot } from '../../witness/worm/verify.ts'
import { redactionRequest, signedPolicy } from '../support/actors.ts'
import { statements } from '../support/batch.ts'
import { ask, json, post } from '../support/http.ts'
import { makeImmutable, unmakeImmutable } from '../support/immutable.ts'
import { ORIGIN, temporaryFolder } from '../support/server.ts'
import { admins, setUp } from './watched-log.ts'
import { wormFolder } from './worm-files.ts'

type Test = Parameters<typeof temporaryFolder>[0]
const DAY = 86_400_000

/** A watched log of five events, a policy change and an event redacted before it was ever copied; with sealing keys. */
async function copied(t: Test) {
  const keys = new KeyStore(join(temporaryFolder(t), 'keys.db'))
  keys.addOrigin(ORIGIN)
  t.teardown(() => keys.close())
  const one = await setUp(t, { keys })
  const signer = loadSnapshotSigner(one.folder, one.state.name)
  const verifier = logVerifier(signer.key)
  const witnesses = loadCosigner(one.folder, one.state.name).keys.map(cosignatureVerifier)
  const worm = wormFolder(t)
  const store = await FolderStore.open(worm)
  const { log, reader, state, now } = one
  const snapshotter = (to: WormStore = store) =>
    new Snapshotter({ log, reader, state, signer, verifier, keys, now, logger: { info: () => {} }, store: to })
  return {
    ...one,
    ...{ keys, signer, verifier, worm, store, snapshotter },
    verify: (from: WormStore = store, others: Partial<Parameters<typeof verifySnapshot>[0]> = {}) =>
      verifySnapshot({
        ...{ store: from, origin: ORIGIN, verifier, keys, now },
        checkHead: (note) => void verifyNote(parseNote(note), witnesses),
        ...others,
      }),
    async redact(index: number) {
      const { leafHash } = json(await ask(one.server.url, `/test/v1/events/${index}`))
      const request = redactionRequest(ORIGIN, [{ index, leafHash }], admins)
      const { status, body } = await post(one.server.url, '/test/v1/redactions', request)
      if (status !== 201) throw new Error(body.toString())
    },
    /** Every object: its key, and a hash of its bytes. */
    async objects(from: WormStore = store) {
      const found = new Map<string, string>()
      for await (const object of from.list(''))
        found.set(
          object.key,
          createHash('sha256')
            .update(await from.get(object))
            .digest('hex'),
        )
      return found
    },
  }
}

t.test('a copy holds what was audited; the next adds what is new; nothing new adds nothing', async (t) => {
  const one = await copied(t)
  const { index, sha256 } = json(await ask(one.server.url, '/test/v1/policy'))
  const next = { ...one.document, sequence: 1, previous: { index, sha256 }, produces: ['urn:x:*'] }
  t.equal((await post(one.server.url, '/test/v1/policy', signedPolicy(next, admins))).status, 201)
  for (let i = 0; i < 5; i++) await one.submit(`model/${i}`)
  await one.redact(2)
  await one.submit('model/not audited yet')
  const snapshots = one.snapshotter()
  await snapshots.step()
  t.equal((await one.objects()).size, 0, 'nothing before the first audit')
  await one.step()
  await snapshots.step()
  const report = await one.verify()
  t.match(report, { size: 9, objects: 4, problems: [], origin: ORIGIN })
  t.same(report.documents, { clear: 3, opened: 5, erased: 0, sealed: 0, absent: 1 })
  const first = await one.objects()
  await snapshots.step()
  await one.snapshotter().step()
  t.same(await one.objects(), first)

  await one.submit('model/after')
  await one.redact(3)
  await one.batch(statements(2))
  await one.step()
  await snapshots.step()
  const later = await one.verify()
  t.match(later, { size: 14, objects: 6, problems: [] })
  t.same(later.documents, { clear: 5, opened: 7, erased: 1, sealed: 0, absent: 1 }, 'the key of 3 is gone')
  const objects = await one.objects()
  for (const [key, hash] of first) t.equal(objects.get(key), hash)
  t.equal(objects.size, 8)
  t.same((await one.verify(one.store, { keys: undefined })).documents, {
    ...{ clear: 5, opened: 0, erased: 0, sealed: 8, absent: 1 },
  })
  const signed = parseNote(toUtf8(signReport(later, one.signer)))
  t.equal(verifyNote(signed, [one.verifier]).length, 1)
  t.same(JSON.parse(signed.text), { format: 'urn:treeline:snapshot-report:v1', ...later })
})

t.test(
  'sealing the same snapshot twice gives the same bytes; another payload at an index gets another key',
  async (t) => {
    const one = await copied(t)
    for (let i = 0; i < 40; i++) await one.submit(`model/${i}`)
    await one.step()
    const other = await FolderStore.open(wormFolder(t))
    await one.snapshotter().step()
    // As whoever lost all but the keys would.
    const db = new Database(join(one.folder, 'witness.db'))
    db.prepare('DELETE FROM snapshots').run()
    db.close()
    await one.snapshotter(other).step()
    const withoutManifest = (objects: Map<string, string>) =>
      [...objects].filter(([key]) => !key.endsWith('-manifest')).sort()
    const [a, b] = [withoutManifest(await one.objects()), withoutManifest(await one.objects(other))]
    t.equal(a.length, 3)
    t.same(a, b)
  },
)

/** Lets everything through until the nth write, which fails before or after it was done; nothing works from there on. */
function dying(store: WormStore, n: number, done: boolean): WormStore {
  let left = n
  const write = async <T>(work: () => Promise<T>): Promise<T> => {
    if (left-- > 0) return work()
    if (done) await work()
    throw new TreelineError('UNREACHABLE', 'died')
  }
  return {
    description: store.description,
    put: (...args) => write(() => store.put(...args)),
    extend: (...args) => write(() => store.extend(...args)),
    get: (object) => store.get(object),
    lockOf: (object) => store.lockOf(object),
    list: (...args) => store.list(...args),
    probe: () => store.probe(),
    close: async () => {},
  }
}

t.test(
  'a crash before and after each durable step loses no snapshot that was reported, and the next try ends well',
  async (t) => {
    const one = await copied(t)
    for (let i = 0; i < 3; i++) await one.submit(`model/${i}`)
    await one.step()
    let size = 0
    for (let n = 0; n < 4; n++) {
      for (const done of [false, true]) {
        await t.rejects(one.snapshotter(dying(one.store, n, done)).step(), { code: 'UNREACHABLE' })
        const kept = one.state.copies.snapshot(ORIGIN)?.size ?? 0
        t.equal(kept, size, 'nothing is reported that was not finished')
        if (kept > 0) t.match(await one.verify(), { problems: [] }, `write ${n}, done ${done}: what there was is whole`)
        await one.snapshotter().step()
        size = one.audited()
        t.match(await one.verify(), { size, problems: [] })
        t.equal(one.state.copies.snapshot(ORIGIN)?.size, size)
        await one.submit(`model/after/${n}/${done}`)
        await one.step()
      }
    }
    // Killed between the manifest and the memory of it.
    const other = one.snapshotter()
    const { keepSnapshot } = one.state.copies
    one.state.copies.keepSnapshot = () => {
      throw new TreelineError('STORAGE_FAILED', 'died')
    }
    await t.rejects(other.step(), { code: 'STORAGE_FAILED' })
    one.state.copies.keepSnapshot = keepSnapshot
    const before = await one.objects()
    await one.snapshotter().step()
    t.same(await one.objects(), before, 'the manifest that nobody remembered is found')
    t.equal(one.state.copies.snapshot(ORIGIN)?.size, one.audited())
  },
)

t.test('a killed redaction is finished: its key is destroyed before the audit goes on', async (t) => {
  const one = await copied(t)
  await one.submit('model/secret')
  await one.step()
  await one.snapshotter().step()
  await one.redact(1)
  const { puncture } = one.keys
  one.keys.puncture = () => {
    throw new TreelineError('LOCKED', 'died')
  }
  await t.rejects(one.step(), { code: 'LOCKED' })
  t.equal(one.audited(), 3)
  t.same((await one.verify()).documents.opened, 1)
  one.keys.puncture = puncture
  await one.step()
  t.match((await one.verify()).documents, { opened: 0, erased: 1 })
})

t.test(
  'locks are made longer before they end, of all that the newest snapshot needs and of nothing else',
  async (t) => {
    const one = await copied(t)
    await one.submit('model/1')
    await one.step()
    const snapshots = one.snapshotter()
    await snapshots.step()
    const { lockedUntil } = await one.verify()
    const { retention } = one.state
    t.ok(lockedUntil !== null && lockedUntil >= Date.now() + retention - 60_000)
    one.clock.ahead = 0.05 * retention
    await snapshots.step()
    t.equal((await one.verify()).lockedUntil, lockedUntil, 'not yet')
    one.clock.ahead = 0.2 * retention
    await snapshots.step()
    const longer = (await one.verify()).lockedUntil
    t.ok(longer !== null && longer >= Date.now() + 1.2 * retention - 60_000)
    t.equal(one.state.copies.snapshot(ORIGIN)?.locked, longer ?? 0)
    // A later start has the manifest's old times before it, and remembers.
    await one.snapshotter().step()
    one.clock.ahead = 0
    await one.submit('model/2')
    await one.step()
    await one.snapshotter().step()
    t.match(await one.verify(), { size: 3, problems: [] })
  },
)

t.test('a copy that is not what was written is named: bytes, locks, versions, head, key', async (t) => {
  const one = await copied(t)
  for (let i = 0; i < 3; i++) await one.submit(`model/${i}`)
  await one.step()
  await one.snapshotter().step()
  const { manifest, at } = (await findNewest(one.store, ORIGIN, one.verifier))!
  const path = (key: string) => join(one.worm, key)
  const broken = async (what: RegExp, name: string, breakIt: () => void) => {
    const good = temporaryFolder(t)
    cpSync(one.worm, join(good, 'copy'), { recursive: true, preserveTimestamps: true })
    breakIt()
    // As an attacker with the rights of an administrator would leave it.
    const { problems } = await one.verify(await FolderStore.open(one.worm))
    t.match(problems.join('\n'), what, name)
    unmakeImmutable(one.worm)
    rmSync(one.worm, { recursive: true })
    cpSync(join(good, 'copy'), one.worm, { recursive: true, preserveTimestamps: true })
    for (const { key, retainUntil } of manifest.objects) await one.store.extend({ key, version: '1' }, retainUntil)
    await one.store.extend(at, manifest.objects[0]!.retainUntil)
    t.same((await one.verify()).problems, [], 'and nothing else was wrong')
  }
  for (const object of manifest.objects) {
    await broken(/has other bytes than its manifest says/, `${object.kind}: a bit`, () => {
      const bytes = readFileSync(path(object.key))
      bytes[bytes.length >> 1]! ^= 1
      rewrite(path(object.key), bytes, object.retainUntil)
    })
    await broken(/is gone|not there|no such|is missing/, `${object.kind}: removed`, () => {
      unmakeImmutable(path(object.key))
      rmSync(path(object.key))
    })
    await broken(/its lock ends before the time in the manifest/, `${object.kind}: shorter`, () =>
      rewrite(path(object.key), readFileSync(path(object.key)), Date.now() + DAY),
    )
  }
  const stranger = logVerifier({ ...one.verifier.key, keyId: new Uint8Array(4) })
  await t.rejects(one.verify(one.store, { verifier: stranger }), { code: 'MALFORMED_SNAPSHOT' })
  const refused = await one.verify(one.store, {
    checkHead: () => {
      throw new TreelineError('UNVERIFIED_NOTE', 'nobody known signed it')
    },
  })
  t.match(refused.problems, ['the checkpoint: nobody known signed it'])
  const late = await one.verify(one.store, { now: () => Date.now() + 2 * one.state.retention })
  t.match(late.problems[0], /its lock has ended/)
})

function rewrite(file: string, bytes: Uint8Array, until: number): void {
  unmakeImmutable(file)
  rmSync(file)
  writeFileSync(file, bytes, { mode: 0o444 })
  utimesSync(file, until / 1000, until / 1000)
  makeImmutable(file)
}

t.test('manifests of others are passed over; one that was deleted is an alarm', async (t) => {
  const one = await copied(t)
  await one.submit('model/1')
  await one.step()
  await one.snapshotter().step()
  const { manifest, at } = (await findNewest(one.store, ORIGIN, one.verifier))!
  const note = parseNote(await one.store.get(at))
  const forged = { text: note.text.replace('"audited":2', '"audited":1'), signatures: note.signatures }
  const folder = at.key.replace(/[^/]+$/, '')
  await one.store.put(`${folder}${'0'.repeat(16)}-manifest`, toUtf8(formatNote(forged)), Date.now() + DAY)
  await one.store.put(`${folder.replace('02/', '99/')}${'1'.repeat(16)}-manifest`, toUtf8('no note'), Date.now() + DAY)
  // A true one in the place of a larger size, to hide later ones.
  await one.store.put(
    `${folder.replace('02/', '98/')}${'2'.repeat(16)}-manifest`,
    await one.store.get(at),
    Date.now() + DAY,
  )
  t.same((await findNewest(one.store, ORIGIN, one.verifier))?.at, at)
  t.equal((await one.verify()).size, manifest.size)
  await one.snapshotter().step()
  unmakeImmutable(one.worm)
  rmSync(join(one.worm, at.key))
  await t.rejects(one.snapshotter().step(), { code: 'WORM_BROKEN' })
})

t.test('a log that serves other entries to a copy gets nothing locked', async (t) => {
  const one = await copied(t)
  await one.submit('model/1')
  await one.step()
  let asked = 0
  one.way.spoil = (path, response) => {
    if (!path.startsWith('/test/tile/entries/')) return false
    asked++
    return !!response.end(Buffer.concat([Buffer.from([0, 1, 65]), Buffer.from([0, 1, 66])]))
  }
  await t.rejects(one.snapshotter().step(), { code: 'UNVERIFIABLE', message: /do not give its root/ })
  t.equal(asked, 1)
  t.equal((await one.objects()).size, 0)
  // The truth the first time, something else the second.
  one.way.spoil = (path, response) =>
    path.startsWith('/test/tile/entries/') && asked++ > 1 && !!response.end(Buffer.from([0, 1, 65, 0, 1, 66]))
  await t.rejects(one.snapshotter().step(), { code: 'UNVERIFIABLE', message: /than a moment ago/ })
  one.way.spoil = (path, response) => path.startsWith('/test/addenda/') && !!response.end('another')
  await t.rejects(one.snapshotter().step(), { code: 'UNVERIFIABLE', message: /another document than entry 0/ })
  t.equal((await one.objects()).size, 0)
  one.way.spoil = () => false
  await one.snapshotter().step()
  t.match(await one.verify(), { size: 2, problems: [] })
})

t.test(
  'beside the audits: copies at intervals, evidence of a fault at once, alarms when the store fails',
  async (t) => {
    const one = await copied(t)
    await one.submit('model/1')
    await one.step()
    let failing: WormStore | undefined
    const store = new Proxy(one.store, { get: (target, name) => bound(failing ?? target, name) })
    const copies = new Copies({
      logs: [{ origin: ORIGIN, snapshotter: one.snapshotter(store), reader: one.reader }],
      ...{ state: one.state, store, alerts: one.alerts, metrics: one.metrics, now: one.now, interval: 50 },
      logger: {
        info: () => {},
        warn: () => {},
        error: (line: object) => one.said.push({ kind: 'error', why: JSON.stringify(line) }),
      },
    })
    copies.start()
    const until = async (what: () => unknown) => {
      for (let i = 0; i < 200 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 20))
      t.ok(what(), String(what))
    }
    await until(() => one.state.copies.snapshot(ORIGIN)?.size === 2)
    t.match(await one.metrics.registry.metrics(), new RegExp(`treeline_witness_snapshot_size{origin="${ORIGIN}"} 2`))
    failing = dying(one.store, 0, false)
    await one.submit('model/2')
    await one.step()
    await until(() => one.said.some(({ kind }) => kind === 'no-snapshot'))
    one.state.freeze(ORIGIN, 'fork', 'evidence\n', 1)
    failing = undefined
    await until(() => one.state.copies.snapshot(ORIGIN)?.size === 3)
    await until(() => one.state.copies.unkeptEvidence().length === 0)
    const fault = [...(await one.objects())].find(([key]) => key.endsWith('-fault'))
    t.equal(fault?.[1], createHash('sha256').update('evidence\n').digest('hex'))
    await copies.stop()
    t.notOk(one.said.some(({ kind }) => kind === 'error'))
  },
)

function bound(target: object, name: string | symbol): unknown {
  const value = Reflect.get(target, name, target)
  return typeof value === 'function' ? value.bind(target) : value
}
