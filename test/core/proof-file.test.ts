import fc from 'fast-check'
import t from 'tap'
import { equal, fromHex, fromUtf8, toBase64, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { inclusionRanges, leafHash, proveRanges } from '../../src/core/merkle.ts'
import { formatProof, type ProofFile, parseProof, verifyProof } from '../../src/core/proof-file.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import vectors from '../vectors/c2sp-tlog-proof.json' with { type: 'json' }
import { entryTree } from './full-tree.ts'
import { assertStrict } from './strict.ts'

const policy = parseWitnessPolicy(toUtf8(vectors.verification_policy))
const parse = (text: string) => parseProof(toUtf8(text))
const malformed = { code: 'MALFORMED_PROOF' }
const unverified = { code: 'UNVERIFIED_NOTE' }

const V1 = vectors.valid[0]!
const LEAF = fromHex(V1.leaf_hash_hex)!
const HASH = toBase64(LEAF)
const [HEADER = '', ...CHECKPOINT] = V1.proof.split('\n\n')
const NOTE = CHECKPOINT.join('\n\n')

t.test('proofs of the vectors parse, format and verify as they say', (t) => {
  for (const { id, proof, index, size, entry_utf8, leaf_hash_hex, extra_hex } of vectors.valid) {
    const parsed = parse(proof)
    t.equal(fromUtf8(formatProof(parsed)), proof, id)
    t.equal(parsed.index, BigInt(index), id)
    t.equal(parsed.extra === undefined ? undefined : toHex(parsed.extra), extra_hex, id)
    const leaf = leafHash(toUtf8(entry_utf8))
    t.equal(toHex(leaf), leaf_hash_hex, id)
    const { checkpoint, cosigners } = verifyProof(parsed, leaf, policy)
    t.equal(checkpoint.size, BigInt(size), id)
    t.same(
      cosigners.map(({ witness, timestamp }) => [witness.name, timestamp]),
      [
        ['W1', 1767225600n],
        ['W2', 1767225601n],
      ],
      id,
    )
  }
  for (const { id, proof, why } of vectors.malformed) t.throws(() => parse(proof), malformed, `${id}: ${why}`)
  for (const { id, proof, why } of vectors.verification_failures) {
    const code = why.includes('inclusion') || why.includes('index') ? 'INVALID_PROOF' : 'UNVERIFIED_NOTE'
    t.throws(() => verifyProof(parse(proof), LEAF, policy), { code }, `${id}: ${why}`)
  }
  t.end()
})

t.test('parsing a proof and formatting it are inverse', (t) => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
  const proofs: fc.Arbitrary<ProofFile> = fc.record(
    {
      index: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      hashes: fc.array(hash, { maxLength: 64 }),
      checkpoint: fc.uint8Array(),
      extra: fc.uint8Array(),
    },
    { requiredKeys: ['index', 'hashes', 'checkpoint'] },
  )
  const same = (a?: Uint8Array, b?: Uint8Array) => (a === undefined || b === undefined ? a === b : equal(a, b))
  fc.assert(
    fc.property(proofs, (proof) => {
      const parsed = parseProof(formatProof(proof))
      return (
        parsed.index === proof.index &&
        parsed.hashes.length === proof.hashes.length &&
        parsed.hashes.every((hash, i) => equal(hash, proof.hashes[i]!)) &&
        same(parsed.checkpoint, proof.checkpoint) &&
        same(parsed.extra, proof.extra)
      )
    }),
  )
  const seeds = [...vectors.valid, ...vectors.malformed].map(({ proof }) => toUtf8(proof))
  assertStrict(seeds, parseProof, formatProof, 'MALFORMED_PROOF')
  t.end()
})

t.test('TP-1 the first line is exactly that of version 1', (t) => {
  const rest = HEADER.slice(HEADER.indexOf('\n'))
  for (const first of [
    '',
    'c2sp.org/tlog-proof@v2',
    'c2sp.org/tlog-proof@v1 ',
    ' c2sp.org/tlog-proof@v1',
    'C2SP.org/tlog-proof@v1',
  ]) {
    t.throws(() => parse(`${first}${rest}\n\n${NOTE}`), malformed, JSON.stringify(first))
  }
  for (const text of ['', '\n', '\n\n', 'c2sp.org/tlog-proof@v1', 'c2sp.org/tlog-proof@v1\n\n']) {
    t.throws(() => parse(text), malformed, JSON.stringify(text))
  }
  t.end()
})

t.test('TP-2 one extra line may follow it, and decides nothing', (t) => {
  const withExtra = (extra: string) => `${HEADER.replace('\n', `\n${extra}\n`)}\n\n${NOTE}`
  for (const bytes of [new Uint8Array(0), toUtf8('opaque'), new Uint8Array(100_000)]) {
    const parsed = parse(withExtra(`extra ${toBase64(bytes)}`))
    t.ok(equal(parsed.extra!, bytes), `${bytes.length} bytes`)
    t.equal(verifyProof(parsed, LEAF, policy).checkpoint.size, 13n)
  }
  t.notOk('extra' in parse(V1.proof))
  for (const bad of ['extra', 'extra  AAAA', 'extra AAA', 'extra AAB=', 'Extra AAAA', 'extra AAAA\nextra AAAA']) {
    t.throws(() => parse(withExtra(bad)), malformed, JSON.stringify(bad))
  }
  t.end()
})

