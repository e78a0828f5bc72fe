import t from 'tap'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { ED25519, verifierKey } from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWritePolicy, type WritePolicy } from '../../src/core/write-policy.ts'
import { Actor, policyDocument } from '../support/actors.ts'

const ORIGIN = 'log.example/policy'
const logKey = new Actor()
const vkeyOf = ({ key }: Actor, name = ORIGIN): string => formatVkey(verifierKey(name, ED25519, key.raw))
const admins = [new Actor(), new Actor(), new Actor('p256')]
const signer = new Actor()
const second = new Actor('p256')
const document = policyDocument(ORIGIN, vkeyOf(logKey), admins, [{ actor: signer }, { actor: second }])
const keyOf = ({ key }: Actor) => ({ id: key.id, publicKey: toBase64(key.spki) })
const read = (value: unknown): WritePolicy => parseWritePolicy(toUtf8(JSON.stringify(value)))
const changed = (change: object) => read({ ...document, ...change })
const before = { origin: 'log.example/before', size: 7, root: toBase64(new Uint8Array(32)) }
const signers = document.signers as Record<string, unknown>[]
const withSigner = (change: object) => changed({ signers: [{ ...signers[0], ...change }, signers[1]] })

t.test('a policy is read as it is written', (t) => {
  const policy = read(document)
  t.equal(policy.origin, ORIGIN)
  t.equal(policy.administrators.threshold, 2)
  t.same(
    policy.administrators.keys.map(({ id }) => id),
    admins.map(({ key }) => key.id),
  )
  t.same(
    policy.signers.map(({ key, types, suspended, shared }) => [key.algorithm, types, suspended, shared]),
    [
      ['ed25519', ['*'], null, false],
      ['p256', ['*'], null, false],
    ],
  )
  const suspended = { since: 5, compromisedSince: 3 }
  const full = withSigner({
    keyids: ['ci', 'old-ci'],
    types: ['urn:a:*', 'urn:b'],
    subjects: [],
    notBefore: 1,
    notAfter: 2,
    shared: true,
    suspended,
  })
  t.match(full.signers[0], { keyids: ['ci', 'old-ci'], notBefore: 1, notAfter: 2, shared: true, suspended })
  t.match(changed({ redactors: { threshold: 2, keys: [admins[0]!.key.id, signer.key.id] } }).redactors, {
    threshold: 2,
  })
  const later = changed({ sequence: 3, previous: { index: 41, sha256: 'ab'.repeat(32) } })
  t.match(later.previous, { index: 41, sha256: new Uint8Array(32).fill(0xab) })
  t.equal(policy.successorOf, null)
  t.same(changed({ successorOf: before }).successorOf, { origin: before.origin, size: 7, root: new Uint8Array(32) })
  t.end()
})

t.test('members with a meaning when they are absent may be absent', (t) => {
  const { redactors: _r, produces: _p, private: _x, ...rest } = document
  const bare = { ...keyOf(signer), name: 'bare', types: ['*'], subjects: ['*'] }
  t.match(read({ ...rest, signers: [bare] }), {
    redactors: null,
    produces: [],
    private: [],
    signers: [{ keyids: [], notBefore: null, notAfter: null, shared: false, suspended: null }],
  })
  t.end()
})

