import t from 'tap'
import { addendumHash } from '../../src/core/addendum.ts'
import { fromHex, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { decodeEntry } from '../../src/core/entry.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import type { PolicyInForce } from '../../src/core/policy-fold.ts'
import { judgeRedaction, parseRedactionRequest, REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseWritePolicy } from '../../src/core/write-policy.ts'
import { Actor, envelope, redactionRequest, statement } from '../support/actors.ts'
import { canonical, ORIGIN, PaperLog } from './paper-log.ts'

const [first, second] = [new Actor(), new Actor()]
const [author, officer, other] = [new Actor(), new Actor('p256'), new Actor()]
const log = new PaperLog([first, second], [{ actor: author }, { actor: officer }, { actor: other }, { actor: first }])
const add = (...actors: readonly Actor[]) => log.addEvent(canonical(IN_TOTO, statement('model/x'), actors))
const one = add(author)
const two = add(author, officer)
const own = add(first)
const named = (index: number) => ({ index, leafHash: toHex(leafHash(log.entries[index]!)) })
const find = (index: number) => {
  const bytes = log.entries[index]
  return bytes && { entry: decodeEntry(bytes), leafHash: leafHash(bytes) }
}
const withRedactors = (redactors: object | null, change: object = {}): PolicyInForce => {
  const bytes = toUtf8(JSON.stringify({ ...log.document, redactors, ...change }))
  return { index: 0, sha256: addendumHash(bytes), policy: parseWritePolicy(bytes) }
}
const judge = (policy: PolicyInForce, indexes: readonly number[], actors: readonly Actor[], origin = ORIGIN) => {
  const signed = parseEnvelope(toUtf8(redactionRequest(origin, indexes.map(named), actors)))
  return judgeRedaction(policy, signed, parseRedactionRequest(signed), find, verifySignature)
}
const byAdministrators = withRedactors(null)

const many = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ index: 2 ** 52 + i, leafHash: 'ab'.repeat(32) }))

t.test('without redactors it takes the threshold of the administrators', (t) => {
  t.equal(judge(byAdministrators, [one], [first, second]).verified.length, 2)
  t.equal(judge(byAdministrators, [one, two], [first, second]).verified.length, 2)
  t.throws(() => judge(byAdministrators, [one], [first]), { code: 'BAD_SIGNATURE' }, 'short of it')
  t.throws(() => judge(byAdministrators, [one], [first, author]), { code: 'BAD_SIGNATURE' })
  t.throws(() => judge(byAdministrators, [one], [author]), { code: 'UNKNOWN_KEY' }, "the author's own key")
  const text = JSON.parse(redactionRequest(ORIGIN, [named(one)], [first])) as { signatures: object[] }
  const twice = parseEnvelope(toUtf8(JSON.stringify({ ...text, signatures: [...text.signatures, ...text.signatures] })))
  t.throws(
    () => judgeRedaction(byAdministrators, twice, parseRedactionRequest(twice), find, verifySignature),
    { code: 'BAD_SIGNATURE' },
    'one key twice is one key',
  )
  t.end()
})

t.test('nobody takes back what they signed', (t) => {
  const policy = withRedactors({ threshold: 1, keys: [officer.key.id, author.key.id, first.key.id] })
  t.equal(judge(policy, [one], [officer]).verified.length, 1)
  t.throws(() => judge(policy, [one], [author]), { code: 'BAD_SIGNATURE' }, 'the author, though listed')
  t.throws(() => judge(policy, [two], [officer]), { code: 'BAD_SIGNATURE' }, 'one of two authors')
  t.throws(() => judge(policy, [one, two], [officer, author]), { code: 'BAD_SIGNATURE' }, 'both')
  t.throws(() => judge(policy, [one, two], [officer]), { code: 'BAD_SIGNATURE' }, 'an author of one of those named')
  t.ok(judge(policy, [two], [officer, first]), 'beside somebody who did not sign it')
  t.throws(() => judge(policy, [own], [first]), { code: 'BAD_SIGNATURE' }, 'an administrator who is a signer too')
  t.throws(() => judge(byAdministrators, [own], [first, second]), { code: 'BAD_SIGNATURE' })
  t.end()
})

