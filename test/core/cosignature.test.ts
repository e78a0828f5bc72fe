import * as ed from '@noble/ed25519'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import fc from 'fast-check'
import t from 'tap'
import { equal, fromHex, fromUtf8, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint, parseCheckpoint } from '../../src/core/checkpoint.ts'
import {
  cosignatureSigner,
  cosignatureVerifier,
  cosignedMessage,
  formatCosignature,
  parseCosignature,
  type Subtree,
  subtreeMessage,
  verifySubtree,
} from '../../src/core/cosignature.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import {
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  ED25519,
  formatSignatureLine,
  type NoteSigner,
  parseNote,
  parseSignatureLine,
  signLine,
  signNote,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import cosigned from '../vectors/c2sp-cosigned-checkpoint.json' with { type: 'json' }
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }
import vectors from '../vectors/c2sp-tlog-cosignature.json' with { type: 'json' }
import { assertStrict } from './strict.ts'

type Label = keyof typeof keys.keys
const key = (label: string): VerifierKey => parseVkey(keys.keys[label as Label].vkey)
const line = (text: string) => parseSignatureLine(text.slice(0, -1))
type Field =
  | 'checkpoint'
  | 'checkpoint_text'
  | 'cosigner'
  | 'cosigner_key_label'
  | 'cosigner_vkey'
  | 'end_hex'
  | 'hash_hex'
  | 'kind'
  | 'log_origin'
  | 'seed_hex'
  | 'signature_line'
  | 'signed_message_hex'
  | 'signed_message_utf8'
  | 'start_hex'
  | 'timestamp'
  | 'timestamp_hex'
  | 'why'
type Vector = { readonly id: string; readonly start?: number; readonly end?: number } & {
  readonly [F in Field]?: string
}
const all = [...vectors.positive, ...vectors.negative] as readonly Vector[]
const vector = (id: string): Vector => {
  const found = all.find((one) => one.id === id)
  if (found === undefined) throw new Error(`there is no vector ${id}`)
  return found
}
const signatureLine = (id: string): string => vector(id).signature_line!

/** The raw signature of a test key, ML-DSA in its deterministic variant. */
function raw(type: number, seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  if (type === COSIGNATURE_ED25519) return (message) => ed.sign(message, seed)
  const { secretKey } = ml_dsa44.keygen(seed)
  return (message) => ml_dsa44.sign(message, secretKey, { extraEntropy: false })
}
const signer = (label: Label, time: bigint): NoteSigner =>
  cosignatureSigner(key(label), raw(keys.keys[label].signature_type, fromHex(keys.keys[label].seed_hex)!), () => time)

const BODY = 'log.example/mltrail\n5\nfKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI=\n'
const TIME = 1767225600n

/** Of a vector that names a subtree of its log. */
const subtreeOf = ({ log_origin, start, end, hash_hex }: Vector): Subtree => ({
  origin: log_origin!,
  start: BigInt(start!),
  end: BigInt(end!),
  hash: fromHex(hash_hex!)!,
})
const textOf = ({ origin, end, hash }: Subtree): string =>
  formatCheckpoint({ origin, size: end, root: hash, extensions: [] })

t.test('CS-1 the key id of a cosigner is computed with its type', (t) => {
  for (const label of ['w1', 'w2', 'w3', 'log-pq', 'm1'] as const) {
    const { name, signature_type, public_key_hex, key_id_hex } = keys.keys[label]
    t.ok([COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44].includes(signature_type))
    t.equal(toHex(verifierKey(name, signature_type, fromHex(public_key_hex)!).keyId), key_id_hex, label)
  }
  const note = parseNote(toUtf8(`${BODY}\n${signatureLine('vCS-E1')}`))
  const asLog = verifierKey('witness.example/w1', ED25519, key('w1').publicKey)
  t.throws(
    () => verifyNote(note, [ed25519NoteVerifier(asLog)]),
    { code: 'UNVERIFIED_NOTE' },
    'another type is another key',
  )
  t.end()
})

