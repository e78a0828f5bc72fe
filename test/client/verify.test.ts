import { generateKeyPairSync, sign } from 'node:crypto'
import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { findingsOf, sayFindings } from '../../src/client/findings.ts'
import { requirePrefix, type SignedHead } from '../../src/client/fork.ts'
import type { Transport } from '../../src/client/transport.ts'
import { requireArtifact, verifyFile } from '../../src/client/verify.ts'
import { seenBy, seenStillAt } from '../../src/client/witness-times.ts'
import { fromHex, toBase64, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { cosignatureSigner } from '../../src/core/cosignature.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { type Evidence, formatEvidence, parseEvidence } from '../../src/core/evidence.ts'
import {
  consistencyRanges,
  type Hash,
  inclusionRanges,
  leafHash,
  proveRanges,
  rootHash,
} from '../../src/core/merkle.ts'
import { COSIGNATURE_ED25519, formatNote, parseNote, signLine, verifierKey } from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy, type VerifiedCheckpoint, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { readerOf } from '../core/full-tree.ts'
import { Actor, envelope, event, redactionRequest, statement } from '../support/actors.ts'
import { json, post } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const folder = temporaryFolder(t)
const administrator = new Actor()
const signer = new Actor()
const { vkey } = await makeEventLog(folder, [administrator], [{ actor: signer }], {
  change: { private: ['urn:private'] },
})
const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))

const DIGEST = 'ab'.repeat(32)
const OTHER = 'cd'.repeat(32)

