/** Signed batches as bytes: headers, the tree of items, frames. Golden bytes are in docs/formats.md too. */
import fc from 'fast-check'
import t from 'tap'
import { addendumHash } from '../../src/core/addendum.ts'
import {
  BATCH_HEADER,
  BatchRoot,
  BatchTree,
  FrameReader,
  formatBatchHeader,
  formatFrame,
  isWhole,
  MAX_BATCH_ITEMS,
  parseBatchHeader,
  verifyBatchPath,
} from '../../src/core/batch.ts'
import { concat, equal, fromUtf8, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { formatEnvelope, parseEnvelope } from '../../src/core/dsse.ts'
import { BATCH, decodeEntry, EVENT, type EventEntry, encodeEntry } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { formatEvidence, parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { leafHash, nodeHash } from '../../src/core/merkle.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../src/core/payload.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { Actor, statement } from '../support/actors.ts'
import { PaperLog } from './paper-log.ts'
import { assertStrict } from './strict.ts'

const ROOT = new Uint8Array(32).fill(5)
const header = { origin: 'log.example/x', payloadType: IN_TOTO, size: 3, root: ROOT }
const parse = (payload: Uint8Array, payloadType = BATCH_HEADER) => parseBatchHeader({ payloadType, payload })
const document = (change: object) =>
  toUtf8(JSON.stringify({ ...JSON.parse(fromUtf8(formatBatchHeader(header))!), ...change }))

t.test('golden bytes: three CloudEvents, their tree, the header and its entries', (t) => {
  const addenda = ['a', 'b', 'c'].map((id, i) =>
    concat(
      new Uint8Array(16).fill(i),
      toUtf8(`{"specversion":"1.0","id":"${id}","source":"ci","type":"urn:treeline:run:v1"}`),
    ),
  )
  const digests = addenda.map(addendumHash)
  const items = BatchRoot.empty()
  for (const digest of digests) items.add(digest)
  const [a, b, c] = digests.map(leafHash)
  t.same(items.root(), nodeHash(nodeHash(a!, b!), c!))
  t.same(digests.map(toHex), [
    '8e89de0aecdb2da3726bd95174a35fccde68d2383a046e9fbc0e843b623f9120',
    '39e657a4402f0d68d832fead2a6f3db885116bba0a73a9443e98a2a9f2eace59',
    'e3e028c89ead61ceae381c72f00905ae55af90b3f63b098d35e7dd73842ea1df',
  ])
  t.equal(
    fromUtf8(formatBatchHeader({ origin: 'log.example/x', payloadType: CLOUDEVENTS, size: 3, root: items.root() })),
    '{"origin":"log.example/x","payloadType":"application/cloudevents+json","size":3,"root":"SjS0JwWEoAZtnJQzIvz4hVNeMmSx+GtDU32N+K4BUp4="}',
  )
  const common = { time: 1_700_000_000_000, keys: [new Uint8Array(32).fill(0xaa)], policy: 0 }
  const entry = encodeEntry({ kind: BATCH, ...common, payloadType: BATCH_HEADER, addendum: ROOT })
  t.equal(
    toHex(entry),
    'a700010104021b0000018bcfe5680003815820aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0478266170706c69636174696f6e2f766e642e747265656c696e652e62617463682e76312b6a736f6e075820050505050505050505050505050505050505050505050505050505050505050509000000005f01',
  )
  const item = encodeEntry({
    kind: EVENT,
    ...common,
    payloadType: CLOUDEVENTS,
    type: 'urn:treeline:run:v1',
    artifacts: [],
    hidden: 0,
    addendum: digests[0]!,
    batch: { header: 7, position: 0 },
  })
  t.equal(
    toHex(item),
    'aa00010101021b0000018bcfe5680003815820aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa04781c6170706c69636174696f6e2f636c6f75646576656e74732b6a736f6e057375726e3a747265656c696e653a72756e3a763106800758208e89de0aecdb2da3726bd95174a35fccde68d2383a046e9fbc0e843b623f91200882070009000000006c01',
  )
  for (const bytes of [entry, item]) t.same(encodeEntry(decodeEntry(bytes)), bytes)
  t.end()
})

t.test('a header says all of what it must and nothing more', (t) => {
  t.same(parse(formatBatchHeader(header)), header)
  const rows: Record<string, [Uint8Array, string?]> = {
    'no object': [toUtf8('[]')],
    'no JSON': [toUtf8('{')],
    'no origin': [document({ origin: undefined })],
    'an empty origin': [document({ origin: '' })],
    'another type of items': [document({ payloadType: BATCH_HEADER })],
    'a size of 0': [document({ size: 0 })],
    'a size past the limit': [document({ size: MAX_BATCH_ITEMS + 1 })],
    'half an item': [document({ size: 1.5 })],
    'a size that is text': [document({ size: '3' })],
    'a root of 31 bytes': [document({ root: Buffer.alloc(31).toString('base64') })],
    'a root in another alphabet': [document({ root: Buffer.alloc(32, 0xff).toString('base64url') })],
    'no root': [document({ root: undefined })],
    'a member that we do not know': [document({ more: 1 })],
    'a root twice': [toUtf8(fromUtf8(formatBatchHeader(header))!.replace('{', '{"root":"",')), 'DUPLICATE_JSON_KEY'],
  }
  for (const [name, [bytes, code = 'MALFORMED_PAYLOAD']] of Object.entries(rows))
    t.throws(() => parse(bytes), { code }, name)
  t.throws(() => parse(formatBatchHeader(header), IN_TOTO), { code: 'MALFORMED_PAYLOAD' })
  for (const size of [1, MAX_BATCH_ITEMS]) t.equal(parse(document({ size })).size, size)
  t.end()
})

t.test('whatever the bytes, a header is read to its one meaning or refused', (t) => {
  // The payload may be spelt in other ways, so what is compared is that both spellings mean the same.
  const meaning = (bytes: Uint8Array): Uint8Array => formatBatchHeader(parse(bytes))
  fc.assert(
    fc.property(
      fc.record({
        origin: fc.string({ minLength: 1, unit: 'grapheme' }),
        payloadType: fc.constantFrom(IN_TOTO, CLOUDEVENTS),
        size: fc.integer({ min: 1, max: MAX_BATCH_ITEMS }),
        root: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      }),
      (one) => equal(meaning(formatBatchHeader(one)), formatBatchHeader(one)),
    ),
  )
  const seeds = [formatBatchHeader(header)]
  const refused = (bytes: Uint8Array) => {
    try {
      return parse(bytes)
    } catch (error) {
      if (error instanceof TreelineError && ['DUPLICATE_JSON_KEY', 'TOO_DEEP'].includes(error.code))
        throw new TreelineError('MALFORMED_PAYLOAD', error.message)
      throw error
    }
  }
  const spelling = new WeakMap<object, Uint8Array>()
  assertStrict(
    seeds,
    (bytes) => {
      const value = refused(bytes)
      if (!equal(meaning(formatBatchHeader(value)), formatBatchHeader(value))) throw new Error('two meanings')
      spelling.set(value, bytes)
      return value
    },
    (value) => spelling.get(value)!,
    'MALFORMED_PAYLOAD',
  )
  t.end()
})

t.test('every path of every small batch verifies, and no flipped bit of one', (t) => {
  const digests = Array.from({ length: 33 }, (_, i) => addendumHash(Uint8Array.of(i)))
  for (let size = 1; size <= digests.length; size++) {
    const some = digests.slice(0, size)
    const tree = new BatchTree(some)
    const items = BatchRoot.empty()
    some.forEach((digest, i) => {
      items.add(digest)
      if (i === size >> 1) t.same(BatchRoot.of(items.size, items.hashes).root(), items.root())
    })
    const whole = { ...header, size, root: items.root() }
    t.ok(isWhole(whole, items))
    t.notOk(isWhole({ ...whole, size: size + 1 }, items))
    for (let at = 0; at < size; at++) {
      const path = tree.path(at)
      if (!verifyBatchPath(whole, at, some[at]!, path)) t.fail(`${at} of ${size}`)
      for (const other of [at - 1, at + 1])
        if (verifyBatchPath(whole, other, some[at]!, path)) t.fail(`${at} of ${size} as ${other}`)
      if (size !== 7) continue
      for (let bit = 0; bit < path.length * 256; bit++) {
        const flipped = path.map((hash) => hash.slice())
        flipped[bit >> 8]![(bit & 255) >> 3]! ^= 1 << (bit & 7)
        if (verifyBatchPath(whole, at, some[at]!, flipped)) t.fail(`bit ${bit}`)
      }
    }
  }
  t.end()
})

t.test('frames come out as they went in, however the body was cut', (t) => {
  const tooLarge = (length: number) => new TreelineError('BODY_TOO_LARGE', String(length))
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
      (frames, cuts) => {
        const body = concat(...frames.map(formatFrame))
        const reader = new FrameReader()
        const out: Uint8Array[] = []
        for (let at = 0, i = 0; at < body.length; i++) {
          const end = Math.min(body.length, at + cuts[i % cuts.length]!)
          reader.push(body.subarray(at, end))
          at = end
          for (let frame = reader.next(40, tooLarge); frame !== undefined; frame = reader.next(40, tooLarge))
            out.push(frame)
        }
        return !reader.rest && out.length === frames.length && out.every((frame, i) => equal(frame, frames[i]!))
      },
    ),
  )
  const reader = new FrameReader()
  reader.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1))
  t.throws(() => reader.next(40, tooLarge), { code: 'BODY_TOO_LARGE', message: '4294967295' })
  t.end()
})

