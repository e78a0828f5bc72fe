import { readdirSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import { bundle, FILES } from '../../schemas/bundle.ts'
import { generate } from '../../schemas/generate.ts'
import { statementOf } from '../../src/client/statement.ts'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { ED25519, verifierKey } from '../../src/core/note.ts'
import { parseRedactionRequest, REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { parseStatement } from '../../src/core/statement.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWritePolicy } from '../../src/core/write-policy.ts'
import { Actor, envelope, event, policyDocument, signedPolicy } from '../support/actors.ts'

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false })
for (const file of FILES) ajv.addSchema(file)
const fits = (file: string, value: unknown): boolean => ajv.validate(file, value)

t.test('every schema of the folder is in the bundle, and is valid', async (t) => {
  const files = readdirSync('schemas').filter((name) => name.endsWith('.json'))
  t.same(files.sort(), FILES.map(({ $id }) => $id).sort())
  for (const { $id } of FILES) t.ok(ajv.getSchema($id), $id)
  const all = JSON.stringify(bundle('#/x/'))
  for (const [, name = ''] of all.matchAll(/#\/x\/(\w+)/g)) t.ok(Object.hasOwn(bundle(''), name), name)
})

t.test('answers have no member that their schema does not know', async (t) => {
  const open: string[] = []
  const visit = (where: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    const schema = value as Record<string, unknown>
    if (schema.properties !== undefined && schema.additionalProperties !== false) open.push(where)
    for (const [name, part] of Object.entries(schema)) visit(`${where}/${name}`, part)
  }
  visit('', bundle(''))
  t.same(open, ['/Envelope', '/Envelope/properties/signatures/items'])
})

t.test('types.ts is what generate.ts makes', async (t) => {
  t.equal(readFileSync('schemas/types.ts', 'utf8'), await generate(), 'run npm run generate')
})

type Verdict = 'taken' | TreelineError
function verdict(parse: () => unknown): Verdict {
  try {
    parse()
    return 'taken'
  } catch (error) {
    if (error instanceof TreelineError) return error
    throw error
  }
}

/** What a schema cannot say. Each is a rule of the parser about the whole, never about the shape of a part. */
const BEYOND_SHAPE = [
  /^the JSON has a lone surrogate$/,
  /: sequence 0 and no previous go together$/,
  /: only the first document of a log has successorOf$/,
  /: a log does not succeed itself$/,
  /: the log key of .* is not of /s,
  /: .* names one twice$/s,
  /: the threshold of \w+ is \d+, with \d+ keys$/,
  /: the redactor .* is neither administrator nor signer$/s,
  /: \w+ is a key of the log itself$/,
  /: the id of a publicKey is /,
  /: not a verifier key: /,
  /: not a public key: not a safe Ed25519 point$/,
  /: not a public key: not an uncompressed point of P-256$/,
  /: notBefore is not before notAfter$/,
  /: indexes are not ascending$/,
  /: [\w.]+ is not a text$/,
]

interface Pair {
  readonly schema: string
  readonly parse: (bytes: Uint8Array) => unknown
  readonly documents: fc.Arbitrary<unknown>
  readonly runs: number
}

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const base64 = fc.uint8Array({ maxLength: 40 }).map(toBase64)
const urlSafe = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))
const index = fc.nat()
const actors = Array.from({ length: 5 }, (_, i) => new Actor(i === 3 ? 'ed25519' : 'p256'))
const logKey = new Actor().key.raw
const pattern = fc.string().map((text) => `${text.replaceAll('*', '')}*`)
const time = fc.option(fc.nat({ max: 1_000_000 }))

const envelopes = fc.record(
  {
    payloadType: fc.string({ minLength: 1 }),
    payload: fc.oneof(base64, urlSafe),
    signatures: fc.array(
      fc.record(
        { keyid: fc.string(), sig: fc.oneof(base64, urlSafe), more: fc.jsonValue() },
        { requiredKeys: ['sig'] },
      ),
      { minLength: 1, maxLength: 16 },
    ),
    more: fc.jsonValue(),
  },
  { requiredKeys: ['payloadType', 'payload', 'signatures'] },
)