/** One server for all: what the tests need of it are files. */
const files = await (async () => {
  const server = await startServer(folder)
  const submit = async (text: string): Promise<number> => json(await post(server.url, '/test/v1/events', text)).index
  const fetchEvidence = async (index: number): Promise<Uint8Array> => {
    for (;;) {
      const answer = await fetch(`${server.url}/test/v1/evidence/${index}`)
      if (answer.ok) return new Uint8Array(await answer.arrayBuffer())
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const shown = await submit(
    event(signer, 'shown', { consumed: [{ digest: { sha256: OTHER } }], parameters: { note: 'ef'.repeat(32) } }),
  )
  const early = new TextDecoder().decode(
    await fetchEvidence(shown).then((file) => toUtf8(parseEvidence(file).checkpoint)),
  )
  const hidden = await submit(
    envelope('application/vnd.in-toto+json', statement('hidden', {}, 'urn:private'), [signer]),
  )
  const gone = await submit(event(signer, 'gone \u001b[31m'))
  const { leafHash } = json({
    body: Buffer.from(await (await fetch(`${server.url}/test/v1/events/${gone}`)).arrayBuffer()),
  } as never)
  const redaction = await post(
    server.url,
    '/test/v1/redactions',
    redactionRequest(ORIGIN, [{ index: gone, leafHash }], [administrator]),
  )
  const late = await fetchEvidence(json(redaction).index)
  const consistency = await (
    await fetch(
      `${server.url}/test/v1/proofs/consistency?from=${early.split('\n')[1]}&to=${parseEvidence(late).checkpoint.split('\n')[1]}`,
    )
  ).json()
  const made = {
    genesis: await fetchEvidence(0),
    shown: await fetchEvidence(shown),
    hidden: await fetchEvidence(hidden),
    gone: await fetchEvidence(gone),
    redaction: late,
    early,
    path: (consistency as { hashes: string[] }).hashes,
  }
  await server.close()
  return made
})()

function evidenceOf(file: Uint8Array, policy: WitnessPolicy = trust) {
  const verified = verifyFile({ file, trust: policy })
  if (verified.kind !== 'evidence') throw new Error(verified.kind)
  return verified.evidence
}

t.test('what evidence shows', (t) => {
  const shown = findingsOf(evidenceOf(files.shown), trust)
  t.match(shown, { origin: ORIGIN, kind: 'event', index: 1, after: null, before: null, policy: 0, redacted: false })
  t.match(shown.signers, [{ id: signer.key.id, name: `signer-${signer.key.id.slice(0, 6)}` }])
  t.match(sayFindings(shown).join('\n'), /signer signer-.*allowed by the policy at index 0[\s\S]*consumed sha256:cdcd/)
  t.match(sayFindings(shown)[1], /no witness says when/)
  t.match(findingsOf(evidenceOf(files.genesis), trust), { kind: 'genesis', signers: [], type: null })
  t.match(findingsOf(evidenceOf(files.redaction), trust), { kind: 'redaction', index: 4 })
  t.match(sayFindings(findingsOf(evidenceOf(files.gone), trust)).at(-1), /redacted/)
  t.match(sayFindings(findingsOf(evidenceOf(files.hidden), trust)).at(-1), /1 artifacts that stand only in the payload/)
  t.end()
})

t.test('an artifact counts only where the event names its digest', (t) => {
  requireArtifact(evidenceOf(files.shown), DIGEST)
  requireArtifact(evidenceOf(files.shown), OTHER)
  requireArtifact(evidenceOf(files.hidden), DIGEST)
  requireArtifact(evidenceOf(files.gone), DIGEST)
  const code = 'INVALID_PROOF'
  t.throws(() => requireArtifact(evidenceOf(files.shown), 'ef'.repeat(32)), { code }, 'a parameter names nothing')
  t.throws(() => requireArtifact(evidenceOf(files.hidden), OTHER), { code })
  t.throws(() => requireArtifact(evidenceOf(files.genesis), DIGEST), { code })
  t.end()
})

t.test('the genesis can be pinned', (t) => {
  const { genesis } = evidenceOf(files.shown)
  verifyFile({ file: files.shown, trust, genesis })
  t.same(toHex(genesis), toHex(leafHash(parseEvidence(files.genesis).entry)))
  t.throws(() => verifyFile({ file: files.shown, trust, genesis: fromHex(DIGEST)! }), { code: 'INVALID_PROOF' })
  t.end()
})

t.test('no flipped bit verifies, and none is a bug', (t) => {
  const wrong: string[] = []
  for (const [name, file] of Object.entries({ shown: files.shown, gone: files.gone })) {
    for (let at = 0; at < file.length; at += 7) {
      const bad = file.slice()
      bad[at]! ^= 1 << (at % 8)
      try {
        verifyFile({ file: bad, trust })
        wrong.push(`${name} at ${at} verifies`)
      } catch (error) {
        const { code } = error as TreelineError
        if (!(error instanceof TreelineError) || !/^(MALFORMED_|INVALID_|UNVERIFIED_)/.test(code))
          wrong.push(`${name} at ${at}: ${error}`)
      }
    }
  }
  t.same(wrong, [])
  t.end()
})

t.test('parts that were exchanged do not verify', (t) => {
  const shown = parseEvidence(files.shown)
  const hidden = parseEvidence(files.hidden)
  const { addendum: _, ...withoutAddendum } = hidden
  for (const [name, change, code] of [
    ['another entry', { entry: hidden.entry }, 'INVALID_PROOF'],
    ['another addendum', { addendum: hidden.addendum! }, 'INVALID_PROOF'],
    ['another index', { index: 0 }, 'INVALID_PROOF'],
    ['no policy', { policies: [] }, 'INVALID_PROOF'],
    ['a policy twice', { policies: [...shown.policies, ...shown.policies] }, 'INVALID_PROOF'],
    ['another document', { policies: [{ ...shown.policies[0]!, document: hidden.addendum! }] }, 'INVALID_PROOF'],
    [
      'an earlier checkpoint that covers it',
      { earlier: { checkpoint: shown.checkpoint, hashes: [] } },
      'INVALID_PROOF',
    ],
  ] as const) {
    t.throws(() => verifyFile({ file: formatEvidence({ ...shown, ...change } as Evidence), trust }), { code }, name)
  }
  // A payload that was left out reads as redacted: what is proved without it is the same.
  t.equal(evidenceOf(formatEvidence(withoutAddendum)).envelope, undefined)
  const stranger = parseWitnessPolicy(toUtf8('quorum none\n'))
  t.throws(() => verifyFile({ file: files.shown, trust: stranger }), { code: 'UNVERIFIED_NOTE' })
  t.end()
})

t.test('a file that needs something beside it, or is nothing', (t) => {
  const { index, hashes, checkpoint, entry } = parseEvidence(files.shown)
  const bare = toUtf8(
    `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`,
  )
  t.match(verifyFile({ file: bare, trust, entry }), { kind: 'proof' })
  t.throws(() => verifyFile({ file: bare, trust }), { code: 'USAGE' })
  t.throws(
    () => verifyFile({ file: bare, trust, entry, genesis: fromHex(DIGEST)! }),
    { code: 'USAGE' },
    'a check is never forgotten',
  )
  const receipt = {
    origin: ORIGIN,
    index,
    entry: toBase64(entry),
    hashes: hashes.map(toBase64),
    checkpoint,
    witnessed: false,
  }
  t.throws(() => verifyFile({ file: toUtf8(JSON.stringify(receipt)), trust }), { code: 'USAGE' })
  const sent = toUtf8(event(signer, 'x'))
  t.throws(
    () => verifyFile({ file: toUtf8(JSON.stringify(receipt)), trust, envelope: sent }),
    { code: 'USAGE' },
    'no salt',
  )
  for (const junk of ['', 'junk', '[', Uint8Array.of(0xff)])
    t.throws(() => verifyFile({ file: typeof junk === 'string' ? toUtf8(junk) : junk, trust }), {
      code: 'MALFORMED_PROOF',
    })
  t.throws(() => verifyFile({ file: toUtf8('{}'), trust }), { code: 'INVALID_PROOF' })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (junk) => {
      try {
        verifyFile({ file: junk, trust, entry, envelope: sent })
        return false
      } catch (error) {
        return error instanceof TreelineError
      }
    }),
  )
  t.end()
})

