/** A witness that audits a real log: one that is honest, and one whose operator is not. */
import { createHash } from 'node:crypto'
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import { verifyFile } from '../../src/client/verify.ts'
import { addendumHash, joinAddendum } from '../../src/core/addendum.ts'
import { BATCH_BODY, BATCH_HEADER } from '../../src/core/batch.ts'
import { fromHex, toUtf8 } from '../../src/core/bytes.ts'
import { describe } from '../../src/core/describe.ts'
import { formatEnvelope, parseEnvelope } from '../../src/core/dsse.ts'
import { BATCH, type Entry, EVENT, REDACTION } from '../../src/core/entry.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Keeper } from '../../src/log/keeper.ts'
import { canonical } from '../core/paper-log.ts'
import { Actor, event, redactionRequest, signedPolicy, statement } from '../support/actors.ts'
import { signedBatch, statements } from '../support/batch.ts'
import { TestCosigner } from '../support/cosigner.ts'
import { ask, json, post } from '../support/http.ts'
import { ORIGIN, startServer, temporaryFolder } from '../support/server.ts'
import { admins, HOUR, narrow, type Spoil, setUp, signer } from './watched-log.ts'

const NO_RULES = { produces: [], private: [] }

/** What the log would make of an event, with changes. */
function forged(subject: string, actor: Actor, change: object = {}): { entry: Entry; addendum: Uint8Array } {
  const envelope = canonical(IN_TOTO, statement(subject), [actor])
  const addendum = joinAddendum(new Uint8Array(16), formatEnvelope(envelope))
  const keys = [fromHex(actor.key.id)!]
  const { payloadType, payload } = envelope
  const described = describe({ keys, payloadType, payload }, NO_RULES)
  const entry = { kind: EVENT, time: Date.now(), ...described, addendum: addendumHash(addendum), policy: 0, ...change }
  return { entry: entry as Entry, addendum }
}

t.test('an honest log is audited to what was cosigned, step by step, and nothing is said', async (t) => {
  const one = await setUp(t)
  for (let i = 0; i < 5; i++) await one.submit(`model/${i}`)
  await one.step()
  t.equal(one.audited(), 6)
  const { index, sha256 } = json(await ask(one.server.url, '/test/v1/policy'))
  const next = { ...one.document, sequence: 1, previous: { index, sha256 }, produces: ['urn:x:*'] }
  t.equal((await post(one.server.url, '/test/v1/policy', signedPolicy(next, admins))).status, 201)
  await one.submit('model/after', narrow)
  await one.step()
  const { leafHash } = json(await ask(one.server.url, '/test/v1/events/2'))
  const request_ = redactionRequest(ORIGIN, [{ index: 2, leafHash }], admins)
  t.equal((await post(one.server.url, '/test/v1/redactions', request_)).status, 201)
  for (let i = 0; i < 300; i++) await one.submit(`model/more/${i}`)
  await one.step()
  t.equal(one.audited(), one.cosigned())
  t.equal(one.audited(), 309)
  t.same(one.said, [])
  t.equal(one.auditor.hold, undefined)
  const hash = createHash('sha256').update(ORIGIN).digest('hex')
  t.same(await (await fetch(`${one.witnessUrl}/${hash}/audited`)).json(), {
    origin: ORIGIN,
    cosigned: 309,
    audited: 309,
  })
})

t.test('a payload that was redacted before it was audited is forgiven, one that is gone is not', async (t) => {
  const one = await setUp(t)
  const index = await one.submit('model/secret')
  const { leafHash } = json(await ask(one.server.url, `/test/v1/events/${index}`))
  await post(one.server.url, '/test/v1/redactions', redactionRequest(ORIGIN, [{ index, leafHash }], admins))
  await one.step()
  t.same(one.said, [])
  const gone = await one.submit('model/gone')
  const db = new Database(join(one.data, 'logs/test/log.db'))
  db.prepare('DELETE FROM addenda WHERE entry = ?').run(gone)
  db.close()
  await one.step()
  t.match(one.said, [{ kind: 'missing', why: `payloads are missing and were not redacted: ${gone}` }])
  t.equal(one.state.frozen(ORIGIN), undefined, 'an alarm, for a person to judge')
  t.match(readFileSync(join(one.folder, 'alerts.ndjson'), 'utf8'), /"kind":"missing"/)
  await one.alerts.close()
  t.match(one.hooks.join(''), /"kind":"missing"/)
})

