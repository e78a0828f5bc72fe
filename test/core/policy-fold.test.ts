import t from 'tap'
import { addendumHash } from '../../src/core/addendum.ts'
import { fromHex, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { ED25519, verifierKey } from '../../src/core/note.ts'
import { judgeEvent, judgeGenesis, judgePolicy, type PolicyInForce, SignerRing } from '../../src/core/policy-fold.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWritePolicy } from '../../src/core/write-policy.ts'
import { Actor, envelope, policyDocument, signedPolicy } from '../support/actors.ts'

const ORIGIN = 'log.example/fold'
const vkey = formatVkey(verifierKey(ORIGIN, ED25519, new Actor().key.raw))
const admins = [new Actor(), new Actor(), new Actor('p256')] as const
const [first, second, third] = admins
const [a, b] = [new Actor(), new Actor('p256')]
const document = policyDocument(ORIGIN, vkey, admins, [{ actor: a }, { actor: b }])
type Document = Record<string, unknown>
type SignerDocument = Record<string, unknown> & { id: string }
const signers = document.signers as SignerDocument[]

const parse = (text: string) => parseEnvelope(toUtf8(text))
const standing = (one: Document, index: number): PolicyInForce => {
  const bytes = toUtf8(JSON.stringify(one))
  return { index, sha256: addendumHash(bytes), policy: parseWritePolicy(bytes) }
}
const current = standing(document, 4)
const follow = (before: PolicyInForce, of: Document, change: object): Document => ({
  ...of,
  sequence: before.policy.sequence + 1,
  previous: { index: before.index, sha256: toHex(before.sha256) },
  ...change,
})
const next = (change: object) => follow(current, document, change)
const judge = (one: object, actors: readonly Actor[], before = current) =>
  judgePolicy(before, parse(signedPolicy(one, actors)), verifySignature)
const doubled = (one: object, actors: readonly Actor[], keyid = true) => {
  const text = JSON.parse(signedPolicy(one, actors)) as { signatures: Record<string, string>[] }
  const again = text.signatures.map(({ keyid: id, sig }) => (keyid ? { keyid: id, sig } : { sig }))
  return parse(JSON.stringify({ ...text, signatures: [...text.signatures, ...again] }))
}

const previousOf = ({ index, sha256 }: PolicyInForce) => ({ previous: { index, sha256: toHex(sha256) } })
const keyOf = ({ key }: Actor) => ({ id: key.id, publicKey: Buffer.from(key.spki).toString('base64') })

t.test('a genesis is signed by the threshold of its own administrators', (t) => {
  const genesis = (one: object, actors: readonly Actor[]) =>
    judgeGenesis(parse(signedPolicy(one, actors)), verifySignature)
  t.equal(genesis(document, [first, third]).verified.length, 2)
  t.equal(genesis(document, admins).policy.origin, ORIGIN)
  const refused = (attempt: () => unknown, code: string, name: string) => t.throws(attempt, { code }, name)
  refused(() => genesis(document, [first]), 'BAD_SIGNATURE', 'one of two')
  refused(() => judgeGenesis(doubled(document, [first]), verifySignature), 'BAD_SIGNATURE', 'one key twice')
  refused(() => genesis(document, [a, b]), 'UNKNOWN_KEY', 'signers are no administrators')
  refused(() => genesis(next({}), admins), 'POLICY_CONFLICT', 'a later policy')
  refused(
    () => judgeGenesis(parse(envelope('application/json', document, admins)), verifySignature),
    'MALFORMED_PAYLOAD',
    'another payload type',
  )
  refused(() => genesis({ ...document, extra: 1 }, admins), 'MALFORMED_PAYLOAD', 'an unknown member')
  t.end()
})

t.test('a change takes distinct administrators of the policy before it', (t) => {
  const change = next({ private: ['urn:x:*'] })
  t.equal(judge(change, [second, third]).verified.length, 2)
  t.equal(judge(change, [first, second, a]).verified.length, 2, 'a signature of somebody else does not count')
  t.throws(() => judge(change, [third]), { code: 'BAD_SIGNATURE' }, 'short of its threshold')
  t.throws(() => judge(change, [third, a, b]), { code: 'BAD_SIGNATURE' }, 'signers do not count')
  t.throws(() => judge(change, [a]), { code: 'UNKNOWN_KEY' })
  for (const keyid of [true, false]) {
    for (const one of admins) {
      t.throws(
        () => judgePolicy(current, doubled(change, [one], keyid), verifySignature),
        { code: 'BAD_SIGNATURE' },
        'one key twice is one key',
      )
    }
  }
  // ECDSA has many signatures for one message: still one key.
  const twice = [signedPolicy(change, [third]), signedPolicy(change, [third])].map(
    (text) => JSON.parse(text) as { signatures: object[] },
  )
  const both = { ...twice[0], signatures: twice.flatMap(({ signatures }) => signatures) }
  t.throws(() => judgePolicy(current, parse(JSON.stringify(both)), verifySignature), { code: 'BAD_SIGNATURE' })

  const newcomer = new Actor()
  const replaced = policyDocument(ORIGIN, vkey, [newcomer, new Actor()], [{ actor: a }])
  const takeover = follow(current, replaced, {})
  t.throws(() => judge(takeover, [newcomer]), { code: 'UNKNOWN_KEY' }, 'new administrators cannot put themselves in')
  t.throws(() => judge(takeover, [newcomer, first]), { code: 'BAD_SIGNATURE' })
  t.equal(judge(takeover, [first, second]).policy.administrators.keys.length, 2, 'the old ones can')
  const lowered = next({ administrators: { ...(document.administrators as object), threshold: 1 } })
  t.throws(() => judge(lowered, [first]), { code: 'BAD_SIGNATURE' }, 'a lower threshold takes the old one')
  t.end()
})

t.test('a change follows exactly the policy in force', (t) => {
  const rows: Record<string, [Document, string]> = {
    'of another log': [
      { ...next({}), origin: 'log.example/else', logKeys: [vkey.replace(ORIGIN, 'log.example/else')] },
      // The key id of a vkey is over its name.
      'MALFORMED_PAYLOAD',
    ],
    'the same again': [document, 'POLICY_CONFLICT'],
    'a sequence that skips': [next({ sequence: 2 }), 'POLICY_CONFLICT'],
    'another index': [next({ previous: { index: 5, sha256: toHex(current.sha256) } }), 'POLICY_CONFLICT'],
    'another digest': [next({ previous: { index: 4, sha256: 'ab'.repeat(32) } }), 'POLICY_CONFLICT'],
  }
  for (const [name, [one, code]] of Object.entries(rows)) t.throws(() => judge(one, admins), { code }, name)

  const elsewhere = 'log.example/else'
  const key = formatVkey(verifierKey(elsewhere, ED25519, new Actor().key.raw))
  const replayed = { ...policyDocument(elsewhere, key, admins, [{ actor: a }]), ...previousOf(current), sequence: 1 }
  t.throws(() => judge(replayed, admins), { code: 'WRONG_ORIGIN' }, 'the policy of a log of the same administrators')

  // Rolled back: what was in force once, and everything that could follow it, is refused afterwards.
  const one = next({ private: ['urn:x:*'] })
  const later = standing(one, 9)
  for (const old of [document, one, next({ produces: ['urn:y:*'] })])
    t.throws(() => judge(old, admins, later), { code: 'POLICY_CONFLICT' })
  t.equal(judge(follow(later, document, {}), admins, later).policy.sequence, 2)
  t.throws(
    () => judgePolicy(current, parse(envelope('application/json', one, admins)), verifySignature),
    { code: 'MALFORMED_PAYLOAD' },
    'another payload type',
  )
  t.end()
})

t.test('what a log succeeds is said once, and a suspension right after it is one', (t) => {
  const successorOf = { origin: 'log.example/before', size: 7, root: Buffer.alloc(32).toString('base64') }
  const genesis = { ...document, successorOf }
  const judged = judgeGenesis(parse(signedPolicy(genesis, admins)), verifySignature)
  t.equal(judged.policy.successorOf?.size, 7)
  const standingThere = standing(genesis, 0)
  const suspended = signers.map((one) => ({ ...one, suspended: { since: 5, compromisedSince: null } }))
  const after = (change: object) => follow(standingThere, document, change)
  t.equal(judge(after({ signers: suspended }), [first], standingThere).verified.length, 1)
  t.throws(() => judge(after({ private: ['urn:x'] }), [first], standingThere), { code: 'BAD_SIGNATURE' })
  t.throws(() => judge(after({ successorOf }), admins, standingThere), { code: 'MALFORMED_PAYLOAD' }, 'said again')
  t.throws(() => judge(next({ successorOf }), admins), { code: 'MALFORMED_PAYLOAD' }, 'said only later')
  t.end()
})

t.test('one administrator may suspend, and nothing else', (t) => {
  const suspend = (...who: readonly Actor[]) =>
    signers.map((one) =>
      who.some(({ key }) => key.id === one.id) ? { ...one, suspended: { since: 5, compromisedSince: 4 } } : one,
    )
  for (const one of admins) t.equal(judge(next({ signers: suspend(a) }), [one]).verified.length, 1)
  t.ok(judge(next({ signers: suspend(a, b) }), [second]))
  t.throws(() => judge(next({ signers: suspend(a) }), [b]), { code: 'UNKNOWN_KEY' }, 'a signer may not')

  const rows: Record<string, object> = {
    nothing: {},
    'signers in another order': { signers: suspend(a).toReversed() },
    'one left out': { signers: suspend(a).slice(0, 1) },
    'one more': { signers: [...suspend(a), { ...signers[0], ...keyOf(new Actor()) }] },
    'other types': { signers: suspend(a).map((one) => ({ ...one, types: ['urn:x'] })) },
    'other subjects': { signers: suspend(a).map((one) => ({ ...one, subjects: [] })) },
    'another alias': { signers: suspend(a).map((one, i) => ({ ...one, keyids: [`alias ${i}`] })) },
    'another name': { signers: suspend(a).map((one) => ({ ...one, name: 'other' })) },
    'another end': { signers: suspend(a).map((one) => ({ ...one, notAfter: 7 })) },
    shared: { signers: suspend(a).map((one) => ({ ...one, shared: true })) },
    'another key': {
      signers: suspend(a).map((one) => (one.id === b.key.id ? { ...one, ...keyOf(new Actor()) } : one)),
    },
    'types that produce': { signers: suspend(a), produces: ['urn:x'] },
    'private types': { signers: suspend(a), private: ['urn:x'] },
    redactors: { signers: suspend(a), redactors: { threshold: 1, keys: [first.key.id] } },
    'a lower threshold': {
      signers: suspend(a),
      administrators: { ...(document.administrators as object), threshold: 1 },
    },
    'another log key': {
      signers: suspend(a),
      logKeys: [formatVkey(verifierKey(ORIGIN, ED25519, new Actor().key.raw))],
    },
  }
  for (const [name, change] of Object.entries(rows)) {
    t.throws(() => judge(next(change), [first]), { code: 'BAD_SIGNATURE' }, `${name}: one`)
    t.ok(judge(next(change), [first, second]), `${name}: two`)
  }

  const inForce = standing(next({ signers: suspend(a) }), 6)
  const after = (list: readonly object[]) => follow(inForce, document, { signers: list })
  const again = (suspended: object | null) =>
    after(signers.map((one) => (one.id === a.key.id ? { ...one, suspended } : one)))
  t.throws(() => judge(again(null), [first], inForce), { code: 'BAD_SIGNATURE' }, 'restoring takes the threshold')
  t.ok(judge(again(null), [first, third], inForce))
  for (const suspended of [
    { since: 6, compromisedSince: 4 },
    { since: 5, compromisedSince: 3 },
    { since: 5, compromisedSince: null },
  ])
    t.throws(() => judge(again(suspended), [first], inForce), { code: 'BAD_SIGNATURE' }, 'so does another moment')
  t.throws(
    () => judge(after(suspend(b)), [first], inForce),
    { code: 'BAD_SIGNATURE' },
    'one may not restore a signer by suspending another',
  )
  t.ok(judge(after(suspend(a, b)), [first], inForce), 'one more may follow')
  t.end()
})

t.test('an event is judged by key, time, type and every subject', (t) => {
  const at = standing(
    policyDocument(ORIGIN, vkey, admins, [
      { actor: a, types: ['urn:a:*', 'urn:exact'], subjects: ['model/*', 'data'], notBefore: 10, notAfter: 20 },
      { actor: b, keyids: ['ci'] },
    ]),
    0,
  )
  const ring = new SignerRing(at.policy)
  const event = (change: object, time = 15) =>
    judgeEvent(
      at,
      ring,
      { keys: [fromHex(a.key.id)!], type: 'urn:a:x', subjects: ['model/x'], origin: undefined, ...change },
      time,
    )
  const stranger = fromHex(new Actor().key.id)!
  const rows: [string, string | undefined, object, number?][] = [
    ['all right', undefined, {}],
    ['an exact type', undefined, { type: 'urn:exact' }],
    ['an exact type and more', 'TYPE_NOT_ALLOWED', { type: 'urn:exact:x' }],
    ['another type', 'TYPE_NOT_ALLOWED', { type: 'urn:b' }],
    ['a prefix without its rest', undefined, { type: 'urn:a:' }],
    ['no subject', undefined, { subjects: [] }],
    ['two subjects', undefined, { subjects: ['model/x', 'data'] }],
    ['one foreign of two subjects', 'SUBJECT_NOT_ALLOWED', { subjects: ['model/x', 'other'] }],
    ['a subject without a name', 'SUBJECT_NOT_ALLOWED', { subjects: [''] }],
    ['an exact subject and more', 'SUBJECT_NOT_ALLOWED', { subjects: ['data/x'] }],
    ['the first moment', undefined, {}, 10],
    ['a moment before', 'KEY_EXPIRED', {}, 9],
    ['the last moment', undefined, {}, 19],
    ['a moment after', 'KEY_EXPIRED', {}, 20],
    ['its own origin', undefined, { origin: ORIGIN }],
    ['another origin', 'WRONG_ORIGIN', { origin: 'log.example/else' }],
    ['a stranger', 'UNKNOWN_KEY', { keys: [stranger] }],
    ['a stranger beside', 'UNKNOWN_KEY', { keys: [fromHex(b.key.id)!, stranger] }],
    ['two keys that may', undefined, { keys: [fromHex(a.key.id)!, fromHex(b.key.id)!] }],
    ['one of two may not', 'TYPE_NOT_ALLOWED', { keys: [fromHex(b.key.id)!, fromHex(a.key.id)!], type: 'urn:z' }],
    ['a key without bounds', undefined, { keys: [fromHex(b.key.id)!], type: 'urn:z', subjects: [''] }, 0],
  ]
  for (const [name, code, change, time] of rows) {
    if (code === undefined) t.doesNotThrow(() => event(change, time), name)
    else t.throws(() => event(change, time), { code }, name)
  }
  t.equal(ring.find('ci')?.id, b.key.id)
  t.equal(ring.signer('ci'), undefined, 'an alias is no id')
  t.same(
    [...ring.all()].map(({ id }) => id),
    [a.key.id, b.key.id],
  )
  t.end()
})
