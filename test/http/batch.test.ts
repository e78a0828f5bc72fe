/** Signed batches over HTTP: taken whole or not at all, and found again as header and items. */
import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { BATCH_BODY } from '../../src/core/batch.ts'
import { concat, fromBase64, fromUtf8, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { BATCH, decodeEntry, EVENT } from '../../src/core/entry.ts'
import { parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { CLOUDEVENTS } from '../../src/core/payload.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { checkTree } from '../../src/log/check.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { loadTree } from '../../src/log/prover.ts'
import { Actor, event, redactionRequest, statement, TYPE } from '../support/actors.ts'
import { bodyOf, signedBatch, statements } from '../support/batch.ts'
import { restoreInto } from '../support/copies.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, makeRawLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const admin = new Actor()
const [signer, second, narrow, expired, suspended] = [
  new Actor(),
  new Actor('p256'),
  new Actor(),
  new Actor(),
  new Actor(),
]
const data = temporaryFolder(t)
const { vkey } = await makeEventLog(
  data,
  [admin],
  [
    { actor: signer },
    { actor: second },
    { actor: narrow, types: [TYPE], subjects: ['model/*'] },
    { actor: expired, notAfter: 1 },
    { actor: suspended, suspended: { since: 1, compromisedSince: null } },
  ],
)
await makeRawLog(data)
const server = await startServer(data, { limits: { batchEntries: 4 } })
t.teardown(() => server.close())
const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
const { log } = server.opened.logs.get('test')!
const PATH = '/test/v1/events/batch'
const send = (body: Uint8Array, path = PATH) => post(server.url, path, body, BATCH_BODY)
const get = async (path: string) => json(await ask(server.url, `/test/${path}`))

async function evidence(index: number) {
  await log.covering(index + 1, 5_000, new AbortController().signal)
  const { body } = await ask(server.url, `/test/v1/evidence/${index}`)
  return verifyEvidence(parseEvidence(new Uint8Array(body)), trust, nativeVerify)
}

t.test('a batch is header and items, in one commit, and each of them is provable', async (t) => {
  const { body, addenda } = signedBatch(ORIGIN, statements(7), [signer, second])
  const before = log.head.tree.size
  const answer = await send(body)
  t.equal(answer.status, 201)
  const receipt = json(answer)
  t.match(receipt, { index: before, first: before + 1, size: 7, witnessed: false })
  t.equal(log.head.tree.size, before + 8)
  t.equal(decodeEntry(fromBase64(receipt.entry)!).kind, BATCH)
  t.equal(receipt.checkpoint.split('\n')[1], String(before + 8), 'the receipt is for the tree that has all of it')
  t.match(await get(`v1/events/${before}`), { kind: 'batch', payloadType: 'application/vnd.treeline.batch.v1+json' })
  const header = decodeEntry((await log.store.entry(before))!)
  for (let position = 0; position < 7; position++) {
    const document = await get(`v1/events/${before + 1 + position}`)
    t.match(document, { kind: 'event', envelope: null, batch: { header: before, position }, redacted: null })
    t.same(fromBase64(document.payload), addenda[position]!.subarray(16))
    t.equal(document.time, header.time)
    const found = await evidence(before + 1 + position)
    t.match(found.batch, { index: before, size: 7, position })
    t.equal(found.signers.length, 2)
  }
  t.equal((await evidence(before)).entry.kind, BATCH)
  t.match(await get(`v1/events?from=${before}&limit=3`), { events: [{ kind: 'batch' }, { payload: String }, {}] })
})

t.test('the header is known when it comes again, and items are not', async (t) => {
  const { body, addenda, header } = signedBatch(ORIGIN, statements(3, 'twice'), [signer])
  const first = json(await send(body))
  for (const again of [body, bodyOf(header, []), bodyOf(header, addenda.slice(0, 1)), concat(body, body)]) {
    const answer = await send(again)
    t.equal(answer.status, 200)
    t.match(json(answer), { index: first.index, first: first.first, size: 3, entry: first.entry })
  }
  const other = json(await send(signedBatch(ORIGIN, statements(3, 'twice'), [second]).body))
  t.not(other.index, first.index, 'the same items by another key are another batch')
  const items = await log.store.findAddendum(decodeEntry((await log.store.entry(first.first))!).addendum)
  t.same(items, [first.first, other.first])
  const racing = signedBatch(ORIGIN, statements(5, 'race'), [signer]).body
  const answers = await Promise.all(Array.from({ length: 5 }, () => send(racing)))
  t.same(answers.map(({ status }) => status).sort(), [200, 200, 200, 200, 201])
  t.equal(new Set(answers.map((answer) => json(answer).index)).size, 1)
})

t.test('in gzip, in CloudEvents, of one item, and in any pieces', async (t) => {
  const cloud = (id: string) => ({ specversion: '1.0', id, source: 'ci', type: 'urn:treeline:run:v1' })
  const batch = signedBatch(ORIGIN, [cloud('a')], [signer], { payloadType: CLOUDEVENTS })
  const headers = { 'content-type': BATCH_BODY, 'content-encoding': 'gzip' }
  const packed = await ask(server.url, PATH, { method: 'POST', headers, body: gzipSync(batch.body) })
  t.match([packed.status, json(packed).size], [201, 1])
  t.match(await get(`v1/events/${json(packed).first}`), { type: 'urn:treeline:run:v1', payloadType: CLOUDEVENTS })
  const broken = await ask(server.url, PATH, { method: 'POST', headers, body: gzipSync(batch.body).subarray(0, 40) })
  t.match(json(broken), { status: 400, code: 'MALFORMED_ENVELOPE' })
  const padded = Array.from({ length: 9 }, (_, i) => statement(`model/${i}`, { pad: ' '.repeat(4_000_000) }))
  const bomb = gzipSync(signedBatch(ORIGIN, padded, [signer]).body, { level: 1 })
  const refused = await ask(server.url, PATH, { method: 'POST', headers, body: bomb })
  t.match(json(refused), { status: 413, code: 'BODY_TOO_LARGE' })
  const slow = signedBatch(ORIGIN, statements(2, 'slow'), [signer])
  const { status } = await slowly(slow.body, 700)
  t.equal(status, 201)
})

/** Sends a body in pieces of `step` bytes, each in a turn of its own; `pause` waits in the middle. */
function slowly(
  body: Uint8Array,
  step: number,
  pause?: () => Promise<unknown>,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': BATCH_BODY, 'content-length': String(body.length) }
    const outgoing = httpRequest(`${server.url}${PATH}`, { method: 'POST', headers, agent: false }, (answer) => {
      let text = ''
      answer.on('data', (part) => {
        text += part
      })
      answer.on('end', () => resolve({ status: answer.statusCode!, text }))
    })
    outgoing.on('error', reject)
    void (async () => {
      for (let at = 0; at < body.length; at += step) {
        if (at > body.length / 2) await pause?.()
        outgoing.write(body.subarray(at, at + step))
        await new Promise((next) => setImmediate(next))
      }
      outgoing.end()
    })()
  })
}

