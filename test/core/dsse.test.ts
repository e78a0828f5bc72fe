import fc from 'fast-check'
import t from 'tap'
import { concat, fromUtf8, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import {
  canonicalEnvelope,
  type Envelope,
  formatEnvelope,
  type KeyRing,
  MAX_ENVELOPE_SIGNATURES,
  pae,
  parseEnvelope,
  verifyEnvelope,
} from '../../src/core/dsse.ts'
import type { PublicKey } from '../../src/core/keys.ts'
import { canonicalP256Signature } from '../../src/core/p256.ts'
import { type VerifySignature, verifySignature } from '../../src/core/signature.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { canonicalOf, ed25519Signer, envelopeOf, p256Signer, type Signer } from './signers.ts'

const TYPE = 'application/vnd.in-toto+json'
const payload = toUtf8('{"hello":"wörld ÿ?>"}')
const alice = ed25519Signer(1)
const bob = p256Signer(2)
const carol = ed25519Signer(3)
const stranger = ed25519Signer(9)

const ring = (...signers: readonly Signer[]): KeyRing => ({
  find: (keyid) => signers.find(({ key }) => key.id === keyid || keyid === `alias of ${key.id}`)?.key,
  all: () => signers.map(({ key }) => key),
})
const parse = (json: unknown) => parseEnvelope(toUtf8(JSON.stringify(json)))
const sign = (signer: Signer, keyid = signer.key.id) => ({ keyid, signature: signer.sign(pae(TYPE, payload)) })
const envelope = (...signatures: Envelope['signatures']): Envelope => ({ payloadType: TYPE, payload, signatures })
const verify = (e: Envelope, keys: KeyRing = ring(alice, bob, carol)) =>
  verifyEnvelope(e, keys, verifySignature).map(({ key }) => key.id)

t.test('PAE, the example of the specification', (t) => {
  t.equal(
    fromUtf8(pae('http://example.com/HelloWorld', toUtf8('hello world'))),
    'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
  )
  t.equal(fromUtf8(pae('ü', toUtf8('é'))), 'DSSEv1 2 ü 2 é', 'lengths are of bytes')
  t.end()
})

t.test('golden canonical envelope', (t) => {
  t.equal(
    fromUtf8(canonicalOf(TYPE, toUtf8('{}'), [alice])),
    '{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"fd110d301d2f077de1414b8f99f441b1403fab207b2052fbd2c065e4ee8e7dc2","sig":"veLg0e+f4poyS3YRJakfMGqcWCOKpK/odygGjhTkwZv0V+Om/OfLlEQ57kTgEM0N02igz2ne/YdGZ1SOWajECA=="}]}',
  )
  t.end()
})

t.test('the canonical form round-trips and is the one spelling', (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', minLength: 1 }),
      fc.uint8Array(),
      fc.uniqueArray(fc.tuple(fc.string(), fc.uint8Array()), { minLength: 1, maxLength: 16, selector: ([id]) => id }),
      (payloadType, body, signatures) => {
        const one = {
          payloadType,
          payload: body,
          signatures: signatures.map(([keyid, signature]) => ({ keyid, signature })),
        }
        const bytes = formatEnvelope(one)
        const again = parseEnvelope(bytes)
        t.same(formatEnvelope(again), bytes)
        t.same(again.payload, body)
        t.equal(again.payloadType, payloadType)
        t.same(formatEnvelope({ ...one, signatures: [...one.signatures].reverse() }), bytes, 'in any order')
      },
    ),
    { numRuns: 100 },
  )
  t.end()
})

t.test('other spellings of an envelope have the same canonical form', (t) => {
  const canonical = canonicalOf(TYPE, payload, [alice, bob])
  const { signatures } = envelopeOf(TYPE, payload, [alice, bob])
  const urlSafe = (bytes: Uint8Array) => toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_')
  t.match(urlSafe(payload), /[-_]/, 'the payload needs the alphabet')
  const again = (e: Envelope) => canonicalEnvelope(e, verifyEnvelope(e, ring(alice, bob), nativeVerify))
  const members = signatures.map(({ keyid, signature }) => ({ sig: urlSafe(signature), keyid, cert: 'ignored' }))
  for (const [name, e] of [
    ['as it is', parseEnvelope(canonical)],
    [
      'URL-safe, reversed, extra members',
      parse({ signatures: members.reverse(), x: [1], payload: urlSafe(payload), payloadType: TYPE }),
    ],
    ['no key ids', envelope(...signatures.map(({ signature }) => ({ keyid: '', signature })))],
    ['aliases', envelope(...signatures.map(({ keyid, signature }) => ({ keyid: `alias of ${keyid}`, signature })))],
    ['foreign key ids', envelope(...signatures.map(({ signature }) => ({ keyid: 'SHA256:xyz', signature })))],
    ['twice', envelope(...signatures, ...signatures)],
    ['with a signature by a stranger', envelope(sign(stranger), ...signatures)],
    ['with noise', envelope(...signatures, { keyid: '', signature: new Uint8Array(70).fill(0x30) })],
  ] as const) {
    t.same(again(e), canonical, name)
  }
  t.end()
})