const policies = fc
  .record({
    origin: fc.constantFrom('log.example/test', 'läg.example'),
    sequence: fc.nat({ max: 3 }),
    previous: fc.record({ index, sha256: bytes32.map((bytes) => Buffer.from(bytes).toString('hex')) }),
    administrators: fc.integer({ min: 1, max: 3 }),
    threshold: fc.nat(),
    redactors: fc.boolean(),
    rule: fc.record(
      {
        name: fc.string({ minLength: 1 }),
        keyids: fc.option(fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 3 })),
        types: fc.array(pattern, { maxLength: 3 }),
        subjects: fc.array(pattern, { maxLength: 3 }),
        notBefore: time,
        notAfter: time.map((ms) => (ms === null ? null : ms + 1_000_001)),
        shared: fc.boolean(),
        suspended: fc.option(fc.record({ since: index, compromisedSince: time }, { requiredKeys: ['since'] })),
      },
      { requiredKeys: [] },
    ),
    produces: fc.option(fc.array(pattern, { maxLength: 2 })),
    successorOf: fc.option(
      fc.record({
        origin: fc.constantFrom('log.example/before', 'lög.example'),
        size: fc.integer({ min: 1 }),
        root: bytes32.map(toBase64),
      }),
    ),
  })
  .map(({ origin, sequence, previous, administrators, threshold, redactors, rule, produces, successorOf }) => {
    const vkey = formatVkey(verifierKey(origin, ED25519, logKey))
    const document = policyDocument(origin, vkey, actors.slice(0, administrators), [
      { actor: actors[3]!, ...rule },
      { actor: actors[4]! },
    ]) as Record<string, { keys: unknown }>
    return {
      ...document,
      sequence,
      previous: sequence === 0 ? null : previous,
      administrators: { keys: document.administrators!.keys, threshold: 1 + (threshold % administrators) },
      redactors: redactors ? { threshold: 1, keys: [actors[0]!.key.id, actors[4]!.key.id] } : null,
      ...(produces && { produces }),
      ...(successorOf && sequence === 0 && { successorOf }),
    }
  })

const redactions = fc.record({
  origin: fc.string(),
  reason: fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,63}$/),
  entries: fc
    .uniqueArray(index, { minLength: 1, maxLength: 5 })
    .chain((indexes) =>
      bytes32.map((bytes) =>
        indexes.sort((a, b) => a - b).map((one) => ({ index: one, leafHash: Buffer.from(bytes).toString('hex') })),
      ),
    ),
})

const PAIRS: readonly Pair[] = [
  { schema: 'envelope.json', parse: parseEnvelope, documents: envelopes, runs: 3_000 },
  // Each key is checked to be a safe point, which takes a millisecond.
  { schema: 'write-policy.json', parse: parseWritePolicy, documents: policies, runs: 500 },
  {
    schema: 'redaction-request.json',
    parse: (payload) => parseRedactionRequest({ payloadType: REDACTION_REQUEST, payload, signatures: [] }),
    documents: redactions,
    runs: 3_000,
  },
]

/** What a part of a document is put in place of: other types, edges of numbers, near misses of the texts in use. */
const replacements = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    '*',
    'a*b',
    '\ud800',
    [],
    {},
    [null],
    0,
    -1,
    -0,
    0.5,
    2 ** 53,
    1e300,
    'AA=',
    'QQ',
    'QR==',
    // What makes a text of it fails.
    { toString: 0 },
  ),
  fc.constantFrom<unknown>('a-_+', 'A'.repeat(64), 'a'.repeat(63), 'ä'.repeat(4_096), 'a'.repeat(4_097)),
  fc.jsonValue(),
)