t.test('CS-2 a cosignature is a big-endian time and a signature, of no other length', (t) => {
  const { ed25519_blob, mldsa44_blob, mldsa44_base64_len } = vectors.sizes
  const w1 = line(signatureLine('vCS-E1'))
  const w3 = line(signatureLine('vCS-M1'))
  t.equal(w1.signature.length + 4, ed25519_blob)
  t.equal(w3.signature.length + 4, mldsa44_blob)
  t.equal(signatureLine('vCS-M1').split(' ')[2]!.length - 1, mldsa44_base64_len)
  t.equal(parseCosignature(COSIGNATURE_ED25519, w1.signature).timestamp, TIME)
  t.equal(parseCosignature(COSIGNATURE_ML_DSA_44, w3.signature).timestamp, TIME)
  const malformed = { code: 'MALFORMED_COSIGNATURE' }
  for (const size of [0, 7, 8, 64, 71, 73, 2428]) {
    t.throws(() => parseCosignature(COSIGNATURE_ED25519, new Uint8Array(size)), malformed, `${size} bytes, Ed25519`)
  }
  for (const size of [0, 72, 2420, 2427, 2429]) {
    t.throws(() => parseCosignature(COSIGNATURE_ML_DSA_44, new Uint8Array(size)), malformed, `${size} bytes, ML-DSA`)
  }
  t.throws(() => parseCosignature(ED25519, new Uint8Array(72)), malformed, 'a log key makes none')
  for (const type of [COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44]) {
    const seeds = [type === COSIGNATURE_ED25519 ? w1.signature : w3.signature]
    assertStrict(seeds, (bytes) => parseCosignature(type, bytes), formatCosignature, 'MALFORMED_COSIGNATURE')
  }
  const blobs = fc.record({
    timestamp: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  })
  fc.assert(
    fc.property(blobs, (blob) => {
      const { timestamp, signature } = parseCosignature(COSIGNATURE_ED25519, formatCosignature(blob))
      return timestamp === blob.timestamp && equal(signature, blob.signature)
    }),
  )
  t.end()
})

t.test('CS-3 a time past 2^63 - 1 is refused', (t) => {
  const malformed = { code: 'MALFORMED_COSIGNATURE' }
  const blob = new Uint8Array(72)
  blob[0] = 0x80
  t.throws(() => parseCosignature(COSIGNATURE_ED25519, blob), malformed)
  const signature = new Uint8Array(64)
  t.throws(() => formatCosignature({ timestamp: 2n ** 63n, signature }), malformed)
  t.throws(() => formatCosignature({ timestamp: -1n, signature }), malformed)
  t.throws(() => signer('w1', 2n ** 63n).sign(BODY), malformed)
  t.equal(parseCosignature(COSIGNATURE_ED25519, line(signatureLine('vCS-E4')).signature).timestamp, 2n ** 63n - 1n)
  t.end()
})

t.test('CS-4 Ed25519 signs a header, the time and the whole checkpoint text', (t) => {
  for (const { id, cosigner_vkey, checkpoint_text, timestamp, signed_message_utf8, signature_line } of all) {
    if (signed_message_utf8 === undefined) continue
    const verifier = cosignatureVerifier(parseVkey(cosigner_vkey!))
    const message = cosignedMessage(verifier.key, BigInt(timestamp!), checkpoint_text!)
    t.equal(fromUtf8(message), signed_message_utf8, id)
    t.ok(verifier.verify(checkpoint_text!, line(signature_line!).signature), id)
    const label = verifier.key.name.endsWith('w1') ? 'w1' : 'w2'
    t.equal(formatSignatureLine(signLine(checkpoint_text!, signer(label, BigInt(timestamp!)))), signature_line, id)
  }
  for (const id of ['vCS-N1', 'vCS-N2', 'vCS-N3', 'vCS-N4', 'vCS-N5']) {
    const { cosigner_vkey, checkpoint_text, signature_line } = vector(id)
    const verifier = cosignatureVerifier(parseVkey(cosigner_vkey!))
    t.notOk(verifier.verify(checkpoint_text!, line(signature_line!).signature), id)
  }
  t.notOk(cosignatureVerifier(key('w1')).verify('hello\n', new Uint8Array(72)), 'of no checkpoint')
  t.end()
})