t.test('a slow sender of a stolen header keeps its owner from nothing', async (t) => {
  const { body } = signedBatch(ORIGIN, statements(4, 'stolen'), [signer])
  let owner: number | undefined
  const thief = await slowly(body, body.length >> 2, async () => {
    owner ??= (await send(body)).status
  })
  t.equal(owner, 201)
  t.equal(thief.status, 200, 'and then it is known')
})

t.test('who is refused before the end of a body hears it at once', async (t) => {
  const { header, addenda } = signedBatch('log.example/other', statements(50), [signer])
  const body = bodyOf(header, addenda)
  const { hostname, port } = new URL(server.url)
  const length = 20 * 2 ** 20
  for (const [how, framing, wrap] of [
    ['a length', `Content-Length: ${length}`, (bytes: Uint8Array) => bytes],
    [
      'chunks',
      'Transfer-Encoding: chunked',
      (bytes: Uint8Array) =>
        Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]),
    ],
  ] as const) {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    const parts: Buffer[] = []
    socket.on('data', (part) => parts.push(part))
    socket.write(`POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: ${BATCH_BODY}\r\n${framing}\r\n\r\n`)
    socket.write(wrap(body))
    // Nothing more is sent before this.
    await once(socket, 'data')
    const answer = () => Buffer.concat(parts).toString()
    while (!answer().endsWith('}')) await once(socket, 'data')
    t.match(answer(), /^HTTP\/1.1 403 /, how)
    t.match(answer(), '"code":"WRONG_ORIGIN"')
    t.match(answer().toLowerCase(), /\r\nconnection: close\r\n/)
    t.equal(Number(/content-length: (\d+)/i.exec(answer())![1]), answer().split('\r\n\r\n')[1]!.length)
    // What comes nevertheless is read, and nothing is reset; then the server ends it.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => socket.write(wrap(Buffer.alloc(200_000)), resolve))
    t.notOk(socket.destroyed)
    // It does not wait for a client that has ended.
    if (how === 'chunks') socket.end()
    await once(socket, 'close')
    t.equal(answer().match(/HTTP\/1.1/g)?.length, 1)
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const ports = new Set<unknown>()
  for (let i = 0; i < 3; i++) {
    const request = httpRequest(`${server.url}${PATH}`, {
      method: 'POST',
      agent,
      headers: { 'content-type': BATCH_BODY },
    })
    request.end(body)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    t.equal(response.statusCode, 403)
    ports.add(request.socket!.localPort)
    response.resume()
    await once(response, 'end')
  }
  t.equal(ports.size, 1, 'a body that came whole leaves the connection open')
})