const SINS: Record<string, { rule: string; sin: (one: Awaited<ReturnType<typeof setUp>>) => Promise<number> }> = {
  'hides an artifact': {
    rule: 'description',
    sin: (one) => {
      const { entry, addendum } = forged('model/hidden', signer, { artifacts: [] })
      return one.force(entry, addendum)
    },
  },
  'admits a stranger': {
    rule: 'not-allowed',
    sin: (one) => {
      const { entry, addendum } = forged('model/strange', new Actor())
      return one.force(entry, addendum)
    },
  },
  'admits a subject against the policy': {
    rule: 'not-allowed',
    sin: (one) => {
      const { entry, addendum } = forged('other/1', narrow)
      return one.force(entry, addendum)
    },
  },
  'forges an entry in the name of a signer, and redacts it': {
    rule: 'redaction',
    sin: async (one) => {
      const { entry } = forged('model/forged', signer)
      const index = await one.force({ ...entry, addendum: addendumHash(toUtf8('nobody has this')) } as Entry)
      const { leafHash } = json(await ask(one.server.url, `/test/v1/events/${index}`))
      const payload = { origin: ORIGIN, entries: [{ index, leafHash }], reason: 'personal-data' }
      const document = formatEnvelope(canonical(REDACTION_REQUEST, payload, [new Actor()]))
      const redaction = {
        kind: REDACTION,
        time: Date.now(),
        addendum: addendumHash(document),
        policy: 0,
        indexes: [index],
      }
      return one.force({ ...redaction, reason: 'personal-data' } as Entry, document)
    },
  },
  'signs a head that ends in a batch': {
    rule: 'batch',
    sin: (one) => {
      const { header } = signedBatch(ORIGIN, statements(40, 'cut'), [signer])
      const document = formatEnvelope(parseEnvelope(toUtf8(header)))
      const keys = [fromHex(signer.key.id)!]
      const signed = { payloadType: BATCH_HEADER, addendum: addendumHash(document) }
      return one.force({ kind: BATCH, time: Date.now(), keys, policy: 0, ...signed }, document)
    },
  },
  'sets a time back': {
    rule: 'time',
    sin: (one) => {
      const { entry, addendum } = forged('model/back', signer, { time: Date.now() - HOUR })
      return one.force(entry, addendum)
    },
  },
}

for (const [name, { rule, sin }] of Object.entries(SINS)) {
  t.test(`an operator who ${name} is named, with evidence, and cosigning stops`, async (t) => {
    const one = await setUp(t)
    await one.submit('model/1')
    await one.step()
    const index = await sin(one)
    await one.step()
    t.match(one.said.at(-1), { kind: 'invalid-entry', why: new RegExp(`entry ${index} breaks the rule "${rule}"`) })
    const { evidence } = one.state.frozen(ORIGIN)!
    const proved = verifyFile({ file: toUtf8(evidence), trust: one.trust })
    t.match(proved, { kind: 'fault', fault: { kind: 'invalid-entry', origin: ORIGIN } })
    const before = one.cosigned()
    await one.submit('model/later')
    await new Promise((resolve) => setTimeout(resolve, 200))
    t.equal(one.cosigned(), before, 'nothing more is cosigned')
    t.equal(one.state.clear(ORIGIN, Date.now()), 1)
    await one.step()
    t.equal(one.cosigned(), before + 1, 'until a person has looked')
    t.equal(one.state.frozen(ORIGIN), undefined, 'and the same fault is not held against it again')
    t.equal(one.audited(), one.cosigned())
  })
}