interface Witness {
  readonly name: string
  readonly line: string
  cosign(note: string, timestamp: number): string
}

function witness(name: string): Witness {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(12))
  const key = verifierKey(`${name}.example`, COSIGNATURE_ED25519, raw)
  return {
    name,
    line: `witness ${name} ${formatVkey(key)}\n`,
    cosign(text, timestamp) {
      const note = parseNote(toUtf8(text))
      const made = cosignatureSigner(
        key,
        (message) => new Uint8Array(sign(null, message, privateKey)),
        () => BigInt(timestamp),
      )
      return formatNote({ ...note, signatures: [...note.signatures, signLine(note.text, made)] })
    },
  }
}

t.test('witnesses say when: between the earlier checkpoint and the one that covers it', (t) => {
  const [a, b] = [witness('A'), witness('B')] as const
  const two = parseWitnessPolicy(toUtf8(`log ${vkey}\n${a.line}${b.line}group G all A B\nquorum G\n`))
  const redaction = parseEvidence(files.redaction)
  const both = (note: string, first: number, second: number) => b.cosign(a.cosign(note, first), second)
  const checkpoint = both(redaction.checkpoint, 2_000, 2_010)
  const earlier = {
    checkpoint: both(files.early, 1_000, 1_010),
    hashes: files.path.map((hash) => new Uint8Array(Buffer.from(hash, 'base64'))),
  }
  const file = formatEvidence({ ...redaction, checkpoint, earlier })
  const found = findingsOf(evidenceOf(file, two), two)
  t.match(found, { after: 1_000_000, before: 2_010_000, witnesses: ['A', 'B'] }, 'each by the least that a quorum says')
  t.match(
    sayFindings(found)[1],
    /^logged between 1970-01-01T00:16:40.000Z and 1970-01-01T00:33:30.000Z \(witnesses\), the log's clock says 20/,
  )
  const alone = formatEvidence({ ...redaction, checkpoint: a.cosign(redaction.checkpoint, 2_000) })
  t.throws(() => verifyFile({ file: alone, trust: two }), { code: 'UNVERIFIED_NOTE' })
  t.throws(() => verifyFile({ file: files.redaction, trust: two }), { code: 'UNVERIFIED_NOTE' })
  const without = findingsOf(evidenceOf(formatEvidence({ ...redaction, checkpoint }), two), two)
  t.match(sayFindings(without)[1], /^logged before 1970-01-01T00:33:30.000Z/)
  t.end()
})