t.test('what is wrong with one item refuses all, and says which', async (t) => {
  const good = statements(3, 'good')
  const made = (payloads: readonly unknown[], actor = signer, change: object = {}) =>
    signedBatch(ORIGIN, payloads, [actor], change)
  const whole = made(good)
  const [, ...rest] = whole.addenda
  const rows: [string, Uint8Array, number, string, RegExp?][] = [
    ['an empty body', new Uint8Array(0), 400, 'MALFORMED_ENVELOPE', /header/],
    ['a header that is no envelope', bodyOf('{}', whole.addenda), 400, 'MALFORMED_ENVELOPE'],
    ['a header that is an event', bodyOf(event(signer, 'x'), whole.addenda), 400, 'MALFORMED_PAYLOAD'],
    ['a header with another member', made(good, signer, { more: 1 }).body, 400, 'MALFORMED_PAYLOAD'],
    ['no items', made(good, signer, { size: 0 }).body, 400, 'MALFORMED_PAYLOAD'],
    ['more items than there may be', made(good, signer, { size: 10_001 }).body, 400, 'MALFORMED_PAYLOAD'],
    ['a header over its limit', bodyOf(' '.repeat(65_536), []), 413, 'BODY_TOO_LARGE'],
    ['a header for another log', made(good, signer, { origin: 'log.example/else' }).body, 403, 'WRONG_ORIGIN'],
    ['a key of nobody', made(good, new Actor()).body, 403, 'UNKNOWN_KEY'],
    ['an expired key', made(good, expired).body, 403, 'KEY_EXPIRED'],
    ['a suspended key', made(good, suspended).body, 403, 'KEY_SUSPENDED'],
    [
      'a signature over other bytes',
      bodyOf(whole.header.replace('"payload":"ey', '"payload":"ez'), []),
      403,
      'BAD_SIGNATURE',
    ],
    ['too few items', bodyOf(whole.header, rest), 400, 'MALFORMED_ENVELOPE', /ends before item 2/],
    ['half an item', whole.body.subarray(0, -1), 400, 'MALFORMED_ENVELOPE', /ends before item 2/],
    ['too many items', bodyOf(whole.header, [...whole.addenda, rest[0]!]), 400, 'MALFORMED_ENVELOPE', /goes on/],
    ['one byte more', concat(whole.body, Uint8Array.of(0)), 400, 'MALFORMED_ENVELOPE', /goes on/],
    [
      'items in another order',
      bodyOf(whole.header, whole.addenda.toReversed()),
      403,
      'BAD_SIGNATURE',
      /the root that the header signs/,
    ],
    [
      'another salt',
      bodyOf(whole.header, [...whole.addenda.slice(0, 2), rest[0]!]),
      403,
      'BAD_SIGNATURE',
      /the root that the header signs/,
    ],
    ['an item without its salt', bodyOf(whole.header, [new Uint8Array(15)]), 400, 'MALFORMED_ENVELOPE', /item 0/],
    [
      'an item past the limit',
      concat(bodyOf(whole.header, []), Uint8Array.of(0xff, 0, 0, 0)),
      413,
      'BODY_TOO_LARGE',
      /item 0/,
    ],
    ['an item that is no JSON', made([...good, '{']).body, 400, 'MALFORMED_PAYLOAD', /item 3/],
    ['an item with a key twice', made([good[0], '{"_type":1,"_type":1}']).body, 400, 'DUPLICATE_JSON_KEY', /item 1/],
    ['an item too deep', made([good[0], '['.repeat(65)]).body, 400, 'TOO_DEEP', /item 1/],
    [
      'an item of the other type',
      made(good, signer, { payloadType: CLOUDEVENTS }).body,
      400,
      'MALFORMED_PAYLOAD',
      /item 0/,
    ],
    [
      'a type that its key may not',
      made([statement('model/x', {}, 'urn:other:v1')], narrow).body,
      403,
      'TYPE_NOT_ALLOWED',
      /item 0/,
    ],
    [
      'a subject that its key may not',
      made([statement('model/x'), statement('data/x')], narrow).body,
      403,
      'SUBJECT_NOT_ALLOWED',
      /item 1/,
    ],
    [
      'a statement for another log',
      made([statement('x', { origin: 'log.example/else' })]).body,
      403,
      'WRONG_ORIGIN',
      /item 0/,
    ],
    [
      'an entry that is too large',
      made([statement('x', {}, `urn:${'x'.repeat(65_535)}`)]).body,
      422,
      'ENTRY_TOO_LARGE',
      /item 0/,
    ],
  ]
  const { tree } = log.head
  for (const [name, body, status, code, detail = /./] of rows) {
    const answer = await send(body)
    t.match([answer.status, json(answer).code], [status, code], name)
    t.match(json(answer).detail, detail, name)
  }
  const large = await ask(server.url, PATH, {
    method: 'POST',
    headers: { 'content-type': BATCH_BODY },
    body: concat(bodyOf(whole.header, whole.addenda.slice(0, 2)), new Uint8Array(33 * 2 ** 20)),
  }).catch(() => undefined)
  if (large !== undefined) t.match([400, 413], [large.status === 413 ? 400 : large.status])
  t.equal(log.head.tree.size, tree.size, 'nothing of any of them is in the log')
  t.equal((await send(whole.body)).status, 201, 'and the whole one is taken')
  const lines = { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: '{' }
  t.equal(
    (await ask(server.url, `${PATH}?wait=witnessed`, lines)).status,
    200,
    'lines are answered at once all the same',
  )
  t.equal((await send(whole.body, `${PATH}?wait=witnessed`)).status, 200)
  t.equal((await send(whole.body, '/test/v1/events')).status, 415, 'it is for one route')
  t.equal((await send(whole.body, '/raw/add')).status, 200, 'bytes are bytes to a raw log')
})

