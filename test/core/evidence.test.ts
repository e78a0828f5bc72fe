import t from 'tap'
import { addendumHash } from '../../src/core/addendum.ts'
import { concat, equal, fromHex, fromUtf8, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { type Cbor, encodeCbor } from '../../src/core/cbor.ts'
import { decodeEntry, EVENT, type EventEntry, encodeEntry, REDACTION } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { type Evidence, formatEvidence, parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../src/core/payload.ts'
import { formatProof, parseProof, verifyProof } from '../../src/core/proof-file.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { Actor, statement } from '../support/actors.ts'
import { canonical, ORIGIN, PaperLog } from './paper-log.ts'
import { assertStrict } from './strict.ts'

const admins = [new Actor(), new Actor('p256')]
const signer = new Actor()
const second = new Actor('p256')
const rules = [{ actor: signer }, { actor: second, subjects: ['model/*'] }]
const event = (subject: string, actors: readonly Actor[] = [signer], predicate: object = {}) =>
  canonical(IN_TOTO, statement(subject, predicate), actors)

const keysOf = ({ key }: Actor) => ({ keys: [fromHex(key.id)!] })

/** Genesis, two events, a policy, three events, a second policy, two events. */
function make(): PaperLog {
  const log = new PaperLog(admins, rules)
  log.addEvent(event('model/0'))
  log.addEvent(event('model/1'))
  log.setPolicy(log.next({ produces: ['urn:other:*'] }), admins)
  for (let i = 4; i < 7; i++) log.addEvent(event(`model/${i}`, [signer, second]))
  log.setPolicy(log.next({ private: ['urn:secret:*'] }), admins)
  log.addEvent(event('model/8'))
  log.addEvent(event('model/9'))
  return log
}

const log = make()
const trust = log.trust()
const INDEX = 5
const evidence = log.evidence(INDEX)
const verify = (one: Evidence, policy = trust) => verifyEvidence(one, policy, nativeVerify)

/** The code with which it is refused, or "accepted". */
function verdict(one: Evidence, policy = trust): string {
  try {
    verify(one, policy)
    return 'accepted'
  } catch (error) {
    // Anything else is a verifier that a log can crash.
    if (!(error instanceof TreelineError)) throw error
    return error.code
  }
}

t.test('evidence of every entry, at every size, goes through the file and verifies', (t) => {
  for (let size = 1; size <= log.entries.length; size++) {
    for (let index = 0; index < size; index++) {
      const parsed = parseEvidence(formatEvidence(log.evidence(index, size)))
      const found = verify(parsed)
      if (found.checkpoint.checkpoint.size !== BigInt(size)) t.fail(`${index} of ${size}`)
      if (found.policy.index !== [0, 0, 0, 3, 3, 3, 3, 7, 7, 7][index]) t.fail(`policy of ${index}`)
    }
  }
  const found = verifyEvidence(evidence, trust, verifySignature)
  t.same(found.genesis, leafHash(log.entries[0]!))
  t.equal(found.signers.length, 2)
  t.same(found.envelope?.payload, event('model/5', []).payload)
  t.equal(found.earlier, undefined)
  t.end()
})

t.test('any verifier of tlog-proofs can check the proof in it', (t) => {
  const proof = parseProof(formatEvidence(evidence))
  t.equal(verifyProof(proof, leafHash(log.entries[INDEX]!), log.trust('w')).checkpoint.origin, ORIGIN)
  t.end()
})

t.test('a file is read in one way or not at all', (t) => {
  const earlier = { checkpoint: log.note(2), hashes: log.consistency(2) }
  const { addendum: _, ...redacted } = evidence
  const seeds = [evidence, { ...evidence, earlier }, redacted].map(formatEvidence)
  for (const seed of seeds) t.ok(equal(formatEvidence(parseEvidence(seed)), seed))
  assertStrict(seeds, parseEvidence, formatEvidence, 'MALFORMED_PROOF')
  const file = (extra: Cbor): Uint8Array => {
    const { index, hashes } = evidence
    return formatProof({
      index: BigInt(index),
      hashes,
      checkpoint: toUtf8(evidence.checkpoint),
      extra: encodeCbor(extra),
    })
  }
  const map = (...more: [number | string, Cbor][]): Cbor => new Map([[1, evidence.entry], [3, []], ...more])
  const note = toUtf8(log.note(2))
  const rows: Record<string, Uint8Array> = {
    'a bare proof': formatProof({ index: 5n, hashes: [], checkpoint: toUtf8(evidence.checkpoint) }),
    'extra that is no CBOR': concat(
      toUtf8(`c2sp.org/tlog-proof@v1\nextra ${toBase64(Uint8Array.of(0xff))}\nindex 5\n\n`),
      toUtf8(evidence.checkpoint),
    ),
    'extra that is no map': file([1, 2]),
    'no entry': file(new Map([[3, []]])),
    'no policies': file(new Map([[1, evidence.entry]])),
    'an unknown key': file(map([9, 1])),
    'a key that is text': file(map(['1', 1])),
    'an addendum that is text': file(map([2, 'x'])),
    'a policy of three parts': file(map([3, [[0, evidence.entry, evidence.entry]]])),
    'a policy of five parts': file(map([3, [[0, evidence.entry, evidence.entry, [], 1]]])),
    'a policy at half': file(map([3, [['0', evidence.entry, evidence.entry, []]]])),
    'a policy below zero': file(map([3, [[-1, evidence.entry, evidence.entry, []]]])),
    'an earlier checkpoint alone': file(map([5, [note]])),
    'an earlier checkpoint and more': file(map([5, [note, [], 1]])),
    'an earlier checkpoint that is not UTF-8': file(map([5, [Uint8Array.of(0xff), []]])),
    'an index past 2^53': toUtf8(fromUtf8(seeds[0]!)!.replace('\nindex 5\n', '\nindex 9007199254740993\n')),
  }
  for (const [name, bytes] of Object.entries(rows))
    t.throws(() => parseEvidence(bytes), { code: 'MALFORMED_PROOF' }, name)
  t.end()
})

t.test('TA-1 an addendum that does not hash to the digest in the entry is refused', (t) => {
  const addendum = evidence.addendum!
  for (const at of [0, 15, 16, addendum.length - 1]) {
    const changed = new Uint8Array(addendum)
    changed[at]! ^= 1
    t.equal(verdict({ ...evidence, addendum: changed }), 'INVALID_PROOF', `byte ${at}`)
  }
  t.equal(verdict({ ...evidence, addendum: log.evidence(6).addendum! }), 'INVALID_PROOF', 'that of a neighbour')
  t.equal(verdict({ ...evidence, addendum: addendum.subarray(0, -1) }), 'INVALID_PROOF', 'cut off')
  t.end()
})

t.test('TA-2 an addendum whose digest is not proved included is not opened', (t) => {
  // It is no envelope at all: whoever read it before the proof would say so.
  const addendum = toUtf8('not an envelope, and long enough for a salt')
  const digest = addendumHash(addendum)
  const entry = encodeEntry({ ...(decodeEntry(evidence.entry) as EventEntry), addendum: digest })
  t.equal(verdict({ ...evidence, entry, addendum }), 'INVALID_PROOF')
  t.end()
})

t.test('no flipped bit of the file verifies', (t) => {
  const small = new PaperLog([admins[0]!], [{ actor: signer }])
  for (let i = 1; i < 4; i++) small.addEvent(event(`model/${i}`))
  // Only the log's own line and key, since lines of keys that are not pinned are ignored, and signatures are slow.
  const ownLine = (note: string): string => `${note.split('\n').slice(0, -2).join('\n')}\n`
  const pinned = parseWitnessPolicy(toUtf8(`log ${small.vkey}\nquorum none\n`))
  const earlier = { checkpoint: ownLine(small.note(1)), hashes: small.consistency(1) }
  const whole = small.evidence(2)
  const file = formatEvidence({ ...whole, checkpoint: ownLine(whole.checkpoint), earlier })
  const accepted: string[] = []
  const body = file.indexOf(0x0a, 30)
  // Each byte after the extra line, which is base64 of two thirds of the file and every ninth byte of it: all bits of all bytes take minutes.
  for (let at = -1; at < file.length; at += at < body ? 9 : 1) {
    const bytes = file.slice()
    if (at >= 0) bytes[at]! ^= 1 << (at % 7)
    try {
      verifyEvidence(parseEvidence(bytes), pinned, nativeVerify)
      accepted.push(`${at}`)
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
    }
  }
  t.same(accepted, ['-1'], 'only the file as it is')
  t.end()
})

t.test('the place of an entry is proved, not told', (t) => {
  const other = log.evidence(6)
  const foreign = make()
  const rows: Record<string, [Partial<Evidence>, string]> = {
    'another index': [{ index: 6 }, 'INVALID_PROOF'],
    'another entry': [{ entry: other.entry }, 'INVALID_PROOF'],
    'the proof of another': [{ hashes: other.hashes }, 'INVALID_PROOF'],
    'another addendum': [{ addendum: other.addendum! }, 'INVALID_PROOF'],
    'no bytes of an addendum': [{ addendum: new Uint8Array(0) }, 'INVALID_PROOF'],
    'a checkpoint of a log of the same name': [{ checkpoint: foreign.note() }, 'UNVERIFIED_NOTE'],
    'a checkpoint that does not cover it': [{ checkpoint: log.note(INDEX) }, 'INVALID_PROOF'],
  }
  for (const [name, [change, code]] of Object.entries(rows)) t.equal(verdict({ ...evidence, ...change }), code, name)
  t.equal(verdict(evidence, foreign.trust()), 'UNVERIFIED_NOTE')
  t.end()
})

t.test('the policies must be those of the log, from its genesis to the one in force, and none left out', (t) => {
  const [genesis, change] = evidence.policies as [Evidence['policies'][0], Evidence['policies'][0]]
  const later = log.evidence(9).policies[2]!
  const foreign = make().evidence(INDEX).policies
  const rows: Record<string, [Evidence['policies'], string]> = {
    none: [[], 'INVALID_PROOF'],
    'without the genesis': [[change], 'INVALID_PROOF'],
    'without the one in force': [[genesis], 'INVALID_PROOF'],
    'with one that came later': [[genesis, change, later], 'INVALID_PROOF'],
    'in another order': [[change, genesis], 'INVALID_PROOF'],
    'the genesis twice': [[genesis, genesis, change], 'INVALID_PROOF'],
    'the change twice': [[genesis, change, change], 'POLICY_CONFLICT'],
    'of another log': [foreign, 'INVALID_PROOF'],
    'a genesis of another log': [[foreign[0]!, change], 'INVALID_PROOF'],
    'at another index': [[{ ...genesis, index: 1 }, change], 'INVALID_PROOF'],
    'a document of another': [[{ ...genesis, document: foreign[0]!.document }, change], 'INVALID_PROOF'],
    'an entry that is none': [[{ ...genesis, entry: evidence.entry }, change], 'INVALID_PROOF'],
  }
  for (const [name, [policies, code]] of Object.entries(rows)) t.equal(verdict({ ...evidence, policies }), code, name)
  const own = log.evidence(7)
  t.equal(verdict({ ...own, policies: own.policies.slice(0, 2) }), 'INVALID_PROOF', 'a change without itself')
  t.end()
})

t.test('what the log may not have admitted is refused with the judgement', (t) => {
  const [stranger, expired, suspended, narrow] = [new Actor(), new Actor(), new Actor(), new Actor()]
  const bad = new PaperLog(admins, [
    { actor: signer },
    { actor: expired, notAfter: 1_700_000_000_000 },
    { actor: suspended, suspended: { since: 1, compromisedSince: null } },
    { actor: narrow, types: ['urn:other:*'], subjects: ['model/*'] },
  ])
  const judged = (index: number, change: Partial<Evidence> = {}) =>
    verdict({ ...bad.evidence(index), ...change }, bad.trust())
  t.equal(judged(bad.addEvent(event('model/x', [stranger]))), 'UNKNOWN_KEY')
  t.equal(judged(bad.addEvent(event('model/x', [expired]))), 'KEY_EXPIRED')
  t.equal(judged(bad.addEvent(event('model/x', [expired]), { time: 1_699_999_999_999 })), 'accepted')
  t.equal(judged(bad.addEvent(event('model/x', [suspended]))), 'KEY_SUSPENDED')
  t.equal(judged(bad.addEvent(event('model/x', [narrow]))), 'TYPE_NOT_ALLOWED')
  const other = (subject: string) => canonical(IN_TOTO, statement(subject, {}, 'urn:other:v1'), [narrow])
  t.equal(judged(bad.addEvent(other('data/x'))), 'SUBJECT_NOT_ALLOWED')
  t.equal(judged(bad.addEvent(other('model/x'))), 'accepted')
  t.equal(judged(bad.addEvent(event('model/x', [signer], { origin: 'log.example/else' }))), 'WRONG_ORIGIN')
  t.equal(judged(bad.addEvent(event('model/x', [signer, expired]))), 'KEY_EXPIRED', 'each key that signed')

  const forged = event('model/x')
  const sig = forged.signatures[0]!
  t.equal(
    judged(bad.addEvent({ ...forged, signatures: [{ ...sig, signature: new Uint8Array(64).fill(1) }] })),
    'BAD_SIGNATURE',
  )
  t.equal(judged(bad.addEvent(forged, { keys: [fromHex(narrow.key.id)!] })), 'INVALID_PROOF', 'another signer')
  t.equal(judged(bad.addEvent(forged, { artifacts: [] })), 'INVALID_PROOF', 'artifacts left out')
  t.equal(judged(bad.addEvent(forged, { policy: 1 })), 'INVALID_PROOF', 'another policy')
  // The bytes that an entry commits to are the canonical ones: a second spelling would be a second event.
  t.equal(judged(bad.addEvent({ ...forged, signatures: [{ ...sig, keyid: '' }] }, keysOf(signer))), 'INVALID_PROOF')
  const unsorted = event('model/x', [signer, narrow]).signatures.toReversed()
  t.not(judged(bad.addEvent({ ...forged, signatures: unsorted }, keysOf(signer))), 'accepted')

  // Of a redacted event the subjects are gone; key, type and time still stand in the entry.
  const without = (index: number): string => {
    const { addendum: _, ...redacted } = bad.evidence(index)
    return verdict(redacted, bad.trust())
  }
  t.equal(without(bad.addEvent(event('model/x', [expired]))), 'KEY_EXPIRED')
  t.equal(without(bad.addEvent(event('model/x', [stranger]))), 'UNKNOWN_KEY')
  t.equal(without(bad.addEvent(other('data/x'))), 'accepted')
  t.end()
})

t.test('a policy that the administrators did not make is refused', (t) => {
  const rows: [string, string, (log: PaperLog) => unknown][] = [
    ['short of the threshold', 'BAD_SIGNATURE', (log) => log.setPolicy(log.next({ private: ['x'] }), [admins[0]!])],
    ['signed by a signer', 'UNKNOWN_KEY', (log) => log.setPolicy(log.next({ private: ['x'] }), [signer])],
    [
      'of another log',
      'WRONG_ORIGIN',
      (log) => {
        const vkey = log.vkey.replace(ORIGIN, 'log.example/else')
        const foreign = new PaperLog(admins, rules, {}, 'log.example/else')
        log.setPolicy(log.next({ origin: 'log.example/else', logKeys: [foreign.vkey] }), admins)
        return vkey
      },
    ],
    ['of the same sequence', 'POLICY_CONFLICT', (log) => log.setPolicy(log.next({ sequence: 2 }), admins)],
    [
      'that follows another',
      'POLICY_CONFLICT',
      (log) => log.setPolicy(log.next({ previous: { index: 3, sha256: 'ab'.repeat(32) } }), admins),
    ],
  ]
  for (const [name, code, break_] of rows) {
    const bad = make()
    break_(bad)
    const index = bad.addEvent(event('model/x'))
    t.equal(verdict(bad.evidence(index), bad.trust()), code, name)
    t.equal(verdict(bad.evidence(9), bad.trust()), 'accepted', `${name}: what came before stands`)
  }
  const alone = new PaperLog([admins[0]!, admins[1]!], rules)
  alone.entries.length = 0
  alone.addenda.length = 0
  alone.policies.length = 0
  alone.setPolicy(alone.document, [admins[0]!])
  t.equal(verdict(alone.evidence(alone.addEvent(event('model/x'))), alone.trust()), 'BAD_SIGNATURE', 'a genesis too')
  t.end()
})

t.test('a redacted event keeps its proof, and the redaction has one', (t) => {
  const own = make()
  const index = own.addEvent(event('model/secret'))
  const request = new TextEncoder().encode('{"not":"judged here"}')
  const by = own.add(
    {
      kind: REDACTION,
      time: own.time,
      addendum: addendumHash(request),
      policy: own.current.index,
      indexes: [index],
      reason: 'personal-data',
    },
    request,
  )
  const { addendum: _, ...redacted } = own.evidence(index)
  const found = verify(parseEvidence(formatEvidence(redacted)), own.trust())
  t.equal(found.envelope, undefined)
  t.equal(found.entry.kind, EVENT)
  t.equal(found.signers.length, 1)
  t.match(verify(own.evidence(by), own.trust()).entry, { kind: REDACTION, indexes: [index] })
  t.end()
})

t.test('an earlier checkpoint says since when, if it is of this log, does not cover the entry and is a prefix', (t) => {
  const required = log.trust('w')
  const earlier = (size: number, from = log) => ({ checkpoint: from.note(size), hashes: log.consistency(size) })
  for (let size = 0; size <= INDEX; size++) {
    const found = verify({ ...evidence, earlier: earlier(size) }, required)
    t.equal(found.earlier?.checkpoint.size, BigInt(size))
    t.equal(found.earlier?.cosigners.length, 1)
  }
  const rows: Record<string, [NonNullable<Evidence['earlier']>, string]> = {
    'it covers the entry': [earlier(INDEX + 1), 'INVALID_PROOF'],
    'a hash too few': [{ ...earlier(3), hashes: earlier(3).hashes.slice(1) }, 'INVALID_PROOF'],
    'the proof of another size': [{ ...earlier(3), hashes: earlier(2).hashes }, 'INVALID_PROOF'],
    'of another log': [earlier(3, make()), 'UNVERIFIED_NOTE'],
  }
  // Of a time when the log had other witnesses: the evidence is as good without it.
  const unwitnessed = `${earlier(3).checkpoint.split('\n').slice(0, -2).join('\n')}\n`
  t.equal(verify({ ...evidence, earlier: { ...earlier(3), checkpoint: unwitnessed } }, required).earlier, undefined)
  for (const [name, [one, code]] of Object.entries(rows))
    t.equal(verdict({ ...evidence, earlier: one }, required), code, name)
  t.end()
})

t.test('a CloudEvent has evidence like a statement', (t) => {
  const own = make()
  const digest = `sha256:${'cd'.repeat(32)}`
  const payload = { specversion: '1.0', id: '1', source: 'ci', type: 'urn:treeline:run:v1', consumed: digest }
  const found = verify(own.evidence(own.addEvent(canonical(CLOUDEVENTS, payload, [signer]))), own.trust())
  t.match(found.entry, { type: 'urn:treeline:run:v1', artifacts: [{ role: 2, algorithm: 'sha256' }] })
  t.end()
})