const admin = new Actor()
const signer = new Actor()
const narrow = new Actor('p256')
const rules = [{ actor: signer }, { actor: narrow, subjects: ['model/*'] }]
const payloads = (count: number) => Array.from({ length: count }, (_, i) => statement(`model/${i}`))

t.test('the evidence of an item, of its header, and of an item that was redacted verify alone', (t) => {
  const log = new PaperLog([admin], rules)
  const h = log.addBatch(payloads(5), [signer, narrow])
  const one = log.addBatch([statement('model/alone')], [signer])
  for (let index = h; index < log.entries.length; index++) {
    const evidence = parseEvidence(formatEvidence(log.evidence(index)))
    const found = verifyEvidence(evidence, log.trust(), nativeVerify)
    t.equal(found.signers.length, index < one ? 2 : 1)
    if (index === h || index === one) continue
    t.match(found.batch, index < one ? { index: h, size: 5, position: index - h - 1 } : { index: one, size: 1 })
    t.match(fromUtf8(found.payload!), /model\/(\d|alone)/)
    t.equal(found.payloadType, IN_TOTO)
    const { addendum: _, ...redacted } = evidence
    t.match(verifyEvidence(redacted, log.trust(), nativeVerify), {
      payload: undefined,
      batch: { position: found.batch!.position },
    })
  }
  t.end()
})

