import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseReceipt } from '../../src/client/receipts.ts'
import { fromBase64, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { decodeEntry } from '../../src/core/entry.ts'
import { parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../src/core/merkle.ts'
import { ED25519, parseNote, verifierKey } from '../../src/core/note.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { parseProof, verifyProof } from '../../src/core/proof-file.ts'
import { verifyReceipt } from '../../src/core/receipt.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { checkTree } from '../../src/log/check.ts'
import {
  Actor,
  envelope,
  event,
  policyDocument,
  redactionRequest,
  signedPolicy,
  statement,
  TYPE,
} from '../support/actors.ts'
import { ask, type HttpAnswer, json, post } from '../support/http.ts'
import { makeEventLog, makeRawLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const admins = [new Actor(), new Actor(), new Actor()]
const signer = new Actor()
const [suspended, expired, narrow, stranger, elsewhere] = Array.from({ length: 5 }, () => new Actor()) as [
  Actor,
  Actor,
  Actor,
  Actor,
  Actor,
]
const rules = [
  { actor: signer },
  { actor: suspended, suspended: { since: 1, compromisedSince: null } },
  { actor: expired, notAfter: 1_000 },
  { actor: narrow, types: ['urn:treeline:test:*'], subjects: ['model/*'] },
]
const data = temporaryFolder(t)
const { vkey, document } = await makeEventLog(data, admins, rules)
const other = await makeEventLog(data, [admins[0]!], [{ actor: elsewhere }], {
  name: 'other',
  origin: 'log.example/other',
})
await makeRawLog(data)
const server = await startServer(data)
t.teardown(() => server.close())
const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))

const get = (path: string, headers: Record<string, string> = {}) => ask(server.url, `/test/${path}`, { headers })
const submit = (body: string | Uint8Array, type?: string) => post(server.url, '/test/v1/events', body, type)
const { log } = server.opened.logs.get('test')!
const size = (): number => log.head.tree.size

async function logged(
  actor: Actor,
  subject: string,
  predicate: object = {},
): Promise<{ text: string; index: number; answer: HttpAnswer }> {
  const text = event(actor, subject, predicate)
  const answer = await submit(text)
  if (answer.status !== 201) throw new Error(answer.body.toString())
  return { text, index: json(answer).index, answer }
}

/** Waits until the published checkpoint covers an index; returns it. */
async function published(index: number): Promise<string> {
  for (let i = 0; i < 200; i++) {
    const note = (await get('checkpoint')).body.toString()
    if (Number(note.split('\n')[1]) > index) return note
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`nothing published covers ${index}`)
}

t.test('TC-7 every published checkpoint is consistent with every earlier one', async (t) => {
  const seen: string[] = []
  for (let i = 0; i < 12; i++) seen.push(await published((await logged(signer, `growth ${i}`)).index))
  const heads = seen.map((note) => parseCheckpoint(parseNote(toUtf8(note)).text))
  const wrong: string[] = []
  for (const [i, later] of heads.entries()) {
    for (const earlier of heads.slice(0, i)) {
      const proof = json(await get(`v1/proofs/consistency?from=${earlier.size}&to=${later.size}`))
      const hashes = proof.hashes.map((hash: string) => fromBase64(hash))
      if (!verifyConsistency(earlier.size, later.size, earlier.root, later.root, hashes))
        wrong.push(`${earlier.size} ${later.size}`)
    }
  }
  t.same(wrong, [])
  t.ok(new Set(heads.map((head) => head.size)).size > 5)
})

t.test('TA-3 the marker is empty, and 404 where entries have no trailer', async (t) => {
  const marker = await get('addenda.v1')
  t.equal(marker.status, 200)
  t.equal(marker.body.length, 0)
  t.equal((await ask(server.url, '/raw/addenda.v1')).status, 404)
})

t.test('a receipt verifies, and a known event gets its first index', async (t) => {
  const { text, index, answer } = await logged(signer, 'receipt')
  const receipt = parseReceipt(json(answer))
  t.equal(verifyReceipt(receipt, parseEnvelope(toUtf8(text)), trust).entry.type, TYPE)
  const again = await submit(text)
  t.equal(again.status, 200)
  t.equal(json(again).index, index)
  t.same(json(again).entry, json(answer).entry)
  const respelled = text.replace(/\{/, '{ "unknown": [1], ')
  t.equal(json(await submit(respelled, 'application/vnd.dsse.envelope.v1+json')).index, index, 'another spelling')
  const all = await Promise.all(Array.from({ length: 20 }, () => submit(event(signer, 'at once'))))
  t.same(all.map(({ status }) => status).sort(), [...Array(19).fill(200), 201])
})

t.test('text/plain asks for a tlog-proof', async (t) => {
  const text = event(signer, 'as proof')
  const answer = await ask(server.url, '/test/v1/events', {
    method: 'POST',
    headers: { accept: 'text/plain', 'content-type': 'application/json' },
    body: text,
  })
  t.equal(answer.status, 201)
  t.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
  const proof = parseProof(new Uint8Array(answer.body))
  const entry = fromBase64(json(await get(`v1/events/${proof.index}`)).entry)!
  t.ok(verifyProof(proof, leafHash(entry), trust))
})

t.test('a batch of lines is answered line by line, in order', async (t) => {
  const before = size()
  const lines = [
    event(signer, 'line 1'),
    'not json',
    event(stranger, 'line 3'),
    event(signer, 'line 4'),
    event(signer, 'line 1'),
  ]
  const answer = await post(server.url, '/test/v1/events/batch', `${lines.join('\n')}\n`, 'application/x-ndjson')
  t.equal(answer.status, 200)
  t.equal(answer.headers['content-type'], 'application/x-ndjson')
  const answers = answer.body
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.same(
    answers.map(({ line, status, problem }) => [line, status, problem?.code]),
    [
      [1, 201, undefined],
      [2, 400, 'MALFORMED_ENVELOPE'],
      [3, 403, 'UNKNOWN_KEY'],
      [4, 201, undefined],
      [5, 201, undefined],
    ].map((row, i) => (i === 4 ? [5, 200, undefined] : row)),
  )
  t.equal(size(), before + 2)
  t.equal((await post(server.url, '/test/v1/events/batch', '\n'.repeat(10_001), 'application/x-ndjson')).status, 413)
})

t.test('events, lists, proofs and evidence', async (t) => {
  const { index, text } = await logged(signer, 'documents')
  const one = json(await get(`v1/events/${index}`))
  t.equal(one.kind, 'event')
  t.same(one.keys, [signer.key.id])
  t.same(one.artifacts, [{ role: 'produced', algorithm: 'sha256', digest: 'ab'.repeat(32) }])
  t.equal(one.envelope.payload, JSON.parse(text).payload)
  const list = json(await get(`v1/events?from=${index - 1}&limit=1`))
  t.same(
    list.events.map((each: { index: number }) => each.index),
    [index - 1],
  )
  t.equal(list.next, index)
  t.equal(list.completeTo, size())
  const proof = json(await get(`v1/proofs/inclusion?index=${index}&size=${index + 1}`))
  const byLeaf = json(await get(`v1/proofs/inclusion?leaf=${proof.leafHash}&size=${index + 1}`))
  t.same(proof, byLeaf)
  const root = await log.prover.root(log.head.tree, index + 1)
  const hashes = proof.hashes.map((hash: string) => fromBase64(hash))
  t.ok(verifyInclusion(BigInt(index), BigInt(index + 1), leafHash(fromBase64(one.entry)!), hashes, root))
  await published(index)
  const evidence = parseEvidence(new Uint8Array((await get(`v1/evidence/${index}`)).body))
  t.equal(verifyEvidence(evidence, trust, verifySignature).signers.length, 1)
  const logs = json(await ask(server.url, '/v1/logs'))
  t.same(
    logs.map(({ name, profile }: { name: string; profile: string }) => [name, profile]),
    [
      ['other', 'events'],
      ['raw', 'raw'],
      ['test', 'events'],
    ],
  )
})

t.test('an event of 5,000 artifacts is taken, and key 11 counts those that do not fit', async (t) => {
  const consumed = Array.from({ length: 5_000 }, (_, i) => ({
    name: `f${i}`,
    digest: { sha256: i.toString(16).padStart(64, '0') },
  }))
  const { answer } = await logged(signer, 'many', { consumed })
  const entry = decodeEntry(fromBase64(json(answer).entry)!)
  t.match(entry, { hidden: 5_001 - 64 })
})

t.test('bad input', async (t) => {
  const good = JSON.parse(event(signer, 'model/x'))
  const payload = (text: string | Uint8Array) => {
    const bytes = typeof text === 'string' ? toUtf8(text) : text
    return envelope(IN_TOTO, new TextDecoder().decode(bytes), [signer])
  }
  const deep = `{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"${TYPE}","predicate":${'['.repeat(80)}${']'.repeat(80)}}`
  const plain = JSON.stringify(statement('model/x'))
  const rows: [string, number, string, () => Promise<HttpAnswer>][] = [
    ['unknown key', 403, 'UNKNOWN_KEY', () => submit(event(stranger, 'model/x'))],
    ['suspended key', 403, 'KEY_SUSPENDED', () => submit(event(suspended, 'model/x'))],
    ['expired key', 403, 'KEY_EXPIRED', () => submit(event(expired, 'model/x'))],
    [
      'key not allowed this type',
      403,
      'TYPE_NOT_ALLOWED',
      () => submit(envelope(IN_TOTO, statement('model/x', {}, 'urn:other:v1'), [narrow])),
    ],
    ['key not allowed this subject', 403, 'SUBJECT_NOT_ALLOWED', () => submit(event(narrow, 'data/x'))],
    ['key of another log', 403, 'UNKNOWN_KEY', () => submit(event(elsewhere, 'model/x'))],
    [
      'statement made for another log',
      403,
      'WRONG_ORIGIN',
      () => submit(event(signer, 'model/x', { origin: 'log.example/other' })),
    ],
    [
      'wrong signature',
      403,
      'BAD_SIGNATURE',
      () => submit(JSON.stringify({ ...good, signatures: [{ keyid: signer.key.id, sig: toBase64(randomBytes(64)) }] })),
    ],
    [
      'signature over other bytes',
      403,
      'BAD_SIGNATURE',
      () => submit(JSON.stringify({ ...good, payload: toBase64(toUtf8('{}')) })),
    ],
    ['no JSON', 400, 'MALFORMED_ENVELOPE', () => submit('hello')],
    ['empty body', 400, 'MALFORMED_ENVELOPE', () => submit('')],
    ['malformed base64', 400, 'MALFORMED_BASE64', () => submit(JSON.stringify({ ...good, payload: 'YQ' }))],
    ['mixed base64', 400, 'MALFORMED_BASE64', () => submit(JSON.stringify({ ...good, payload: '-+==' }))],
    [
      'duplicate JSON key in the envelope',
      400,
      'DUPLICATE_JSON_KEY',
      () => submit(JSON.stringify(good).replace('{', '{"payload":"",')),
    ],
    [
      'duplicate JSON key by escape',
      400,
      'DUPLICATE_JSON_KEY',
      () => submit(payload(plain.replace('{', '{"predicate\\u0054ype":"x",'))),
    ],
    ['deep nesting', 400, 'TOO_DEEP', () => submit(payload(deep))],
    ['lone surrogate', 400, 'MALFORMED_PAYLOAD', () => submit(payload(plain.replace('model/x', '\\ud800')))],
    ['payload that is no statement', 400, 'MALFORMED_PAYLOAD', () => submit(payload('{"a":1}'))],
    ['unknown payload type', 400, 'MALFORMED_PAYLOAD', () => submit(envelope('text/plain', 'x', [signer]))],
    ['oversize body', 413, 'BODY_TOO_LARGE', () => submit(event(signer, 'x'.repeat(2 ** 20)))],
    [
      'entry over 65,535 bytes',
      422,
      'ENTRY_TOO_LARGE',
      () => submit(envelope(IN_TOTO, statement('model/x', {}, `urn:${'x'.repeat(66_000)}`), [signer])),
    ],
    ['wrong content type', 415, 'UNSUPPORTED_MEDIA_TYPE', () => submit(event(signer, 'model/x'), 'text/plain')],
    ['unknown log', 404, 'UNKNOWN_LOG', () => post(server.url, '/nowhere/v1/events', '{}')],
    ['unknown index', 404, 'UNKNOWN_INDEX', () => get('v1/events/999999')],
    ['index that is none', 404, 'UNKNOWN_INDEX', () => get('v1/events/abc')],
    ['unknown size', 404, 'UNKNOWN_SIZE', () => get('v1/proofs/inclusion?index=0&size=999999')],
    ['sizes swapped', 404, 'UNKNOWN_SIZE', () => get('v1/proofs/consistency?from=2&to=1')],
    ['value that no parameter has', 400, 'UNKNOWN_PARAMETER', () => get('v1/proofs/inclusion?index=-1')],
    ['unknown parameter', 400, 'UNKNOWN_PARAMETER', () => get('v1/events?sort=1')],
    ['unknown parameter of one event', 400, 'UNKNOWN_PARAMETER', () => get('v1/events/0?x=1')],
    ['unknown parameter of the policy', 400, 'UNKNOWN_PARAMETER', () => get('v1/policy?x=1')],
    ['very long name of a log', 404, 'UNKNOWN_LOG', () => ask(server.url, `/${'a'.repeat(500)}/checkpoint`)],
    ['limit over 1,000', 400, 'UNKNOWN_PARAMETER', () => get('v1/events?limit=1001')],
    ['percent in a path', 404, 'NOT_FOUND', () => get('v1/%65vents')],
    ['addendum that is not there', 404, 'NOT_FOUND', () => get(`addenda/ab/ab/${'ab'.repeat(32)}`)],
  ]
  for (const [name, status, code, attempt] of rows) {
    const before = size()
    const answer = await attempt()
    t.equal(answer.status, status, `${name}: status`)
    const problem = json(answer)
    t.equal(problem.code, code, `${name}: code`)
    t.equal(problem.type, `urn:treeline:problem:${code}`, `${name}: type`)
    t.ok(problem.detail.length > 10, `${name}: says what to do`)
    t.equal(size(), before, `${name}: nothing is written`)
  }
})

t.test('policy: what may change it, and what may not', async (t) => {
  const postPolicy = (body: string, name = 'test') => post(server.url, `/${name}/v1/policy`, body)
  const current = json(await get('v1/policy'))
  t.same(current.policy, document)
  const next = { ...document, sequence: 1, previous: { index: current.index, sha256: current.sha256 } }
  const twice = JSON.parse(signedPolicy(next, [admins[0]!]))
  const rows: [string, number, string, string][] = [
    [
      'of another log',
      403,
      'WRONG_ORIGIN',
      signedPolicy({ ...other.document, sequence: 1, previous: next.previous }, [admins[0]!, admins[1]!]),
    ],
    [
      'rolled back',
      409,
      'POLICY_CONFLICT',
      signedPolicy(policyDocument(ORIGIN, vkey, admins, rules, { private: ['x'] }), admins),
    ],
    [
      'wrong predecessor',
      409,
      'POLICY_CONFLICT',
      signedPolicy({ ...next, previous: { index: 1, sha256: current.sha256 } }, admins),
    ],
    ['short of its threshold', 403, 'BAD_SIGNATURE', signedPolicy(next, [admins[0]!])],
    [
      'one key twice',
      403,
      'BAD_SIGNATURE',
      JSON.stringify({ ...twice, signatures: [...twice.signatures, ...twice.signatures] }),
    ],
    ['signed by a signer', 403, 'UNKNOWN_KEY', signedPolicy(next, [signer]).replaceAll(signer.key.id, 'alias')],
    ['unknown member', 400, 'MALFORMED_PAYLOAD', signedPolicy({ ...next, extra: 1 }, admins)],
    [
      'a key that the log does not sign with',
      409,
      'POLICY_CONFLICT',
      signedPolicy({ ...next, logKeys: [formatVkey(verifierKey(ORIGIN, ED25519, stranger.key.raw))] }, admins),
    ],
    [
      'a log key under another name',
      400,
      'MALFORMED_PAYLOAD',
      signedPolicy({ ...next, logKeys: [other.vkey.replace('log.example/other', ORIGIN)] }, admins),
    ],
    [
      'a signer of another log',
      409,
      'POLICY_CONFLICT',
      signedPolicy(
        {
          ...policyDocument(ORIGIN, vkey, admins, [...rules, { actor: elsewhere }]),
          sequence: 1,
          previous: next.previous,
        },
        admins,
      ),
    ],
  ]
  for (const [name, status, code, body] of rows) {
    const before = size()
    const answer = await postPolicy(body)
    t.equal(answer.status, status, `${name}: ${answer.body}`)
    t.equal(json(answer).code, code, name)
    t.equal(size(), before, `${name}: nothing is written`)
  }

  const suspend = (list: readonly { id: string }[]) =>
    list.map((one) => (one.id === narrow.key.id ? { ...one, suspended: { since: 5, compromisedSince: 4 } } : one))
  const alone = { ...next, signers: suspend(document.signers as { id: string }[]) }
  const answer = await postPolicy(signedPolicy(alone, [admins[2]!]))
  t.equal(answer.status, 201, 'one administrator may suspend')
  t.equal((await postPolicy(signedPolicy(alone, [admins[2]!]))).status, 200, 'asked again')
  t.equal(json(await submit(event(narrow, 'model/x'))).code, 'KEY_SUSPENDED')
  const inForce = json(await get('v1/policy'))
  const restored = { ...document, sequence: 2, previous: { index: inForce.index, sha256: inForce.sha256 } }
  t.equal(
    json(await postPolicy(signedPolicy(restored, [admins[2]!]))).code,
    'BAD_SIGNATURE',
    'restoring takes the threshold',
  )
  t.equal((await postPolicy(signedPolicy(restored, [admins[0]!, admins[1]!]))).status, 201)
  t.equal((await submit(event(narrow, 'model/x'))).status, 201)
})

t.test('redaction erases the payload and nothing else', async (t) => {
  const marker = randomBytes(24).toString('hex')
  const { index, text } = await logged(signer, 'secret', { marker })
  const neighbour = await logged(signer, 'neighbour')
  const { leafHash: leaf, addendum } = json(await get(`v1/events/${index}`))
  const path = `addenda/${addendum.slice(0, 2)}/${addendum.slice(2, 4)}/${addendum}`
  t.equal((await get(path)).headers['cache-control'], 'private, no-cache')
  t.equal((await get(path, { 'if-none-match': `"${addendum}"` })).status, 304)
  const redact = (entries: { index: number; leafHash: string }[], actors: Actor[]) =>
    post(server.url, '/test/v1/redactions', redactionRequest(ORIGIN, entries, actors))
  t.equal(json(await redact([{ index, leafHash: leaf }], [signer])).code, 'UNKNOWN_KEY', 'the signer of the event')
  t.equal(json(await redact([{ index, leafHash: leaf }], [admins[0]!])).code, 'BAD_SIGNATURE', 'short of its threshold')
  t.equal(json(await redact([{ index: 999_999, leafHash: leaf }], admins)).code, 'UNKNOWN_INDEX')
  t.equal(json(await redact([{ index, leafHash: 'ab'.repeat(32) }], admins)).code, 'UNKNOWN_INDEX')
  t.ok(containing(data, marker).length > 0, 'the payload is on the disk before')

  const request = redactionRequest(ORIGIN, [{ index, leafHash: leaf }], [admins[0]!, admins[1]!])
  const answer = await post(server.url, '/test/v1/redactions', request)
  t.equal(answer.status, 201)
  t.match(json(answer), { indexes: [index], erased: true })
  t.same(containing(data, marker), [], 'no file of the data folder has the payload')
  t.equal((await post(server.url, '/test/v1/redactions', request)).status, 200, 'asked again')
  t.match(json(await get(`v1/events/${index}`)), { envelope: null, redacted: { reason: 'personal-data' } })
  t.equal((await get(path)).status, 410)
  const again = await submit(text)
  t.equal(again.status, 410)
  t.match(json(again), { code: 'REDACTED', index })
  await published(size() - 1)
  for (const one of [index, neighbour.index]) {
    const evidence = parseEvidence(new Uint8Array((await get(`v1/evidence/${one}`)).body))
    const found = verifyEvidence(evidence, trust, verifySignature)
    t.equal(found.envelope === undefined, one === index)
  }
  t.equal((await checkTree(log.store, () => {})).size, size())
})

/** Files below a folder that hold the text, plain or in base64 at any alignment. */
function containing(folder: string, text: string): string[] {
  const needles = [
    text,
    ...[0, 1, 2].map((shift) =>
      Buffer.from('x'.repeat(shift) + text)
        .toString('base64')
        .slice(4, -4),
    ),
  ]
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => needles.some((needle) => readFileSync(file).includes(needle)))
}
