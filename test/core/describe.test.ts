import fc from 'fast-check'
import t from 'tap'
import { type Artifact, collectArtifacts, MAX_ARTIFACTS, type Role } from '../../src/core/artifact.ts'
import { compare, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { encodeCbor } from '../../src/core/cbor.ts'
import { type DescribeRules, describe, parsePayload } from '../../src/core/describe.ts'
import { isPattern, matchPattern } from '../../src/core/pattern.ts'
import { CLOUDEVENTS, type Digest, IN_TOTO } from '../../src/core/payload.ts'

const NO_RULES: DescribeRules = { produces: [], private: [] }
const keys = [new Uint8Array(32)]
const hex = (c: string) => c.repeat(64)

const describeJson = (payloadType: string, json: unknown, rules = NO_RULES) =>
  describe({ keys, payloadType, payload: toUtf8(JSON.stringify(json)) }, rules)
const show = (artifacts: readonly Artifact[]) =>
  artifacts.map(({ role, algorithm, digest }) => `${role} ${algorithm}:${toHex(digest)}`)

const statement = (
  predicateType: string,
  predicate?: unknown,
  subject: unknown = [{ name: 's', digest: { sha256: hex('a') } }],
) => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject,
  predicateType,
  predicate,
})
const resource = (c: string) => ({ name: c, digest: { sha256: hex(c) } })

t.test('roles of a statement', (t) => {
  const A = `sha256:${hex('a')}`
  const B = `sha256:${hex('b')}`
  const C = `sha256:${hex('c')}`
  for (const [name, type, predicate, expected] of [
    ['test result', 'https://in-toto.io/attestation/test-result/v0.1', {}, [`3 ${A}`]],
    ['no predicate', 'https://example.com/x', undefined, [`3 ${A}`]],
    ['predicate that is no object', 'https://example.com/x', [1], [`3 ${A}`]],
    [
      'SLSA v0.1',
      'https://slsa.dev/provenance/v0.1',
      { materials: [{ uri: 'b', digest: { sha256: hex('b') } }] },
      [`1 ${A}`, `2 ${B}`],
    ],
    [
      'SLSA v0.2',
      'https://slsa.dev/provenance/v0.2',
      { materials: [{ uri: 'b', digest: { sha256: hex('b') } }] },
      [`1 ${A}`, `2 ${B}`],
    ],
    [
      'SLSA v1',
      'https://slsa.dev/provenance/v1',
      { buildDefinition: { resolvedDependencies: [resource('b')] }, runDetails: { byproducts: [resource('c')] } },
      [`1 ${A}`, `1 ${C}`, `2 ${B}`],
    ],
    [
      'link v0.2 with a map, and byproducts that are no resources',
      'https://in-toto.io/Link/v0.2',
      {
        materials: { 'a/b.c': { sha256: hex('b') } },
        byproducts: { stdout: { digest: { sha256: hex('c') } }, 'return-value': 0 },
      },
      [`1 ${A}`, `2 ${B}`],
    ],
    [
      'link v0.3',
      'https://in-toto.io/attestation/link/v0.3',
      { materials: [resource('b')], byproducts: [resource('c')] },
      [`1 ${A}`, `1 ${C}`, `2 ${B}`],
    ],
    ['ours', 'urn:treeline:training:v1', { origin: 'o', consumed: [resource('b')] }, [`1 ${A}`, `2 ${B}`]],
    ['listed by the policy', 'https://example.com/made/v1', {}, [`1 ${A}`]],
    ['a prefix is not the type', 'https://slsa.dev/provenance-summary/v1', {}, [`3 ${A}`]],
    ['VSA', 'https://slsa.dev/verification_summary/v1', { inputAttestations: [resource('b')] }, [`3 ${A}`]],
    [
      'one digest in two roles',
      'urn:treeline:x:v1',
      { consumed: [resource('a'), resource('a')] },
      [`1 ${A}`, `2 ${A}`],
    ],
    [
      'fields of other shapes',
      'urn:treeline:x:v1',
      { consumed: 'x', materials: [1, null, { digest: 'x' }, { digest: { sha256: 1 } }] },
      [`1 ${A}`],
    ],
  ] as const) {
    const rules = { produces: ['https://example.com/made/*'], private: [] }
    const { type: shown, artifacts, hidden } = describeJson(IN_TOTO, statement(type, predicate), rules)
    t.same(show(artifacts), expected, name)
    t.equal(shown, type)
    t.equal(hidden, 0)
  }
  const old = { ...statement('https://example.com/x'), _type: 'https://in-toto.io/Statement/v0.1' }
  t.same(show(describeJson(IN_TOTO, old).artifacts), [`3 ${A}`], 'Statement v0.1')
  t.end()
})