t.test('TP-3 the index line is decimal', (t) => {
  const withIndex = (line: string) => `${HEADER.replace('index 10', line)}\n\n${NOTE}`
  for (const bad of [
    'index',
    'index ',
    'index 010',
    'index -1',
    'index +1',
    'index 0xa',
    'index 10 ',
    'index  10',
    'Index 10',
    'index 1e1',
    '10',
    `index ${2n ** 64n}`,
  ]) {
    t.throws(() => parse(withIndex(bad)), malformed, JSON.stringify(bad))
  }
  t.equal(parse(withIndex(`index ${2n ** 64n - 1n}`)).index, 2n ** 64n - 1n)
  t.end()
})

t.test('TP-4 hashes are 32 bytes each, from leaf to root', (t) => {
  const { leaves, read } = entryTree(13)
  const parsed = parse(V1.proof)
  t.same(parsed.hashes.map(toHex), proveRanges(inclusionRanges(10, 13), read).map(toHex))
  t.equal(toHex(leaves[10]!), toHex(LEAF))
  const reversed = { ...parsed, hashes: parsed.hashes.toReversed() }
  t.throws(() => verifyProof(reversed, LEAF, policy), { code: 'INVALID_PROOF' })
  const withHash = (hash: string) => `${HEADER}\n${hash}\n\n${NOTE}`
  for (const bad of ['!!', HASH.slice(0, -1), HASH.slice(4), `${HASH} `, ` ${HASH}`, `AAAA${HASH}`, toHex(LEAF)]) {
    t.throws(() => parse(withHash(bad)), malformed, JSON.stringify(bad))
  }
  const many = (count: number) => `c2sp.org/tlog-proof@v1\nindex 0\n${`${HASH}\n`.repeat(count)}\n${NOTE}`
  t.equal(parse(many(64)).hashes.length, 64)
  t.throws(() => parse(many(65)), malformed, 'no tree is so high')
  t.end()
})

t.test('TP-5 the checkpoint follows the first empty line byte for byte', (t) => {
  t.equal(fromUtf8(parse(V1.proof).checkpoint), NOTE)
  t.throws(() => parse(HEADER), malformed)
  t.throws(() => parse(`${HEADER}\n${NOTE}`), malformed, 'no empty line')
  t.equal(fromUtf8(parse(`${HEADER}\n\n\n${NOTE}`).checkpoint), `\n${NOTE}`, 'a second empty line is in the note')
  t.throws(() => verifyProof(parse(`${HEADER}\n\n\n${NOTE}`), LEAF, policy), unverified)
  for (const bad of ['', '\n', NOTE.slice(0, -1), `${NOTE}\n`]) {
    t.throws(() => verifyProof(parse(`${HEADER}\n\n${bad}`), LEAF, policy), { code: 'MALFORMED_NOTE' })
  }
  t.end()
})

t.test('TP-6 origin, log signature, quorum and inclusion are all required', (t) => {
  const proof = parse(V1.proof)
  const [log = '', w1 = '', w2 = '', ...rest] = vectors.verification_policy.split('\n')
  const under = (lines: readonly string[]) => () =>
    verifyProof(proof, LEAF, parseWitnessPolicy(toUtf8(lines.join('\n'))))
  t.doesNotThrow(under([log, w1, w2, ...rest]))
  t.throws(under([w1, w2, ...rest]), unverified, 'no log is known')
  const otherLog = 'log sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8'
  t.throws(under([otherLog, w1, w2, ...rest]), unverified, 'another log is')
  const w3 = 'witness W2 w-X1.example+6450019b+BBGu367wSUVW1XobrxI2mecgsEGklGuRsU6bLQWT3OCM'
  t.throws(under([log, w1, w3, ...rest]), unverified, 'the quorum wants another witness')
  t.throws(() => verifyProof(proof, leafHash(toUtf8('entry 11')), policy), { code: 'INVALID_PROOF' }, 'another entry')
  t.throws(() => verifyProof(proof, new Uint8Array(0), policy), { code: 'INVALID_PROOF' }, 'no hash at all')

  // No bit of a proof file can be changed without notice: every seventh, for each costs up to three signatures.
  const bytes = toUtf8(V1.proof)
  const passed: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit += 7) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    try {
      verifyProof(parseProof(bytes), LEAF, policy)
      passed.push(bit)
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
    }
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
  t.same(passed, [])
  t.end()
})

t.test('TP-8 the index is below the size, and there is no hash too many or too few', (t) => {
  const proof = parse(V1.proof)
  const invalid = { code: 'INVALID_PROOF' }
  for (const index of [0n, 9n, 11n, 12n, 13n, 14n, 2n ** 64n - 1n]) {
    t.throws(() => verifyProof({ ...proof, index }, LEAF, policy), invalid, `index ${index}`)
  }
  for (const [why, hashes] of [
    ['one more', [...proof.hashes, LEAF]],
    ['one more below', [LEAF, ...proof.hashes]],
    ['one less', proof.hashes.slice(0, -1)],
    ['one less below', proof.hashes.slice(1)],
    ['none', []],
  ] as const) {
    t.throws(() => verifyProof({ ...proof, hashes }, LEAF, policy), invalid, why)
  }
  t.end()
})
