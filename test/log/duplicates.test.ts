import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { p256 } from '@noble/curves/nist.js'
import Database from 'better-sqlite3'
import t from 'tap'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry, encodeEntry, POLICY } from '../../src/core/entry.ts'
import { leafHash } from '../../src/core/merkle.ts'
import type { EventLog } from '../../src/log/events.ts'
import { loadTree } from '../../src/log/prover.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { Actor, event, policyDocument, redactionRequest, signedPolicy } from '../support/actors.ts'
import { commitEntries } from '../support/bare-log.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

type Teardown = Parameters<typeof temporaryFolder>[0]

async function make(t: Teardown) {
  const data = temporaryFolder(t)
  const [administrator, signer] = [new Actor(), new Actor()]
  const { document, vkey } = await makeEventLog(data, [administrator], [{ actor: signer }])
  return { data, administrator, signer, document, vkey }
}

async function open(data: string): Promise<{ events: EventLog; size: () => number; close: () => Promise<void> }> {
  const server = await startServer(data)
  const { events, log } = server.opened.logs.get('test')!
  return { events: events!, size: () => log.head.tree.size, close: () => server.close() }
}

const submit = (events: EventLog, text: string) => events.submit(toUtf8(text))

t.test('one event sent many times at once has one index, also after a restart', async (t) => {
  const { data, signer } = await make(t)
  let server = await open(data)
  const texts = Array.from({ length: 10 }, (_, i) => event(signer, `model/${i}`))
  // Each in each of 20 rounds, so that copies meet in one batch, in the next one, and after their commit.
  const rounds = await Promise.all(
    Array.from({ length: 20 }, async (_, round) => {
      for (let turn = 0; turn < round; turn++) await new Promise(setImmediate)
      return Promise.all(texts.map((text) => submit(server.events, text)))
    }),
  )
  t.equal(server.size(), 11)
  const indexes = rounds[0]!.map(({ index }) => index)
  t.equal(new Set(indexes).size, 10)
  for (const round of rounds) {
    t.same(
      round.map(({ index }) => index),
      indexes,
    )
  }
  t.equal(rounds.flat().filter(({ created }) => created).length, 10, 'one answer for each says that it is new')
  await server.close()

  server = await open(data)
  for (const [i, text] of texts.entries()) {
    const again = await submit(server.events, text)
    t.match([again.index, again.created], [indexes[i], false])
    t.same(again.entry, rounds[0]![i]!.entry)
    t.same(again.salt, rounds[0]![i]!.salt)
  }
  t.equal(server.size(), 11)
  await server.close()
})

t.test('another spelling of an envelope is the same event', async (t) => {
  const { data, signer } = await make(t)
  const server = await open(data)
  // The payload has bytes that the two alphabets spell in different ways.
  const text = event(signer, 'model/x', { note: '???>>>~~~ÿÿÿ' })
  const first = await submit(server.events, text)
  const whole = JSON.parse(text)
  t.match(whole.payload, /[+/]/)
  const urlSafe = (base64: string): string => base64.replaceAll('+', '-').replaceAll('/', '_')
  const signature = whole.signatures[0]
  const spellings: Record<string, unknown> = {
    'URL-safe base64': {
      ...whole,
      payload: urlSafe(whole.payload),
      signatures: [{ ...signature, sig: urlSafe(signature.sig) }],
    },
    'extra members': { ...whole, extra: [1], signatures: [{ ...signature, extra: { a: null } }] },
    'another order': { signatures: whole.signatures, payload: whole.payload, payloadType: whole.payloadType },
    'no key id': { ...whole, signatures: [{ sig: signature.sig }] },
    'the signature twice': { ...whole, signatures: [signature, signature] },
  }
  for (const [name, document] of Object.entries(spellings)) {
    for (const indent of [0, 3]) {
      const again = await submit(server.events, JSON.stringify(document, null, indent))
      t.match([again.index, again.created], [first.index, false], name)
    }
  }
  t.equal(server.size(), 2)
  await server.close()
})

t.test('a known event is answered after its key has expired, and a new one is not', async (t) => {
  const { data, administrator, signer, document, vkey } = await make(t)
  const server = await open(data)
  const text = event(signer, 'model/x')
  const { index } = await submit(server.events, text)
  const next = policyDocument(ORIGIN, vkey, [administrator], [{ actor: signer, notAfter: Date.now() - 1 }], {
    sequence: 1,
    previous: { index: 0, sha256: toHex(server.events.policy.sha256) },
  })
  t.not(document.sequence, next.sequence)
  await server.events.submitPolicy(toUtf8(signedPolicy(next, [administrator])))
  const again = await submit(server.events, text)
  t.match([again.index, again.created], [index, false])
  await t.rejects(submit(server.events, event(signer, 'model/y')), { code: 'KEY_EXPIRED' })
  t.equal(server.size(), 3)
  await server.close()
})