t.test('a P-256 signature is stored with low S, however it came', (t) => {
  const e = envelope(sign(bob))
  const low = e.signatures[0]!.signature
  const high = highS(low)
  t.notSame(high, low)
  t.same(canonicalP256Signature(high), low)
  const both = envelope({ keyid: bob.key.id, signature: high }, ...e.signatures)
  for (const one of [envelope({ keyid: bob.key.id, signature: high }), both]) {
    t.same(verifyEnvelope(one, ring(bob), verifySignature), [{ key: bob.key, signature: low }])
  }
  t.end()
})

/** (r, n - s), by hand. */
function highS(der: Uint8Array): Uint8Array {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const rEnd = 4 + der[3]!
  const s = BigInt(`0x${Buffer.from(der.subarray(rEnd + 2)).toString('hex')}`)
  const hex = (n - s).toString(16).padStart(64, '0')
  const integer = concat(Uint8Array.of(2, 33, 0), Buffer.from(hex, 'hex'))
  return concat(Uint8Array.of(0x30, rEnd - 2 + integer.length), der.subarray(2, rEnd), integer)
}

t.test('who has signed', (t) => {
  const bad = { keyid: alice.key.id, signature: carol.sign(pae(TYPE, payload)) }
  t.same(verify(envelope(sign(alice))), [alice.key.id])
  t.same(verify(envelope(sign(carol), sign(bob), sign(alice))), [alice, bob, carol].map(({ key }) => key.id).sort())
  t.same(verify(envelope(sign(alice, ''), sign(stranger))), [alice.key.id], 'a hint is not needed')
  t.throws(() => verify(envelope(bad)), { code: 'BAD_SIGNATURE' })
  t.throws(() => verify(envelope(sign(alice), bad)), { code: 'BAD_SIGNATURE' }, 'sinks the envelope')
  t.throws(() => verify(envelope(sign(carol), bad)), { code: 'BAD_SIGNATURE' }, 'also among good ones')
  t.throws(() => verify(envelope(sign(alice, `alias of ${bob.key.id}`))), { code: 'BAD_SIGNATURE' }, 'a wrong alias')
  t.throws(() => verify(envelope(sign(stranger))), { code: 'UNKNOWN_KEY' })
  t.throws(() => verify(envelope(sign(stranger, ''))), { code: 'UNKNOWN_KEY' })
  t.throws(() => verify(envelope(sign(alice)), ring()), { code: 'UNKNOWN_KEY' }, 'no keys at all')
  const other = { ...envelope(sign(alice)), payloadType: 'application/cloudevents+json' }
  t.throws(() => verify(other), { code: 'BAD_SIGNATURE' }, 'the type is signed')
  t.end()
})

t.test('the work that an envelope can cause is bounded', (t) => {
  const keys: PublicKey[] = Array.from({ length: 2000 }, (_, i) => ({ ...stranger.key, id: `key ${i}` }))
  let calls = 0
  const counting: VerifySignature = () => {
    calls++
    return false
  }
  const noise = Array.from({ length: 16 }, () => sign(stranger, ''))
  t.throws(() => verifyEnvelope(envelope(...noise), { find: () => undefined, all: () => keys }, counting), {
    code: 'UNKNOWN_KEY',
    message: /set keyid/,
  })
  t.equal(calls, 256)
  calls = 0
  const large = { ...envelope(...noise), payload: new Uint8Array(4 * 1024 * 1024 - 100) }
  t.throws(() => verifyEnvelope(large, { find: () => undefined, all: () => keys }, counting), { code: 'UNKNOWN_KEY' })
  t.equal(calls, 8, 'fewer for a large payload')
  calls = 0
  const impossible = envelope({ keyid: '', signature: new Uint8Array(64).fill(0xff) }, sign(bob, ''))
  t.throws(() => verifyEnvelope(impossible, { find: () => undefined, all: () => keys }, counting), {
    code: 'UNKNOWN_KEY',
  })
  t.equal(calls, 0, 'none for signatures that no such key can make')
  const far = { find: () => undefined, all: () => [...keys.slice(0, 200), alice.key] }
  t.same(verify(envelope(sign(alice, '')), far), [alice.key.id], '201 keys are tried')
  const hinted = { find: (id: string) => (id === alice.key.id ? alice.key : undefined), all: () => keys }
  const onlyAlice: VerifySignature = ({ id }) => id === alice.key.id
  const crowded = envelope(...noise.slice(1), sign(alice))
  t.same(
    verifyEnvelope(crowded, hinted, onlyAlice).map(({ key }) => key.id),
    [alice.key.id],
    'a hint always works',
  )
  t.end()
})