t.test('digests of every kind', (t) => {
  const subject = [
    { digest: { sha512: 'ab'.repeat(64), sha256: hex('a'), gitCommit: 'cd'.repeat(20) } },
    { name: 'upper case is the same digest', digest: { sha256: hex('A') } },
    { name: 'not hex', digest: { goModuleHash: 'h1:FHSMe8ZRu2sKVMlEsrSHA1ZYSVt0y1G8qbHIpqp1S0E=' } },
    { name: 'odd', digest: { sha256: 'abc' } },
    { name: 'empty', digest: { sha256: '' } },
    { name: 'too long', digest: { sha256: 'ab'.repeat(65) } },
    { name: 'odd algorithm', digest: { 'ü b': 'ab' } },
    { name: 'none', digest: {} },
  ]
  const { artifacts, hidden } = describeJson(IN_TOTO, statement('https://example.com/x', {}, subject))
  t.same(show(artifacts), [`3 sha256:${hex('a')}`, `3 sha512:${'ab'.repeat(64)}`, `3 gitCommit:${'cd'.repeat(20)}`])
  t.equal(hidden, 5, 'what cannot be shown is counted, and refused nowhere')
  t.same(parsePayload(IN_TOTO, toUtf8(JSON.stringify(statement('x', {}, subject)))).subjects.slice(0, 2), [
    '',
    'upper case is the same digest',
  ])
  t.end()
})

t.test('private types show nothing', (t) => {
  const rules = { produces: [], private: ['https://example.com/*'] }
  const { artifacts, hidden } = describeJson(
    IN_TOTO,
    statement('https://example.com/x', { consumed: [resource('b')] }),
    rules,
  )
  t.same(artifacts, [])
  t.equal(hidden, 2)
  const event = {
    specversion: '1.0',
    id: '1',
    source: 's',
    type: 'https://example.com/e',
    produced: `sha256:${hex('a')}`,
  }
  t.match(describeJson(CLOUDEVENTS, event, rules), { artifacts: [], hidden: 1 })
  t.end()
})

t.test('5,000 artifacts', (t) => {
  const consumed = Array.from({ length: 5000 }, (_, i) => ({
    digest: { sha256: ((i * 7919) % 5000).toString(16).padStart(64, '0') },
  }))
  const start = performance.now()
  const { artifacts, hidden } = describeJson(
    IN_TOTO,
    statement('urn:treeline:x:v1', { consumed: [...consumed, ...consumed] }),
  )
  const took = performance.now() - start
  t.equal(artifacts.length, MAX_ARTIFACTS)
  t.equal(hidden, 5001 - MAX_ARTIFACTS)
  t.equal(show(artifacts)[2], `2 sha256:${'1'.padStart(64, '0')}`)
  t.ok(took < 500, `${took.toFixed()} ms`)
  t.end()
})