t.test('redactors are those of the policy, unless they are suspended', (t) => {
  const policy = withRedactors({ threshold: 1, keys: [officer.key.id] })
  t.ok(judge(policy, [one], [officer]))
  t.throws(() => judge(policy, [one], [first, second]), { code: 'UNKNOWN_KEY' }, 'administrators are not listed')
  t.throws(() => judge(policy, [one], [other]), { code: 'UNKNOWN_KEY' }, 'a signer who is not listed')
  const both = withRedactors({ threshold: 2, keys: [officer.key.id, second.key.id] })
  t.throws(() => judge(both, [one], [officer]), { code: 'BAD_SIGNATURE' })
  t.ok(judge(both, [one], [officer, second]))
  const signers = (log.document.signers as { id: string }[]).map((signer) =>
    signer.id === officer.key.id ? { ...signer, suspended: { since: 1, compromisedSince: null } } : signer,
  )
  const suspended = withRedactors({ threshold: 1, keys: [officer.key.id, second.key.id] }, { signers })
  t.throws(() => judge(suspended, [one], [officer]), { code: 'UNKNOWN_KEY' })
  t.ok(judge(suspended, [one], [second]))
  t.end()
})

t.test('a request names events of this log as its signers saw them', (t) => {
  const policy = byAdministrators
  t.throws(() => judge(policy, [one], [first, second], 'log.example/else'), { code: 'WRONG_ORIGIN' })
  t.throws(() => judge(policy, [0], [first, second]), { code: 'UNKNOWN_INDEX' }, 'the genesis')
  const text = (entries: { index: number; leafHash: string }[]) => {
    const signed = parseEnvelope(toUtf8(redactionRequest(ORIGIN, entries, [first, second])))
    return () => judgeRedaction(policy, signed, parseRedactionRequest(signed), find, verifySignature)
  }
  t.throws(text([{ index: 99, leafHash: 'ab'.repeat(32) }]), { code: 'UNKNOWN_INDEX' }, 'an index past the log')
  t.throws(text([{ index: one, leafHash: named(two).leafHash }]), { code: 'UNKNOWN_INDEX' }, 'the hash of another')
  t.doesNotThrow(text([named(one), named(own)].slice(0, 1)))
  t.end()
})

t.test('a request is read strictly', (t) => {
  const whole = { origin: ORIGIN, entries: [named(one), named(two)], reason: 'personal-data' }
  const read = (payload: unknown, type = REDACTION_REQUEST) =>
    parseRedactionRequest(parseEnvelope(toUtf8(envelope(type, payload, [first]))))
  t.match(read(whole), {
    origin: ORIGIN,
    entries: [{ index: one, leafHash: fromHex(named(one).leafHash)! }, { index: two }],
    reason: 'personal-data',
  })
  t.equal(read({ ...whole, entries: many(1_000) }).entries.length, 1_000)
  const rows: Record<string, unknown> = {
    'no object': [],
    'an unknown member': { ...whole, force: true },
    'no origin': { ...whole, origin: undefined },
    'no reason': { ...whole, reason: undefined },
    'a reason in words': { ...whole, reason: 'Because I say so' },
    'an empty reason': { ...whole, reason: '' },
    'a reason past 64': { ...whole, reason: 'x'.repeat(65) },
    'a reason that is personal data': { ...whole, reason: 'jane@example.org' },
    'no entries': { ...whole, entries: [] },
    'more than 1,000 entries': { ...whole, entries: many(1_001) },
    'entries that are indexes': { ...whole, entries: [one] },
    'an index twice': { ...whole, entries: [named(one), named(one)] },
    'indexes that descend': { ...whole, entries: [named(two), named(one)] },
    'an index below zero': { ...whole, entries: [{ ...named(one), index: -1 }] },
    'half an index': { ...whole, entries: [{ ...named(one), index: 0.5 }] },
    'an index as text': { ...whole, entries: [{ ...named(one), index: '1' }] },
    'no leaf hash': { ...whole, entries: [{ index: one }] },
    'a leaf hash in upper case': { ...whole, entries: [{ index: one, leafHash: 'AB'.repeat(32) }] },
    'a short leaf hash': { ...whole, entries: [{ index: one, leafHash: 'ab'.repeat(31) }] },
    'an entry with more': { ...whole, entries: [{ ...named(one), salt: 'x' }] },
  }
  for (const [name, payload] of Object.entries(rows)) t.throws(() => read(payload), { code: 'MALFORMED_PAYLOAD' }, name)
  t.throws(() => read(whole, 'application/json'), { code: 'MALFORMED_PAYLOAD' }, 'another payload type')
  t.throws(() => read('{"origin":"a","origin":"b"}'), { code: 'DUPLICATE_JSON_KEY' })
  t.end()
})
