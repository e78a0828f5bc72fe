/** Logs that break one rule each: the audit finds where, and its evidence convinces whoever has the log's key, and nobody of anything else. */
import t from 'tap'
import { addendumHash } from '../../src/core/addendum.ts'
import { Audit } from '../../src/core/audit.ts'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { formatEnvelope } from '../../src/core/dsse.ts'
import { type Entry, EVENT, GENESIS, POLICY, REDACTION } from '../../src/core/entry.ts'
import { BrokenRule, type Rule } from '../../src/core/entry-rules.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { formatFault, type InvalidEntry, type ProvedItem, parseFault } from '../../src/core/fault.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../src/core/payload.ts'
import { REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { verifyFault } from '../../src/core/verify-fault.ts'
import { WRITE_POLICY } from '../../src/core/write-policy.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { Actor, statement, TYPE } from '../support/actors.ts'
import { canonical, ORIGIN, PaperLog } from './paper-log.ts'
import { assertStrict } from './strict.ts'

const admins = [new Actor(), new Actor()]
const signer = new Actor()
const narrow = new Actor('p256')
const stranger = new Actor()
const rules = [{ actor: signer }, { actor: narrow, types: [TYPE], subjects: ['model/*'] }]
const event = (subject: string, actors: readonly Actor[] = [signer], predicate: object = {}, type = TYPE) =>
  canonical(IN_TOTO, statement(subject, predicate, type), actors)

function redaction(
  log: PaperLog,
  indexes: readonly number[],
  by: readonly Actor[],
  change: Partial<Entry> = {},
): number {
  const entries = indexes.map((index) => ({
    index,
    leafHash: Buffer.from(leafHash(log.entries[index]!)).toString('hex'),
  }))
  const request = { origin: log.origin, entries, reason: 'personal-data' }
  const document = formatEnvelope(canonical(REDACTION_REQUEST, request, by))
  const entry = {
    kind: REDACTION,
    time: log.time,
    addendum: addendumHash(document),
    policy: log.current.index,
    indexes,
    reason: 'personal-data',
    ...change,
  } as Entry
  return log.add(entry, document)
}

/** All kinds of entries, each as it should be. */
function honest(): PaperLog {
  const log = new PaperLog(admins, rules)
  log.addEvent(event('model/1'))
  log.addEvent(event('model/2', [signer, narrow], { consumed: [{ name: 'd', digest: { sha256: 'cd'.repeat(32) } }] }))
  log.time += 1_000
  log.setPolicy(log.next({ produces: ['urn:other:*'] }), admins)
  log.addEvent(canonical(CLOUDEVENTS, { specversion: '1.0', id: '1', source: 's', type: 'urn:other:run' }, [signer]))
  redaction(log, [1], admins)
  log.addEvent(event('model/5', [narrow]))
  return log
}

/** What is wrong first, or undefined. A `keeper` reads payloads; memory is put away and taken up at each entry. */
function audit(log: PaperLog, keeper = true): { index: number; found: BrokenRule } | undefined {
  const parts = { origin: ORIGIN, verify: nativeVerify }
  let one = Audit.begin(parts)
  for (const [index, bytes] of log.entries.entries()) {
    const isEvent = bytes[4] === EVENT
    const document = isEvent && !keeper ? undefined : log.addenda[index]!
    try {
      one.judge({ index, bytes, ...(document && { document }) }, (at) => log.entries[at])
    } catch (error) {
      if (error instanceof BrokenRule) return { index, found: error }
      throw error
    }
    one = Audit.resume(parts, one.memory())
  }
  return undefined
}

const item = (log: PaperLog, index: number): ProvedItem => ({
  index,
  bytes: log.entries[index]!,
  proof: log.inclusion(index),
  document: log.addenda[index]!,
})

function evidenceOf(log: PaperLog, index: number, { rule, needs }: BrokenRule): InvalidEntry {
  const items = [index, ...needs].map((one) => item(log, one)) as [ProvedItem, ...ProvedItem[]]
  return { kind: 'invalid-entry', keys: [log.vkey], note: log.note(), rule, items }
}

const keysOf = (log: PaperLog) => log.trust().logs.map(({ key }) => key)
const verdict = (fault: Parameters<typeof verifyFault>[0], log: PaperLog): string => {
  try {
    return verifyFault(fault, keysOf(log), nativeVerify).kind
  } catch (error) {
    if (error instanceof TreelineError) return error.code
    throw error
  }
}

t.test('an honest log breaks no rule, with payloads and without', (t) => {
  t.equal(audit(honest()), undefined)
  t.equal(audit(honest(), false), undefined)
  const log = honest()
  const one = Audit.begin({ origin: ORIGIN, verify: nativeVerify })
  const bytes = log.entries[0]!
  t.throws(() => one.judge({ index: 1, bytes, document: log.addenda[0]! }, () => undefined), RangeError)
  t.throws(() => one.judge({ index: 0, bytes }, () => undefined), { code: 'UNVERIFIABLE' }, 'a policy is missing')
  t.throws(() => one.judge({ index: 0, bytes, document: log.addenda[1]! }, () => undefined), { code: 'UNVERIFIABLE' })
  t.equal(one.next, 0, 'and nothing was taken in')
  t.end()
})

interface Case {
  readonly rule: Rule
  /** Whether the entries alone show it. */
  readonly public: boolean
  /** Adds the bad entry and returns its index. */
  readonly sin: (log: PaperLog) => number
}

const CASES: Record<string, Case> = {
  'an entry that is no entry': {
    rule: 'malformed',
    public: true,
    sin: (log) => {
      log.addenda.push(toUtf8('x'))
      return log.entries.push(toUtf8('not an entry')) - 1
    },
  },
  'a second genesis': {
    rule: 'genesis',
    public: true,
    sin: (log) => log.add({ kind: GENESIS, time: log.time, addendum: addendumHash(log.addenda[0]!) }, log.addenda[0]!),
  },
  'a time that went back': {
    rule: 'time',
    public: true,
    sin: (log) => {
      log.time -= 1
      return log.addEvent(event('model/back'))
    },
  },
  'judged by a policy that was replaced': {
    rule: 'policy-index',
    public: true,
    sin: (log) => log.addEvent(event('model/old'), { policy: 0 } as Partial<Entry>),
  },
  'judged by an entry that is no policy': {
    rule: 'policy-index',
    public: true,
    sin: (log) => log.addEvent(event('model/none'), { policy: 2 } as Partial<Entry>),
  },
  'judged by a policy that is still to come': {
    rule: 'policy-index',
    public: true,
    sin: (log) => log.addEvent(event('model/future'), { policy: 99 } as Partial<Entry>),
  },
  'a type that its key may not submit': {
    rule: 'not-allowed',
    public: true,
    sin: (log) => log.addEvent(event('model/typed', [narrow], {}, 'urn:forbidden:v1')),
  },
  'a key that the policy does not have': {
    rule: 'not-allowed',
    public: true,
    sin: (log) => log.addEvent(event('model/strange', [stranger])),
  },
  'a subject that its key may not name': {
    rule: 'not-allowed',
    public: false,
    sin: (log) => log.addEvent(event('other/1', [narrow])),
  },
  'an envelope that nobody signed': {
    rule: 'signature',
    public: false,
    sin: (log) => {
      const forged = event('model/forged')
      const signature = new Uint8Array(forged.signatures[0]!.signature)
      signature[3]! ^= 1
      return log.addEvent({ ...forged, signatures: [{ ...forged.signatures[0]!, signature }] })
    },
  },
  'an artifact that is hidden': {
    rule: 'description',
    public: false,
    sin: (log) => log.addEvent(event('model/hidden'), { artifacts: [] } as Partial<Entry>),
  },
  'another type than the event says': {
    rule: 'description',
    public: false,
    sin: (log) => log.addEvent(event('model/other'), { type: 'urn:treeline:other:v1' } as Partial<Entry>),
  },
  'a policy that one administrator made': {
    rule: 'policy-change',
    public: true,
    sin: (log) => log.setPolicy(log.next({ private: ['*'] }), [admins[0]!]),
  },
  'a policy that replaces one that was replaced': {
    rule: 'policy-change',
    public: true,
    sin: (log) => {
      const previous = { index: 0, sha256: Buffer.from(addendumHash(log.addenda[0]!)).toString('hex') }
      return log.setPolicy(log.next({ sequence: 1, previous }), admins)
    },
  },
  'a policy that cannot be read': {
    rule: 'policy-change',
    public: true,
    sin: (log) => {
      const document = formatEnvelope(canonical(WRITE_POLICY, { nonsense: true }, admins))
      return log.add({ kind: POLICY, time: log.time, addendum: addendumHash(document) }, document)
    },
  },
  'a redaction by the operator': {
    rule: 'redaction',
    public: true,
    sin: (log) => redaction(log, [2], [stranger]),
  },
  'a redaction of more than was asked for': {
    rule: 'redaction',
    public: true,
    sin: (log) => redaction(log, [2], admins, { indexes: [2, 4] } as Partial<Entry>),
  },
  'a redaction for another reason': {
    rule: 'redaction',
    public: true,
    sin: (log) => redaction(log, [2], admins, { reason: 'other' } as Partial<Entry>),
  },
}

for (const [name, { rule, public: shown, sin }] of Object.entries(CASES)) {
  t.test(`${rule}: ${name}`, (t) => {
    const log = honest()
    const index = sin(log)
    log.time = Math.max(log.time, 1_700_000_001_000)
    log.addEvent(event('model/after'))
    const result = audit(log)
    t.match(result, { index, found: { rule } })
    t.match(audit(log, false), shown ? { index, found: { rule } } : undefined, 'without payloads')

    const fault = evidenceOf(log, index, result!.found)
    const file = formatFault(fault)
    t.ok(equal(formatFault(parseFault(file)), file))
    const { what, origin } = verifyFault(parseFault(file), keysOf(log), nativeVerify)
    t.equal(origin, ORIGIN)
    t.match(what, new RegExp(`entry ${index} of .* breaks the rule "${rule}"`))
    t.equal(verdict(fault, honest()), 'UNVERIFIED_NOTE', 'it says nothing to whoever trusts another key')

    // The same accusation of the entry beside it, which keeps every rule.
    for (const other of [2, index + 1]) {
      const accused = item(log, other)
      const items = [accused, ...fault.items.filter((one) => one.index !== other)] as [ProvedItem, ...ProvedItem[]]
      if (rule === 'policy-index' && other === index + 1) continue
      t.not(verdict({ ...fault, items }, log), 'invalid-entry', `entry ${other}`)
    }
    for (const other of ['time', 'redaction', 'description', 'policy-change', 'genesis'] as const) {
      if (other !== rule) t.not(verdict({ ...fault, rule: other }, log), 'invalid-entry', `as ${other}`)
    }
    t.end()
  })
}

t.test('an honest log cannot be framed by leaving things out or putting others in', (t) => {
  const log = honest()
  const accepted: string[] = []
  const all = log.entries.map((_, index) => item(log, index))
  const { document: _, ...bare } = all[3]!
  for (const rule of [
    'malformed',
    'genesis',
    'time',
    'policy-index',
    'policy-change',
    'not-allowed',
    'signature',
    'description',
    'redaction',
  ] as const) {
    for (const accused of all) {
      // Any entry and a policy beside it, with and without the document of the policy.
      for (const a of [undefined, ...all, bare]) {
        for (const b of [undefined, all[0], all[3]]) {
          const others = [a, b].filter((one) => one !== undefined && one.index !== accused.index) as ProvedItem[]
          if (others.length === 2 && others[0]!.index === others[1]!.index) continue
          const items = [accused, ...others] as [ProvedItem, ...ProvedItem[]]
          const fault = { kind: 'invalid-entry', keys: [], note: log.note(), rule, items } as const
          if (verdict(fault, log) === 'invalid-entry') accepted.push(`${rule} ${items.map(({ index }) => index)}`)
        }
      }
    }
  }
  t.same(accepted, [])
  t.end()
})

const rootOf = (note: string): Uint8Array => new Uint8Array(Buffer.from(note.split('\n')[2]!, 'base64'))

t.test('a fork: two roots of one size, or a tree that is no extension', (t) => {
  const twin = new PaperLog(admins, rules)
  twin.addEvent(event('model/elsewhere'))
  const log = honest()
  const forged = (other: PaperLog, size: number): string => {
    // The same key over another tree: what an operator who lies to two readers signs.
    const saved = [...log.entries]
    log.entries.splice(0, saved.length, ...other.entries)
    const note = log.note(size)
    log.entries.splice(0, log.entries.length, ...saved)
    return note
  }
  const proofIn = (other: PaperLog, from: number) => other.consistency(from)
  const same = { kind: 'fork', keys: [log.vkey], notes: [log.note(2), forged(twin, 2)] } as const
  t.equal(verdict(same, log), 'fork')
  t.match(verifyFault(same, keysOf(log), nativeVerify).what, /two trees of size 2/)
  const root = rootOf(log.note(2))
  const later = {
    kind: 'fork',
    keys: [],
    notes: [forged(twin, 2), log.note()],
    prefix: { root, proof: proofIn(log, 2) },
  } as const
  t.equal(verdict(later, log), 'fork')
  for (const fault of [same, later]) {
    const file = formatFault(fault)
    t.ok(equal(formatFault(parseFault(file)), file))
  }
  const { prefix: __, ...without } = later
  for (const [name, fault, code] of [
    ['the same note twice', { ...same, notes: [log.note(2), log.note(2)] }, 'INVALID_PROOF'],
    ['an extension', { ...later, notes: [log.note(2), log.note()] }, 'INVALID_PROOF'],
    ['the larger one first', { ...later, notes: [log.note(), forged(twin, 2)] }, 'INVALID_PROOF'],
    ['no proof', without, 'INVALID_PROOF'],
    ['a hash too few', { ...later, prefix: { root, proof: proofIn(log, 2).slice(1) } }, 'INVALID_PROOF'],
    [
      'a root that nobody signed',
      { ...later, prefix: { root: new Uint8Array(32), proof: proofIn(log, 2) } },
      'INVALID_PROOF',
    ],
    ['another log', { ...same, notes: [log.note(2), twin.note(2)] }, 'UNVERIFIED_NOTE'],
  ] as const)
    t.equal(verdict(fault as typeof same, log), code, name)
  const accepted: number[] = []
  // Lines of keys that the reader does not know are nobody's word: without them each bit counts.
  const bare = (note: string): string => `${note.split('\n').slice(0, -2).join('\n')}\n`
  const file = formatFault({ ...later, notes: [bare(later.notes[0]), bare(later.notes[1])] })
  verifyFault(parseFault(file), keysOf(log), nativeVerify)
  for (let bit = 0; bit < 8 * file.length; bit += 5) {
    const flipped = new Uint8Array(file)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    try {
      verifyFault(parseFault(flipped), keysOf(log), nativeVerify)
      accepted.push(bit)
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
    }
  }
  t.same(accepted, [], 'no flipped bit proves anything')
  assertStrict(
    [formatFault(same), file, formatFault(evidenceOf(log, 1, new BrokenRule('time', '', [0])))],
    parseFault,
    formatFault,
    'MALFORMED_FAULT',
  )
  t.end()
})