t.test('an item is believed only under the header that it names', (t) => {
  const log = new PaperLog([admin], rules)
  const h = log.addBatch(payloads(4), [signer])
  const other = log.addBatch(payloads(4), [signer])
  const { batch: _, ...single } = decodeEntry(log.entries[h + 1]!) as EventEntry
  const alone = log.add(single, log.addenda[h + 1]!)
  const trust = log.trust()
  const verdict = (evidence: ReturnType<PaperLog['evidence']>): string => {
    try {
      verifyEvidence(evidence, trust, nativeVerify)
      return 'accepted'
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
      return error.code
    }
  }
  const good = log.evidence(h + 2)
  const { batch, ...without } = good
  t.equal(verdict(good), 'accepted')
  const resigned = formatEnvelope(parseEnvelope(log.addenda[h]!))
  const rows: Record<string, object> = {
    'no header': without,
    'the header of another batch': { ...good, batch: log.evidence(other + 2).batch },
    'the path of its neighbour': { ...good, batch: { ...batch, path: log.evidence(h + 3).batch!.path } },
    'a hash too few': { ...good, batch: { ...batch, path: batch!.path.slice(1) } },
    'a header that is not in the tree': { ...good, batch: { ...batch, hashes: [] } },
    'another document': { ...good, batch: { ...batch, document: concat(resigned, toUtf8(' ')) } },
    'an entry that is no header': { ...good, batch: { ...log.evidence(h + 3), path: batch!.path, document: resigned } },
    'an addendum of its neighbour': { ...good, addendum: log.evidence(h + 3).addendum },
    'a header where there is none': { ...log.evidence(0), batch },
  }
  for (const [name, evidence] of Object.entries(rows)) t.equal(verdict(evidence as typeof good), 'INVALID_PROOF', name)
  t.equal(verdict(log.evidence(alone)), 'INVALID_PROOF', 'an item that names no header is signed by nobody')
  t.end()
})