t.test(
  'an item is redacted like an event, its neighbours stay provable, and it must be named wherever it stands',
  async (t) => {
    const salt = () => new Uint8Array(16).fill(9)
    const secret = statement('model/secret', { text: 'nobody may read this' })
    const twice = json(
      await send(signedBatch(ORIGIN, [secret, ...statements(2, 'beside'), secret], [signer], {}, salt).body),
    )
    const [first, last] = [twice.first, twice.first + 3]
    const request = async (indexes: readonly number[]) => {
      const entries = []
      for (const index of indexes) entries.push({ index, leafHash: toHex(leafHash((await log.store.entry(index))!)) })
      return post(server.url, '/test/v1/redactions', redactionRequest(ORIGIN, entries, [admin]))
    }
    const refused = await request([first])
    t.match([refused.status, json(refused).code, json(refused).indexes], [409, 'MORE_INDEXES', [first, last]])
    t.equal((await request([twice.index])).status, 404, 'a header is no event')
    const answer = json(await request([first, last]))
    t.match(answer, { indexes: [first, last], erased: true })
    for (const index of [first, last]) {
      const document = await get(`v1/events/${index}`)
      t.match(document, { envelope: null, batch: { header: twice.index }, redacted: { index: answer.index } })
      t.notOk('payload' in document)
      t.match(await evidence(index), { payload: undefined, batch: { index: twice.index, size: 4 } })
    }
    t.match(fromUtf8((await evidence(first + 1)).payload!), /beside-0/)
    const addendum = (await get(`v1/events/${first}`)).addendum
    const gone = await ask(server.url, `/test/addenda/${addendum.slice(0, 2)}/${addendum.slice(2, 4)}/${addendum}`)
    t.equal(gone.status, 410)
  },
)