t.test('batches are audited, with an item that was redacted, and one fault of a batch is cleared once', async (t) => {
  const one = await setUp(t)
  const header = await one.batch(statements(300), narrow)
  const index = header + 7
  const { leafHash } = json(await ask(one.server.url, `/test/v1/events/${index}`))
  await post(one.server.url, '/test/v1/redactions', redactionRequest(ORIGIN, [{ index, leafHash }], admins))
  await one.step()
  t.same(one.said, [])
  t.equal(one.audited(), 303)

  const keys = [fromHex(signer.key.id)!]
  const { header: signed } = signedBatch(ORIGIN, statements(40, 'other'), [signer])
  const document = formatEnvelope(parseEnvelope(toUtf8(signed)))
  const common = { time: Date.now(), keys, policy: 0 }
  const start = one.served.log.head.tree.size
  const forgedItems = statements(40, 'never signed').map((payload, position): Entry => {
    const described = describe({ keys, payloadType: IN_TOTO, payload: toUtf8(JSON.stringify(payload)) }, NO_RULES)
    const addendum = addendumHash(toUtf8(`nobody has ${position}`))
    return { kind: EVENT, ...common, ...described, addendum, batch: { header: start, position } }
  })
  const entry: Entry = { kind: BATCH, ...common, payloadType: BATCH_HEADER, addendum: addendumHash(document) }
  await one.force(entry, document, forgedItems)
  await one.step()
  t.match(one.said.at(-1), { kind: 'invalid-entry', why: new RegExp(`entry ${start + 40} breaks the rule "batch"`) })
  const { evidence } = one.state.frozen(ORIGIN)!
  t.match(verifyFile({ file: toUtf8(evidence), trust: one.trust }), { kind: 'fault' })
  one.state.clear(ORIGIN, Date.now())
  const told = one.said.length
  await one.step()
  t.equal(one.audited(), one.cosigned())
  t.same(
    one.said.slice(told).map(({ kind }) => kind),
    ['missing'],
    'and nobody has the payloads',
  )
  const { body } = signedBatch(ORIGIN, statements(3, 'waited'), [signer])
  const waited = await post(one.server.url, '/test/v1/events/batch?wait=witnessed', body, BATCH_BODY)
  t.match([waited.status, json(waited).witnessed], [201, true])
  t.ok(
    Number(json(waited).checkpoint.split('\n')[1]) >= json(waited).first + 3,
    'under a checkpoint that has all items',
  )
})

t.test('documents are asked for ahead, some at once and not all, and count in their order', async (t) => {
  const one = await setUp(t)
  for (let i = 0; i < 60; i++) await one.submit(`model/${i}`)
  let asked = 0
  let waiting = 0
  let most = 0
  const counted: Spoil = (path, response) => {
    if (!path.includes('/addenda/')) return false
    asked++
    most = Math.max(most, ++waiting)
    response.on('close', () => waiting--)
    return false
  }
  one.way.spoil = counted
  await one.step()
  t.equal(one.audited(), 61)
  t.ok(most > 4 && most <= 16, `${most} at once`)
  t.equal(asked, 61, 'each of them once')

  const index = await SINS['admits a stranger']!.sin(one)
  const after = await one.submit('model/after')
  for (let i = 0; i < 60; i++) await one.submit(`model/later/${i}`)
  const digest = json(await ask(one.server.url, `/test/v1/events/${after}`)).addendum as string
  asked = 0
  one.way.spoil = (path, response) =>
    counted(path, response) || (path.endsWith(digest) && !!response.writeHead(500).end())
  await one.step()
  t.match(one.state.frozen(ORIGIN), { kind: 'invalid-entry' }, 'though the one after it failed before it was judged')
  t.match(one.said.at(-1), { why: new RegExp(`entry ${index} `) })
  t.ok(asked < 30, `${asked} were asked for: none that a fault made useless`)
  one.state.clear(ORIGIN, Date.now())
  await one.step()
  t.match(one.said.at(-1), { kind: 'unverifiable' }, 'and then it is the turn of the other')
  t.equal(one.audited(), 61)
  one.way.spoil = () => false
  await one.step()
  t.equal(one.audited(), one.cosigned())
})

t.test('an entry that claims a time outside of the cosignatures around it raises an alarm', async (t) => {
  const one = await setUp(t)
  await one.submit('model/1')
  await one.step()
  const { entry, addendum } = forged('model/future', signer, { time: Date.now() + HOUR })
  const index = await one.force(entry, addendum)
  await one.step()
  t.match(one.said, [{ kind: 'back-dated', why: new RegExp(`^entry ${index} `) }])
})

t.test('an old answer freezes nothing, and is said once', async (t) => {
  const one = await setUp(t)
  await one.submit('model/1')
  await one.step()
  const old = (await ask(one.server.url, '/test/checkpoint')).body.toString()
  await one.submit('model/2')
  await one.step()
  one.way.spoil = (path, response) => path === '/test/checkpoint' && !!response.end(old)
  await one.step()
  await one.step()
  t.match(one.said, [{ kind: 'stale', why: /^the log shows size [12], and had 3 cosigned$/ }])
  t.equal(one.said.length, 1)
  t.equal(one.state.frozen(ORIGIN), undefined)
})