t.test('times count when a quorum states them', (t) => {
  const names = ['A', 'B', 'C'].map(witness)
  const lines = names.map(({ line }) => line).join('')
  const policy = (quorum: string) => parseWitnessPolicy(toUtf8(`log ${vkey}\n${lines}${quorum}\n`))
  const seen = (times: readonly number[], quorum: string) => {
    const trust = policy(quorum)
    const cosigners = times.map((time, i) => ({ witness: trust.witnesses[i]!, timestamp: BigInt(time) }))
    const checkpoint = { cosigners } as unknown as VerifiedCheckpoint
    return [seenStillAt(checkpoint, trust), seenBy(checkpoint, trust)]
  }
  t.same(seen([1, 5, 9], 'group G any A B C\nquorum G'), [9_000, 1_000])
  t.same(seen([1, 5, 9], 'group G 2 A B C\nquorum G'), [5_000, 5_000])
  t.same(seen([1, 5, 9], 'group G all A B C\nquorum G'), [1_000, 9_000])
  t.same(seen([9, 5, 1], 'quorum A'), [9_000, 9_000])
  t.same(seen([1, 5, 9], 'group G any A B\ngroup H all G C\nquorum H'), [5_000, 9_000])
  t.same(seen([0, 5, 9], 'quorum A'), [undefined, undefined], 'a cosignature without a time')
  t.same(seen([0, 5, 9], 'group G all A B C\nquorum G'), [undefined, undefined])
  t.same(seen([1, 5, 9], 'quorum none'), [undefined, undefined], 'nobody is believed')
  t.end()
})

t.test('two trees: a prefix, a fork, or nothing proved, for every pair of small sizes', async (t) => {
  const own = temporaryFolder(t)
  const evidence = { folder: own, keys: [] }
  const tree = (size: number, seed: string, from = 0) =>
    Array.from({ length: size }, (_, i) => leafHash(toUtf8(`${i >= from ? seed : ''}${i}`)))
  const head = (leaves: readonly Hash[]): SignedHead => ({
    note: toUtf8('note\n'),
    checkpoint: {
      origin: 'o',
      size: BigInt(leaves.length),
      root: rootHash(leaves.length, readerOf(leaves)),
      extensions: [],
    },
  })
  /** A log that proves what it can of one tree, and lies where it is told to. */
  const log = (leaves: readonly Hash[], lie: (path: string) => boolean = () => false) =>
    ({
      json: async (path: string) => {
        const [from = 0, to = 0] = [...path.matchAll(/=(\d+)/g)].map(([, digits]) => Number(digits))
        const ranges = path.includes('consistency') ? consistencyRanges(from, to) : inclusionRanges(from, to)
        const hashes = proveRanges(ranges, readerOf(leaves)).map(toBase64)
        return { hashes: lie(path) ? [...hashes, hashes[0] ?? ''] : hashes, leafHash: toHex(leaves[from]!) }
      },
    }) as unknown as Transport
  const faults = () => readdirSync(own).length
  for (let to = 1; to <= 17; to++) {
    const leaves = tree(to, 'new')
    for (let from = 0; from <= to; from++) {
      await requirePrefix(log(leaves), head(leaves.slice(0, from)), head(leaves), evidence)
      if (from > 0) {
        // The consistency proof is spoilt, and what the tree has there is proved another way.
        if (from < to)
          await requirePrefix(
            log(leaves, (path) => path.includes('consistency')),
            head(leaves.slice(0, from)),
            head(leaves),
            evidence,
          )
        const before = faults()
        const other = head([...leaves.slice(0, from - 1), leafHash(toUtf8('other'))])
        await t.rejects(requirePrefix(log(leaves), other, head(leaves), evidence), { code: 'INVALID_LOG' })
        t.equal(faults(), before + 1)
        if (from < to)
          await t.rejects(
            requirePrefix(
              log(leaves, () => true),
              other,
              head(leaves),
              evidence,
            ),
            { code: 'INVALID_PROOF' },
          )
        t.equal(faults(), before + 1, 'no evidence without proof')
      }
    }
  }
})