t.test('CS-5 ML-DSA-44 signs the cosigned message of the specification', (t) => {
  for (const one of all) {
    const { id, cosigner, cosigner_key_label, timestamp, signature_line, signed_message_hex } = one
    if (cosigner_key_label === undefined || signed_message_hex === undefined) continue
    const subtree = subtreeOf(one)
    const time = BigInt(timestamp!)
    t.equal(toHex(subtreeMessage(cosigner!, time, subtree)), signed_message_hex, id)
    const { signature } = line(signature_line!)
    const sign = raw(COSIGNATURE_ML_DSA_44, fromHex(keys.keys[cosigner_key_label as Label].seed_hex)!)
    t.equal(
      toHex(formatCosignature({ timestamp: time, signature: sign(fromHex(signed_message_hex)!) })),
      toHex(signature),
      id,
    )
    if (time === 0n) t.ok(verifySubtree(key(cosigner_key_label), subtree, signature), id)
    else t.notOk(verifySubtree(key(cosigner_key_label), subtree, signature), `${id} is no subtree's`)
    const isCheckpoint = one.kind === 'checkpoint' || one.kind === 'log self-signature without timestamp'
    if (!isCheckpoint) continue
    t.ok(cosignatureVerifier(key(cosigner_key_label)).verify(textOf(subtree), signature), id)
    t.equal(
      formatSignatureLine(signLine(textOf(subtree), signer(cosigner_key_label as Label, time))),
      signature_line,
      id,
    )
  }
  for (const id of ['vCS-N7', 'vCS-N9']) {
    const { cosigner_vkey, checkpoint_text, signature_line, why } = vector(id)
    const verifier = cosignatureVerifier(parseVkey(cosigner_vkey!))
    t.notOk(verifier.verify(checkpoint_text!, line(signature_line!).signature), why!)
  }
  const { cosigner, log_origin, timestamp_hex, start_hex, end_hex, hash_hex, signed_message_hex } =
    vector('vCS-M-layout')
  const u64 = (hex: string | undefined) => BigInt(`0x${hex}`)
  const layout = { origin: log_origin!, start: u64(start_hex), end: u64(end_hex), hash: fromHex(hash_hex!)! }
  t.equal(toHex(subtreeMessage(cosigner!, u64(timestamp_hex), layout)), signed_message_hex)
  for (const name of ['', 'a'.repeat(256)]) {
    t.throws(() => subtreeMessage(name, 0n, layout), { code: 'MALFORMED_COSIGNATURE' }, `${name.length} bytes of name`)
    t.throws(() => subtreeMessage('a', 0n, { ...layout, origin: name }), { code: 'MALFORMED_COSIGNATURE' })
  }
  t.equal(subtreeMessage('a'.repeat(255), 0n, layout)[12], 255)
  const long = cosignatureVerifier(verifierKey('a'.repeat(256), COSIGNATURE_ML_DSA_44, key('w3').publicKey))
  t.notOk(long.verify(BODY, line(signatureLine('vCS-M1')).signature), 'a name that no message can hold')
  t.end()
})

t.test('CS-5 a signature of another implementation verifies', (t) => {
  const { cosigner_vkey, checkpoint, signed_message_hex, seed_hex, timestamp } = vector('vCS-M-torchwood')
  const note = parseNote(toUtf8(checkpoint!))
  const verifier = cosignatureVerifier(parseVkey(cosigner_vkey!))
  t.same(verifyNote(note, [verifier]), [verifier])
  t.equal(toHex(cosignedMessage(verifier.key, BigInt(timestamp!), note.text)), signed_message_hex)
  t.equal(toHex(ml_dsa44.keygen(fromHex(seed_hex!)!).publicKey), toHex(verifier.key.publicKey))
  t.end()
})