t.test('search and lineage find items as they find events', async (t) => {
  const digest = 'cd'.repeat(32)
  const consumed = [{ name: 'set', digest: { sha256: digest } }]
  const { first } = json(
    await send(
      signedBatch(ORIGIN, [statement('model/a', { consumed, note: 'zebrafish' }), ...statements(2, 'z')], [signer])
        .body,
    ),
  )
  for (const query of [`artifact=${digest}`, 'text=zebrafish']) {
    let found: number[] = []
    for (let i = 0; i < 100 && found.length === 0; i++) {
      found = (await get(`v1/events?${query}`)).events.map((one: { index: number }) => one.index)
      if (found.length === 0) await new Promise((resolve) => setTimeout(resolve, 30))
    }
    t.same(found, [first], query)
  }
  const lineage = await get(`v1/lineage/sha256:${digest}?direction=down`)
  t.match(lineage.events, [{ index: first }])
})

t.test('a log restored from a copy has the batches, and evidence of their items', async (t) => {
  const { size } = log.head.tree
  await log.covering(size, 5_000, new AbortController().signal)
  const other = temporaryFolder(t)
  t.match(await restoreInto(other, data, 'test'), { size, missing: 0 })
  const restored = await startServer(other)
  t.teardown(() => restored.close())
  let items = 0
  for (const [index, bytes] of (await log.store.entries(0, size)).entries()) {
    const entry = decodeEntry(bytes)
    if (entry.kind !== BATCH && (entry.kind !== EVENT || entry.batch === undefined)) continue
    const { body } = await ask(restored.url, `/test/v1/evidence/${index}`)
    const found = verifyEvidence(parseEvidence(new Uint8Array(body)), trust, nativeVerify)
    if (found.batch !== undefined) items++
  }
  t.ok(items > 20)
})

t.test('the log is whole after all of it', async (t) => {
  const { size } = log.head.tree
  const { root } = await loadTree(log.store)
  t.same(root, log.head.tree.root)
  let items = 0
  for (const bytes of await log.store.entries(0, size)) {
    const entry = decodeEntry(bytes)
    if (entry.kind === EVENT && entry.batch !== undefined) items++
  }
  t.ok(items > 20)
  t.equal((await checkTree(log.store, () => {})).size, size)
})