t.test('artifacts are sorted by their encoding, without duplicates', (t) => {
  const digest = fc.record({
    algorithm: fc.oneof(fc.constantFrom('sha256', 'sha512', 'gitCommit'), fc.stringMatching(/^[!-~]{1,64}$/)),
    value: fc.uint8Array({ minLength: 1, maxLength: 64 }).map(toHex),
  })
  const lists = fc.array(fc.tuple(fc.constantFrom<Role>(1, 2, 3), fc.array(digest, { maxLength: 40 })), {
    maxLength: 4,
  })
  fc.assert(
    fc.property(lists, (lists: [Role, Digest[]][]) => {
      const { artifacts, hidden } = collectArtifacts(lists)
      const encoded = artifacts.map(({ role, algorithm, digest }) => encodeCbor([role, algorithm, digest]))
      const all = new Set(lists.flatMap(([role, digests]) => digests.map((d) => `${role}${d.algorithm} ${d.value}`)))
      return (
        encoded.every((bytes, i) => i === 0 || compare(encoded[i - 1]!, bytes) < 0) &&
        artifacts.length <= MAX_ARTIFACTS &&
        artifacts.length + hidden === all.size
      )
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('origin', (t) => {
  const origin = (type: string, predicate: unknown) =>
    parsePayload(IN_TOTO, toUtf8(JSON.stringify(statement(type, predicate)))).origin
  t.equal(origin('urn:treeline:x:v1', { origin: 'log.example/1' }), 'log.example/1')
  t.equal(origin('https://example.com/x', { origin: 'log.example/1', consumed: [], parameters: {} }), 'log.example/1')
  t.equal(origin('https://example.com/x', { origin: 'Kenya' }), undefined, "another type's origin is not a log")
  t.equal(origin('urn:treeline:x:v1', { origin: 1 }), undefined)
  t.equal(origin('urn:treeline:x:v1', undefined), undefined)
  for (const mark of ['quarantine', 'supersedes'])
    t.equal(origin(`urn:treeline:${mark}:v1`, { origin: 'log.example/1', index: 1 }), undefined, 'it is about that log')
  t.end()
})

t.test('CloudEvents', (t) => {
  const event = {
    specversion: '1.0',
    id: '1',
    source: '/pipelines/7',
    type: 'com.example.trained',
    subject: 'model',
    consumed: `sha256:${hex('b')} sha256:${hex('A')} sha256:${hex('a')}`,
    produced: `gitCommit:${'cd'.repeat(20)}`,
    examined: '',
    data: { anything: [1, 2] },
    otherext: 7,
  }
  t.match(describeJson(CLOUDEVENTS, event), { type: 'com.example.trained', payloadType: CLOUDEVENTS, hidden: 0 })
  t.same(show(describeJson(CLOUDEVENTS, event).artifacts), [
    `1 gitCommit:${'cd'.repeat(20)}`,
    `2 sha256:${hex('a')}`,
    `2 sha256:${hex('b')}`,
  ])
  const parse = (json: unknown) => parsePayload(CLOUDEVENTS, toUtf8(JSON.stringify(json)))
  t.same(parse(event).subjects, ['model'])
  t.same(parse({ ...event, subject: undefined }).subjects, [])
  for (const [name, change] of [
    ['no specversion', { specversion: undefined }],
    ['specversion 0.3', { specversion: '0.3' }],
    ['no id', { id: undefined }],
    ['empty source', { source: '' }],
    ['type not text', { type: 5 }],
    ['empty subject', { subject: '' }],
    ['subject not text', { subject: null }],
    ['a list', { consumed: [`sha256:${hex('a')}`] }],
    ['no algorithm', { consumed: hex('a') }],
    ['empty algorithm', { consumed: `:${hex('a')}` }],
    ['no digest', { consumed: 'sha256:' }],
    ['not hex', { consumed: 'sha256:xyz0' }],
    ['odd hex', { consumed: 'sha256:abc' }],
    ['two spaces', { consumed: `sha256:${hex('a')}  sha256:${hex('b')}` }],
    ['space at the end', { consumed: `sha256:${hex('a')} ` }],
    ['comma', { consumed: `sha256:${hex('a')},sha256:${hex('b')}` }],
  ] as const) {
    t.throws(() => parse({ ...event, ...change }), { code: 'MALFORMED_PAYLOAD' }, name)
  }
  t.throws(() => parse([event]), { code: 'MALFORMED_PAYLOAD' }, 'a batch')
  t.end()
})

t.test('malformed statements', (t) => {
  const good = statement('https://example.com/x')
  for (const [name, json] of [
    ['array', [good]],
    ['no _type', { ...good, _type: undefined }],
    ['Statement v2', { ...good, _type: 'https://in-toto.io/Statement/v2' }],
    ['no predicateType', { ...good, predicateType: undefined }],
    ['empty predicateType', { ...good, predicateType: '' }],
    ['no subject', { ...good, subject: undefined }],
    ['subject an object', { ...good, subject: {} }],
    ['subject of text', { ...good, subject: ['s'] }],
    ['no digest', { ...good, subject: [{ name: 's' }] }],
    ['digest a list', { ...good, subject: [{ name: 's', digest: [] }] }],
    ['digest a number', { ...good, subject: [{ name: 's', digest: { sha256: 1 } }] }],
    ['name a number', { ...good, subject: [{ name: 1, digest: {} }] }],
  ] as const) {
    t.throws(() => describeJson(IN_TOTO, json), { code: 'MALFORMED_PAYLOAD' }, name)
  }
  t.throws(() => describeJson('text/plain', good), { code: 'MALFORMED_PAYLOAD' }, 'another payload type')
  t.throws(() => parsePayload(IN_TOTO, toUtf8('{"_type":1,"_type":2}')), { code: 'DUPLICATE_JSON_KEY' })
  t.throws(() => parsePayload(CLOUDEVENTS, toUtf8('{')), { code: 'MALFORMED_PAYLOAD' })
  t.end()
})

t.test('patterns', (t) => {
  for (const [pattern, text, matches] of [
    ['a', 'a', true],
    ['a', 'ab', false],
    ['a*', 'a', true],
    ['a*', 'abc', true],
    ['a*', 'ba', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['a.c', 'abc', false],
    ['A', 'a', false],
  ] as const) {
    t.equal(matchPattern(pattern, text), matches, `${pattern} ${text}`)
  }
  for (const [pattern, valid] of [
    ['a', true],
    ['a*', true],
    ['*', true],
    ['', false],
    ['a*b', false],
    ['**', false],
  ] as const) {
    t.equal(isPattern(pattern), valid, pattern)
  }
  t.end()
})