t.test('CS-6 a subtree that does not start at 0 is signed at time 0 only, and is no checkpoint', (t) => {
  const forbidden = vector('vCS-N6')
  const { signature } = line(forbidden.signature_line!)
  t.notOk(verifySubtree(key('w3'), subtreeOf(forbidden), signature), forbidden.why!)
  const { timestamp, signature: rawSignature } = parseCosignature(COSIGNATURE_ML_DSA_44, signature)
  const message = subtreeMessage('witness.example/w3', timestamp, subtreeOf(forbidden))
  t.ok(ml_dsa44.verify(rawSignature, message, key('w3').publicKey), 'though the signature itself is valid')
  const subtree = subtreeOf(vector('vCS-M4'))
  const atZero = line(signatureLine('vCS-M4')).signature
  t.ok(verifySubtree(key('w3'), subtree, atZero))
  t.notOk(cosignatureVerifier(key('w3')).verify(textOf(subtree), atZero), 'not a checkpoint of its end')
  t.notOk(verifySubtree(key('w3'), { ...subtree, start: 3n }, atZero), 'another start')
  t.notOk(verifySubtree(key('w3'), { ...subtree, end: 6n }, atZero), 'another end')
  t.notOk(verifySubtree(key('w1'), subtree, atZero), 'Ed25519 signs no subtrees')
  t.notOk(verifySubtree(key('w3'), subtree, atZero.subarray(1)), 'cut off')
  t.end()
})

t.test('CS-7 Ed25519 leaves out the name of the cosigner, ML-DSA binds it', (t) => {
  const { cosigner_vkey, checkpoint_text, signature_line, why } = vector('vCS-N8')
  const renamed = cosignatureVerifier(parseVkey(cosigner_vkey!))
  t.ok(renamed.verify(checkpoint_text!, line(signature_line!).signature), why!)
  const { publicKey } = key('w3')
  const other = cosignatureVerifier(verifierKey('witness.example/other', COSIGNATURE_ML_DSA_44, publicKey))
  t.notOk(other.verify(BODY, line(signatureLine('vCS-M1')).signature))
  t.end()
})

t.test('CS-10 lines of other names and key ids are ignored', (t) => {
  const note = parseNote(toUtf8(cosigned.checkpoint))
  t.equal(toUtf8(cosigned.checkpoint).length, cosigned.bytes)
  const { size, root } = parseCheckpoint(note.text)
  t.equal(Number(size), cosigned.size)
  t.equal(toHex(root), cosigned.root_hex)
  const log = ed25519NoteVerifier(parseVkey(cosigned.log_vkey))
  const witnesses = cosigned.witness_vkeys.map(parseVkey).map(cosignatureVerifier)
  t.equal(verifyNote(note, [log, ...witnesses]).length, 1 + witnesses.length)
  for (const verifier of [log, ...witnesses]) t.same(verifyNote(note, [verifier]), [verifier])
  t.throws(() => verifyNote(note, [cosignatureVerifier(key('m1'))]), { code: 'UNVERIFIED_NOTE' })
  t.end()
})

t.test('CS-11 ML-DSA cosigns no extension lines', (t) => {
  const extended = `${BODY}ext one\n`
  t.throws(() => signer('w3', TIME).sign(extended), { code: 'MALFORMED_COSIGNATURE' })
  t.ok(cosignatureVerifier(key('w1')).verify(extended, signer('w1', TIME).sign(extended)), 'Ed25519 covers them')
  t.end()
})

t.test('what a cosigner signs, its verifier accepts, and no changed bit of it', (t) => {
  for (const label of ['w1', 'w3'] as const) {
    const note = parseNote(toUtf8(signNote(BODY, [signer(label, TIME)])))
    const verifier = cosignatureVerifier(key(label))
    t.same(verifyNote(note, [verifier]), [verifier], label)
    const blob = Uint8Array.from(note.signatures[0]!.signature)
    const passed: number[] = []
    // Each bit of the time; of the signature a bit here and there, for the ciphers are not ours to test.
    for (let bit = 0; bit < blob.length * 8; bit += bit < 64 ? 1 : 61) {
      blob[bit >> 3]! ^= 1 << (bit & 7)
      if (verifier.verify(BODY, blob)) passed.push(bit)
      blob[bit >> 3]! ^= 1 << (bit & 7)
    }
    t.same(passed, [], label)
    t.ok(verifier.verify(BODY, blob), label)
  }
  const notCosigner = cosignatureVerifier(key('log'))
  t.notOk(notCosigner.verify(BODY, new Uint8Array(72)), 'a log key verifies no cosignature')
  t.end()
})