t.test(
  'what a log does not give, or gives wrong, is unverifiable: no cosignature is withheld before patience ends',
  async (t) => {
    const one = await setUp(t, { patience: 60_000 })
    await one.submit('model/1')
    await one.step()
    const spoils: Record<string, Spoil> = {
      'no entries': (path, response) => path.includes('/entries/') && !!response.writeHead(404).end(),
      'other entries': (path, response) =>
        path.includes('/entries/') && !!response.end(Buffer.from('0003616263'.repeat(9), 'hex')),
      'a cut bundle': (path, response) => path.includes('/entries/') && !!response.end(Buffer.from('00ff61', 'hex')),
      'a redirect': (path, response) =>
        path.includes('/entries/') && !!response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      'no policy document': (path, response) => path.includes('/addenda/') && !!response.writeHead(500).end(),
      'bytes without end': (path, response) => {
        if (!path.includes('/entries/')) return false
        const more = () => {
          while (response.write(Buffer.alloc(65_536)));
          response.once('drain', more)
        }
        more()
        return true
      },
      'no checkpoint': (path, response) => path === '/test/checkpoint' && !!response.end('nonsense'),
    }
    for (const [what, spoil] of Object.entries(spoils)) {
      const { length } = one.said
      await one.submit(`model/${what}`)
      one.way.spoil = spoil
      await one.step()
      t.equal(one.said[length]?.kind, 'unverifiable', what)
      if (what !== 'no checkpoint') t.ok(one.audited() < one.cosigned(), what)
      t.equal(one.state.frozen(ORIGIN), undefined, what)
      one.way.spoil = () => false
      await one.step()
      t.equal(one.audited(), one.cosigned(), `${what}: and it catches up`)
    }
    one.way.spoil = spoils['no entries']!
    await one.submit('model/lag')
    await one.step()
    one.clock.ahead = 61_000
    t.match(one.auditor.hold, /lags/)
    const before = one.cosigned()
    await one.submit('model/held')
    await new Promise((resolve) => setTimeout(resolve, 200))
    t.equal(one.cosigned(), before)
    one.way.spoil = () => false
    await one.auditor.step()
    await one.step()
    t.equal(one.cosigned(), before + 1)
  },
)

t.test('a split view is found within one period, by comparing with another witness', async (t) => {
  const other = await new TestCosigner('other.example').listen(t)
  const prefix = other.line.trim().split(' ').at(-1)!
  const one = await setUp(t, { elsewhere: prefix })
  await one.submit('model/common')
  await one.step()
  t.same(one.said, [], 'the other one has seen nothing yet')
  // The log run twice from a copied folder, and shown to another witness.
  const twin = temporaryFolder(t)
  cpSync(one.data, twin, { recursive: true })
  const policy = parseWitnessPolicy(toUtf8(`log ${one.vkey}\n${other.line}quorum other.example\n`))
  const second = await startServer(twin, { witnesses: policy, publishInterval: 10 })
  t.teardown(() => second.close())
  await post(second.url, '/test/v1/events', event(signer, 'model/there'))
  for (let i = 0; i < 200 && other.size < 3n; i++) await new Promise((resolve) => setTimeout(resolve, 20))
  for (const subject of ['model/here', 'model/here/2']) await one.submit(subject)
  await one.step()
  t.match(one.said.at(-1), { kind: 'fork' })
  const proved = verifyFile({ file: toUtf8(one.state.frozen(ORIGIN)!.evidence), trust: one.trust })
  t.match(proved, { kind: 'fault', fault: { kind: 'fork', what: /size 3 is no part of what it signed at size 4/ } })
  one.state.clear(ORIGIN, Date.now())
  await one.step()
  t.equal(one.state.frozen(ORIGIN), undefined, 'a person has seen these two notes')
})

t.test('where a keeper is named, nothing is erased that it has not audited', async (t) => {
  const one = await setUp(t)
  const index = await one.submit('model/secret')
  // The same data, served with the keeper: what setUp started has to let go of it first.
  await one.server.close()
  const keeper = new Keeper(one.witnessUrl, 500)
  const server = await startServer(one.data, { keeper })
  t.teardown(() => server.close())
  one.way.target = server.url
  const { leafHash } = json(await ask(server.url, `/test/v1/events/${index}`))
  const request_ = redactionRequest(ORIGIN, [{ index, leafHash }], admins)
  const early = await post(server.url, '/test/v1/redactions', request_)
  t.equal(early.status, 503)
  t.match(json(early), { code: 'NOT_YET_AUDITED', index, detail: /it is at 0/ })
  t.ok(early.headers['retry-after'])
  t.equal(server.opened.logs.get('test')!.log.head.tree.size, index + 1, 'nothing was logged')
  await one.auditor.step()
  t.equal(one.audited(), index + 1)
  t.equal((await post(server.url, '/test/v1/redactions', request_)).status, 201)

  const nobody = new Keeper('http://127.0.0.1:9/', 500)
  t.teardown(() => nobody.close())
  await t.rejects(nobody.audited(ORIGIN), { code: 'NOT_YET_AUDITED' })
})