/** The document with one part replaced, removed, added or repeated; which part, `where` says. */
function mutate(document: unknown, where: number, how: string, value: unknown): unknown {
  const copy = structuredClone(document)
  const parts: { readonly of: Record<string, unknown>; readonly name: string }[] = []
  const collect = (of: unknown): void => {
    if (typeof of !== 'object' || of === null) return
    for (const name of Object.keys(of)) {
      parts.push({ of: of as Record<string, unknown>, name })
      collect((of as Record<string, unknown>)[name])
    }
  }
  collect(copy)
  const { of, name } = parts[where % parts.length]!
  const part = of[name]
  if (how === 'remove' && !Array.isArray(of)) delete of[name]
  else if (how === 'add' && !Array.isArray(of)) of[`x${name}`] = value
  else if (how === 'repeat' && Array.isArray(part)) part.push(...part)
  else if (how === 'flip' && typeof part === 'string')
    of[name] = `${part.slice(0, -1)}${part.endsWith('a') ? 'b' : 'a'}`
  else if (how === 'many' && Array.isArray(part)) of[name] = Array(1_001).fill(part[0])
  else of[name] = value
  return copy
}

for (const { schema, parse, documents, runs } of PAIRS) {
  t.test(`${schema} and its parser take the same documents`, async (t) => {
    let taken = 0
    let refused = 0
    fc.assert(
      fc.property(documents, (document) => {
        const found = verdict(() => parse(toUtf8(JSON.stringify(document))))
        if (found !== 'taken') throw found
        if (!fits(schema, JSON.parse(JSON.stringify(document)))) throw new Error(ajv.errorsText())
      }),
      { numRuns: runs / 10 },
    )
    fc.assert(
      fc.property(
        documents,
        fc.nat(),
        fc.constantFrom('replace', 'remove', 'add', 'repeat', 'flip', 'many'),
        replacements,
        (document, where, how, value) => {
          const text = JSON.stringify(mutate(document, where, how, value))
          const found = verdict(() => parse(toUtf8(text)))
          const fitting = fits(schema, JSON.parse(text))
          if (found === 'taken') {
            taken++
            if (!fitting) throw new Error(`the parser takes what the schema does not: ${ajv.errorsText()}`)
          } else {
            refused++
            if (fitting && !BEYOND_SHAPE.some((rule) => rule.test(found.message)))
              throw new Error(`the schema takes what the parser does not: ${found.message}`)
          }
        },
      ),
      { numRuns: runs },
    )
    t.ok(taken > runs / 20 && refused > runs / 10, `${taken} taken, ${refused} refused`)
  })
}

t.test('what signers and administrators send fits', async (t) => {
  const [admin, signer] = actors as [Actor, Actor]
  const vkey = formatVkey(verifierKey('log.example/test', ED25519, logKey))
  const document = policyDocument('log.example/test', vkey, [admin], [{ actor: signer }])
  t.ok(fits('write-policy.json', document), ajv.errorsText())
  t.ok(fits('envelope.json', JSON.parse(signedPolicy(document, [admin]))), ajv.errorsText())
  t.ok(fits('envelope.json', JSON.parse(event(signer, 'a'))), ajv.errorsText())
  t.ok(fits('envelope.json', JSON.parse(envelope('a', 'b', [signer], false))), ajv.errorsText())
})

t.test('a statement of the client fits, and its parser takes it', async (t) => {
  const file = { path: 'package.json' }
  const step = { type: 'urn:treeline:test:v1', origin: 'log.example/test', produced: [file], parameters: { seed: 7 } }
  const payload = await statementOf({
    ...step,
    consumed: [{ ...file, name: 'named' }],
    startedOn: '2026-11-23T00:00:00Z',
  })
  t.ok(fits('statement.json', JSON.parse(Buffer.from(payload).toString())), ajv.errorsText())
  t.equal(parseStatement(payload).origin, 'log.example/test')
  t.notOk(fits('statement.json', { ...JSON.parse(Buffer.from(payload).toString()), more: 1 }))
})