t.test('malformed envelopes', (t) => {
  const good = { payloadType: TYPE, payload: toBase64(payload), signatures: [{ keyid: 'k', sig: 'AAAA' }] }
  t.same(parse(good).signatures, [{ keyid: 'k', signature: new Uint8Array(3) }])
  t.same(parse({ ...good, signatures: [{ sig: '' }] }).signatures, [{ keyid: '', signature: new Uint8Array(0) }])
  t.equal(parse({ ...good, payload: '' }).payload.length, 0)
  for (const [name, envelope, code] of [
    ['null', null, 'MALFORMED_ENVELOPE'],
    ['array', [good], 'MALFORMED_ENVELOPE'],
    ['no payload', { ...good, payload: undefined }, 'MALFORMED_ENVELOPE'],
    ['payload not text', { ...good, payload: {} }, 'MALFORMED_ENVELOPE'],
    ['no payloadType', { ...good, payloadType: undefined }, 'MALFORMED_ENVELOPE'],
    ['empty payloadType', { ...good, payloadType: '' }, 'MALFORMED_ENVELOPE'],
    ['no signatures', { ...good, signatures: undefined }, 'MALFORMED_ENVELOPE'],
    ['empty signatures', { ...good, signatures: [] }, 'MALFORMED_ENVELOPE'],
    ['signatures an object', { ...good, signatures: { 0: good.signatures[0] } }, 'MALFORMED_ENVELOPE'],
    [
      '17 signatures',
      { ...good, signatures: Array(MAX_ENVELOPE_SIGNATURES + 1).fill(good.signatures[0]) },
      'MALFORMED_ENVELOPE',
    ],
    ['signature null', { ...good, signatures: [null] }, 'MALFORMED_ENVELOPE'],
    ['no sig', { ...good, signatures: [{ keyid: 'k' }] }, 'MALFORMED_ENVELOPE'],
    ['keyid a number', { ...good, signatures: [{ keyid: 1, sig: 'AAAA' }] }, 'MALFORMED_ENVELOPE'],
    ['keyid null', { ...good, signatures: [{ keyid: null, sig: 'AAAA' }] }, 'MALFORMED_ENVELOPE'],
    ['unpadded', { ...good, payload: 'AA' }, 'MALFORMED_BASE64'],
    ['stray bits', { ...good, payload: 'AB==' }, 'MALFORMED_BASE64'],
    ['too much padding', { ...good, payload: 'AAA==' }, 'MALFORMED_BASE64'],
    ['white space', { ...good, payload: 'AA AA' }, 'MALFORMED_BASE64'],
    ['new line', { ...good, payload: 'AAAA\n' }, 'MALFORMED_BASE64'],
    ['both alphabets', { ...good, payload: '+_+_' }, 'MALFORMED_BASE64'],
    ['junk', { ...good, payload: 'A*AA' }, 'MALFORMED_BASE64'],
    ['not ASCII', { ...good, payload: 'AÀAA' }, 'MALFORMED_BASE64'],
    ['sig unpadded', { ...good, signatures: [{ sig: 'AA' }] }, 'MALFORMED_BASE64'],
  ] as const) {
    t.throws(() => parse(envelope), { code }, name)
  }
  t.throws(() => parseEnvelope(toUtf8('{"payload":"","payload":""}')), { code: 'DUPLICATE_JSON_KEY' })
  t.throws(() => parseEnvelope(toUtf8('{')), { code: 'MALFORMED_ENVELOPE' })
  t.throws(() => parseEnvelope(toUtf8('['.repeat(99))), { code: 'TOO_DEEP' })
  t.end()
})

t.test('each flipped bit of an envelope is refused or changes nothing', (t) => {
  const bytes = canonicalOf(TYPE, payload, [alice])
  const passed: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = new Uint8Array(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    try {
      const e = parseEnvelope(flipped)
      const canonical = canonicalEnvelope(e, verifyEnvelope(e, ring(alice), nativeVerify))
      // A key id is a hint: with another one the same signature is found by trying.
      if (fromUtf8(canonical) !== fromUtf8(bytes)) passed.push(bit)
    } catch (error) {
      if (!(error as { code?: string }).code) passed.push(bit)
    }
  }
  t.same(passed, [])
  t.end()
})