t.test('what a log may not take in a batch, its evidence does not prove', (t) => {
  const log = new PaperLog([admin], rules)
  const code = (index: number): string => {
    try {
      verifyEvidence(log.evidence(index), log.trust(), nativeVerify)
      return 'accepted'
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
      return error.code
    }
  }
  const root = Buffer.alloc(32).toString('base64')
  t.equal(code(log.addBatch(payloads(2), [signer], { root }) + 1), 'INVALID_PROOF', 'another root')
  t.equal(code(log.addBatch(payloads(2), [signer], { size: 1 }) + 2), 'INVALID_PROOF', 'one more than was signed')
  t.equal(code(log.addBatch(payloads(2), [signer], { origin: 'log.example/else' }) + 1), 'INVALID_PROOF', 'another log')
  t.equal(code(log.addBatch(payloads(2), [signer], { payloadType: CLOUDEVENTS }) + 1), 'INVALID_PROOF', 'another type')
  t.equal(code(log.addBatch(payloads(1), [new Actor()]) + 1), 'INVALID_PROOF', 'a stranger')
  t.equal(code(log.addBatch([statement('other/1')], [narrow]) + 1), 'SUBJECT_NOT_ALLOWED')
  t.equal(code(log.addBatch(payloads(1), [signer], {}, (entry) => ({ ...entry, artifacts: [] })) + 1), 'INVALID_PROOF')
  const late = log.addBatch(payloads(1), [signer], {}, (entry) => ({ ...entry, time: entry.time + 1 }))
  t.equal(code(late + 1), 'INVALID_PROOF', 'another time')
  t.equal(code(late), 'accepted', 'the header stands')
  t.end()
})

t.test('no flipped bit of the evidence of an item verifies', (t) => {
  const log = new PaperLog([admin], [{ actor: signer }])
  const h = log.addBatch(payloads(3), [signer])
  const ownLine = (note: string): string => `${note.split('\n').slice(0, -2).join('\n')}\n`
  const pinned = parseWitnessPolicy(toUtf8(`log ${log.vkey}\nquorum none\n`))
  const evidence = log.evidence(h + 2)
  const file = formatEvidence({ ...evidence, checkpoint: ownLine(evidence.checkpoint) })
  const accepted: number[] = []
  const body = file.indexOf(0x0a, 30)
  for (let at = -1; at < file.length; at += at < body ? 7 : 1) {
    const bytes = file.slice()
    if (at >= 0) bytes[at]! ^= 1 << (at % 7)
    try {
      verifyEvidence(parseEvidence(bytes), pinned, nativeVerify)
      accepted.push(at)
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
    }
  }
  t.same(accepted, [-1], 'only the file as it is')
  t.end()
})