t.test('a redacted event is refused with its index, also after a restart', async (t) => {
  const { data, administrator, signer } = await make(t)
  let server = await open(data)
  const text = event(signer, 'model/x')
  const { index, entry } = await submit(server.events, text)
  const request = redactionRequest(ORIGIN, [{ index, leafHash: toHex(leafHash(entry)) }], [administrator])
  t.match(await server.events.redact(toUtf8(request)), { indexes: [index], created: true, erased: true })
  await t.rejects(submit(server.events, text), { code: 'REDACTED', facts: { index } })
  await server.close()
  server = await open(data)
  await t.rejects(submit(server.events, text), { code: 'REDACTED', facts: { index } })
  t.equal(server.size(), 3)
  await server.close()
})

t.test('a duplicate is found after its digest has left memory, beside digests that begin alike', async (t) => {
  const { data, signer, administrator } = await make(t)
  let server = await open(data)
  const texts = Array.from({ length: 20 }, (_, i) => event(signer, `model/${i}`))
  for (const text of texts) await submit(server.events, text)
  const { addendum } = decodeEntry((await server.events.log.store.entry(7))!)
  await server.close()

  // Entries that somebody else's events would make, straight into the store: 40,000 signatures would take a minute.
  const store = SqliteStore.open(join(data, 'logs/test/log.db'))
  let tree = await loadTree(store)
  const { time } = await store.head()
  for (let batch = 0; batch < 40; batch++) {
    const entries = Array.from({ length: 1_000 }, (_, i) => {
      const digest = new Uint8Array(randomBytes(32))
      // As many bytes as an index keeps of a digest.
      if (i === 500) digest.set(addendum.subarray(0, 6))
      return encodeEntry({ kind: POLICY, time, addendum: digest })
    })
    tree = await commitEntries(store, tree, entries, time)
  }
  while (await store.maintain()) {}
  await store.close()
  const database = new Database(join(data, 'logs/test/log.db'), { readonly: true })
  t.equal(database.prepare('SELECT count(*) FROM addendum_runs').pluck().get(), 2)
  database.close()

  server = await open(data)
  for (const [i, text] of texts.entries()) {
    const again = await submit(server.events, text)
    t.match([again.index, again.created], [i + 1, false])
  }
  const [first, second] = await Promise.all([1, 2].map(() => submit(server.events, event(signer, 'model/new'))))
  t.match([first!.created, second!.created, second!.index], [true, false, 40_021])
  const request = redactionRequest(
    ORIGIN,
    [{ index: 7, leafHash: toHex(leafHash((await server.events.log.store.entry(7))!)) }],
    [administrator],
  )
  t.match(await server.events.redact(toUtf8(request)), { indexes: [7], erased: true })
  await t.rejects(submit(server.events, texts[6]!), { code: 'REDACTED', facts: { index: 7 } })
  await server.close()
})

t.test('what is signed again is another event where the algorithm signs differently each time', async (t) => {
  const data = temporaryFolder(t)
  const signers = [new Actor(), new Actor('p256')] as const
  await makeEventLog(
    data,
    [new Actor()],
    signers.map((actor) => ({ actor })),
  )
  const server = await open(data)
  for (const [actor, distinct] of [
    [signers[0], 1],
    [signers[1], 6],
  ] as const) {
    const texts = Array.from({ length: 6 }, () => event(actor, 'model/x'))
    const all = await Promise.all(texts.map((text) => submit(server.events, text)))
    t.equal(new Set(all.map(({ index }) => index)).size, distinct, actor.key.algorithm)
    for (const [i, text] of texts.entries()) t.equal((await submit(server.events, text)).index, all[i]!.index)
  }
  // Whoever has an ECDSA signature can make a second one of it, with n - s: it is the same event.
  const text = event(signers[1], 'model/y')
  const { index } = await submit(server.events, text)
  const whole = JSON.parse(text)
  const sig = p256.Signature.fromBytes(Buffer.from(whole.signatures[0].sig, 'base64'), 'der')
  const twin = new p256.Signature(sig.r, p256.Point.CURVE().n - sig.s).toBytes('der')
  const signatures = [{ ...whole.signatures[0], sig: Buffer.from(twin).toString('base64') }]
  t.match(await submit(server.events, JSON.stringify({ ...whole, signatures })), { index, created: false })
  await server.close()
})