t.test('what is not a policy is refused', (t) => {
  const id = (actor: Actor) => actor.key.id
  const without = (name: string) => {
    const { [name]: _, ...rest } = document
    return () => read(rest)
  }
  const administrators = (threshold: unknown, keys: unknown = admins.map(keyOf)) =>
    changed({ administrators: { threshold, keys } })
  const redactors = (threshold: unknown, keys: unknown) => changed({ redactors: { threshold, keys } })
  const rows: Record<string, () => unknown> = {
    'no object': () => read([]),
    'no JSON': () => parseWritePolicy(toUtf8('{')),
    'no bytes': () => parseWritePolicy(new Uint8Array(0)),
    'an unknown member': () => changed({ extra: 1 }),
    'a member of the prototype': () =>
      parseWritePolicy(toUtf8(JSON.stringify(document).replace('{', '{"__proto__":{},'))),
    'no origin': without('origin'),
    'an empty origin': () => changed({ origin: '' }),
    'an origin past 4,096 bytes': () => changed({ origin: 'x'.repeat(4_097) }),
    'no sequence': without('sequence'),
    'a sequence below zero': () => changed({ sequence: -1 }),
    'half a sequence': () => changed({ sequence: 0.5, previous: { index: 0, sha256: 'ab'.repeat(32) } }),
    'a sequence as text': () => changed({ sequence: '0' }),
    'a sequence past 2^53': () => changed({ sequence: 2 ** 53, previous: { index: 0, sha256: 'ab'.repeat(32) } }),
    'a first policy with a predecessor': () => changed({ previous: { index: 0, sha256: 'ab'.repeat(32) } }),
    'a later policy without one': () => changed({ sequence: 1 }),
    'no previous at all': without('previous'),
    'a predecessor in upper case': () => changed({ sequence: 1, previous: { index: 0, sha256: 'AB'.repeat(32) } }),
    'a short predecessor': () => changed({ sequence: 1, previous: { index: 0, sha256: 'ab'.repeat(31) } }),
    'a predecessor with more': () =>
      changed({ sequence: 1, previous: { index: 0, sha256: 'ab'.repeat(32), leaf: '' } }),
    'no logKeys': without('logKeys'),
    'null as what it succeeds': () => changed({ successorOf: null }),
    'what it succeeds as a text': () => changed({ successorOf: before.origin }),
    'what it succeeds with more': () => changed({ successorOf: { ...before, key: '' } }),
    'what it succeeds without its root': () => changed({ successorOf: { ...before, root: undefined } }),
    'a short root': () => changed({ successorOf: { ...before, root: toBase64(new Uint8Array(31)) } }),
    'a root in hex': () => changed({ successorOf: { ...before, root: '00'.repeat(32) } }),
    'the empty tree to succeed': () => changed({ successorOf: { ...before, size: 0 } }),
    'a size as text': () => changed({ successorOf: { ...before, size: '7' } }),
    'half a size': () => changed({ successorOf: { ...before, size: 7.5 } }),
    'an empty origin to succeed': () => changed({ successorOf: { ...before, origin: '' } }),
    'its own successor': () => changed({ successorOf: { ...before, origin: ORIGIN } }),
    'what it succeeds said later': () =>
      changed({ successorOf: before, sequence: 1, previous: { index: 0, sha256: 'ab'.repeat(32) } }),
    'empty logKeys': () => changed({ logKeys: [] }),
    'a log key of another name': () => changed({ logKeys: [vkeyOf(logKey, 'log.example/else')] }),
    'a log key that is none': () => changed({ logKeys: ['x'] }),
    'a log key twice': () => changed({ logKeys: [vkeyOf(logKey), vkeyOf(logKey)] }),
    'no administrators': without('administrators'),
    'administrators that are a list': () => changed({ administrators: admins.map(keyOf) }),
    'an empty list of administrators': () => administrators(1, []),
    'a threshold of 0': () => administrators(0),
    'a threshold past its keys': () => administrators(4),
    'half a threshold': () => administrators(1.5),
    'a threshold as text': () => administrators('1'),
    'an administrator twice': () => administrators(2, [keyOf(admins[0]!), keyOf(admins[0]!)]),
    'an administrator with a name': () => administrators(1, [{ ...keyOf(admins[0]!), name: 'x' }]),
    'an id that is not of its key': () => administrators(1, [{ ...keyOf(admins[0]!), id: id(admins[1]!) }]),
    'an id in upper case': () => administrators(1, [{ ...keyOf(admins[0]!), id: id(admins[0]!).toUpperCase() }]),
    'an id of which no text can be made': () => administrators(1, [{ ...keyOf(admins[0]!), id: { toString: 0 } }]),
    'no id': () => administrators(1, [{ publicKey: keyOf(admins[0]!).publicKey }]),
    'a key that is none': () => administrators(1, [{ ...keyOf(admins[0]!), publicKey: 'AAAA' }]),
    'a key in loose base64': () =>
      administrators(1, [{ ...keyOf(admins[0]!), publicKey: keyOf(admins[0]!).publicKey.replace(/=*$/, '') }]),
    'a log key as an administrator': () => administrators(1, [keyOf(logKey)]),
    'redactors without keys': () => redactors(1, []),
    'a threshold past its redactors': () => redactors(2, [id(admins[0]!)]),
    'a redactor twice': () => redactors(2, [id(admins[0]!), id(admins[0]!)]),
    'a redactor whom nobody knows': () => redactors(1, [id(logKey)]),
    'no signers': without('signers'),
    'a signer without types': () => withSigner({ types: undefined }),
    'a signer without subjects': () => withSigner({ subjects: undefined }),
    'a signer without a name': () => withSigner({ name: '' }),
    'a signer with more': () => withSigner({ admin: true }),
    'a signer twice': () => changed({ signers: [signers[0], signers[0]] }),
    'an alias that is another key': () => withSigner({ keyids: [second.key.id] }),
    'an alias that is the key itself': () => withSigner({ keyids: [signer.key.id] }),
    'one alias for two': () => changed({ signers: signers.map((one) => ({ ...one, keyids: ['ci'] })) }),
    'an alias twice': () => withSigner({ keyids: ['ci', 'ci'] }),
    'an empty alias': () => withSigner({ keyids: [''] }),
    'a star in the middle': () => withSigner({ types: ['urn:*:v1'] }),
    'two stars': () => withSigner({ subjects: ['model/**'] }),
    'a pattern that is no text': () => withSigner({ types: [1] }),
    'a span that is empty': () => withSigner({ notBefore: 5, notAfter: 5 }),
    'a span backwards': () => withSigner({ notBefore: 6, notAfter: 5 }),
    'a time as text': () => withSigner({ notAfter: '2030-01-01' }),
    'shared as text': () => withSigner({ shared: 'yes' }),
    'suspended as a truth': () => withSigner({ suspended: true }),
    'suspended without since': () => withSigner({ suspended: { compromisedSince: 1 } }),
    'suspended with more': () => withSigner({ suspended: { since: 1, compromisedSince: null, why: 'x' } }),
    'a log key as a signer': () => changed({ signers: [{ ...signers[0], ...keyOf(logKey) }] }),
    'a pattern to produce that is none': () => changed({ produces: ['*x'] }),
    'private types that are text': () => changed({ private: 'urn:a' }),
  }
  for (const [name, attempt] of Object.entries(rows)) t.throws(attempt, { code: 'MALFORMED_PAYLOAD' }, name)
  const text = JSON.stringify(document)
  t.throws(() => parseWritePolicy(toUtf8(text.replace('{', '{"origin":"x",'))), { code: 'DUPLICATE_JSON_KEY' })
  t.throws(() => parseWritePolicy(toUtf8(`${'['.repeat(65)}${']'.repeat(65)}`)), { code: 'TOO_DEEP' })
  t.end()
})

t.test('two log keys may be listed while one follows the other', (t) => {
  t.equal(changed({ logKeys: [vkeyOf(logKey), vkeyOf(new Actor())] }).logKeys.length, 2)
  t.end()
})
