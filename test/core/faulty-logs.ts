/** Logs that break one rule each, what an audit finds in them, and the evidence of it. */
import { addendumHash } from '../../src/core/addendum.ts'
import { Audit } from '../../src/core/audit.ts'
import { fromHex, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { formatEnvelope } from '../../src/core/dsse.ts'
import { type Entry, EVENT, GENESIS, POLICY, REDACTION } from '../../src/core/entry.ts'
import { BrokenRule, type Rule } from '../../src/core/entry-rules.ts'
import type { Fault, InvalidEntry, ProvedItem } from '../../src/core/fault.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../src/core/payload.ts'
import { REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { WRITE_POLICY } from '../../src/core/write-policy.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { Actor, statement, TYPE } from '../support/actors.ts'
import { canonical, ORIGIN, PaperLog } from './paper-log.ts'

const admins = [new Actor(), new Actor()]
export const signer = new Actor()
const narrow = new Actor('p256')
export const stranger = new Actor()
const rules = [{ actor: signer }, { actor: narrow, types: [TYPE], subjects: ['model/*'] }]
export const event = (subject: string, actors: readonly Actor[] = [signer], predicate: object = {}, type = TYPE) =>
  canonical(IN_TOTO, statement(subject, predicate, type), actors)

/** Payloads of a batch. */
export const items = (count: number) => Array.from({ length: count }, (_, i) => statement(`model/item-${i}`))
const keysOf = ({ key }: Actor) => [fromHex(key.id)!]

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
export function honest(batches = true): PaperLog {
  const log = new PaperLog(admins, rules)
  log.addEvent(event('model/1'))
  log.addEvent(event('model/2', [signer, narrow], { consumed: [{ name: 'd', digest: { sha256: 'cd'.repeat(32) } }] }))
  log.time += 1_000
  log.setPolicy(log.next({ produces: ['urn:other:*'] }), admins)
  log.addEvent(canonical(CLOUDEVENTS, { specversion: '1.0', id: '1', source: 's', type: 'urn:other:run' }, [signer]))
  redaction(log, [1], admins)
  log.addEvent(event('model/5', [narrow]))
  if (!batches) return log
  log.addBatch(items(3), [signer, narrow])
  log.addBatch(
    [{ specversion: '1.0', id: '1', source: 's', type: 'urn:other:run' }],
    [signer],
    {},
    undefined,
    CLOUDEVENTS,
  )
  return log
}

/** What is wrong first, or undefined. A `keeper` reads payloads; memory is put away and taken up at each entry. */
export function audit(log: PaperLog, keeper = true): { index: number; found: BrokenRule } | undefined {
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
  const cut = one.judgeHead()
  return cut && { index: cut.accused.index, found: cut.broken }
}

export const item = (log: PaperLog, index: number): ProvedItem => ({
  index,
  bytes: log.entries[index]!,
  proof: log.inclusion(index),
  document: log.addenda[index]!,
})

const leaf = (log: PaperLog, index: number): ProvedItem => {
  const { document: _, ...bare } = item(log, index)
  return bare
}

export function evidenceOf(log: PaperLog, index: number, { rule, needs }: BrokenRule): InvalidEntry {
  const others = [...new Set([...needs, 0])].map((one) => item(log, one))
  const items = [rule === 'malformed' ? leaf(log, index) : item(log, index), ...others] as const
  return { kind: 'invalid-entry', keys: [log.vkey], note: log.note(), rule, items }
}

interface Case {
  readonly rule: Rule
  /** Whether the entries alone show it. */
  readonly public: boolean
  /** Adds the bad entry and returns its index. */
  readonly sin: (log: PaperLog) => number
}

export const CASES: Record<string, Case> = {
  'an entry that is no entry': {
    rule: 'malformed',
    public: true,
    sin: (log) => {
      log.addenda.push(toUtf8('x'))
      return log.entries.push(toUtf8('not an entry')) - 1
    },
  },
  'a number that is longer than it must be': {
    rule: 'malformed',
    public: true,
    sin: (log) => {
      const index = log.addEvent(event('model/long'))
      const good = Buffer.from(log.entries[index]!)
      const bad = Buffer.concat([good.subarray(0, 2), Uint8Array.of(0x18), good.subarray(2)])
      bad.writeUInt32BE(good.readUInt32BE(good.length - 5) + 1, bad.length - 5)
      log.entries[index] = new Uint8Array(bad)
      return index
    },
  },
  'a second genesis': {
    rule: 'genesis',
    public: true,
    sin: (log) => log.add({ kind: GENESIS, time: log.time, addendum: addendumHash(log.addenda[0]!) }, log.addenda[0]!),
  },
  'an event among the items of a batch': {
    rule: 'batch',
    public: true,
    sin: (log) => {
      const header = log.addBatch(items(3), [signer], {}, (entry, position) => (position < 2 ? entry : undefined))
      log.addEvent(event('model/single'))
      return header + 3
    },
  },
  'an item in the place of another': {
    rule: 'batch',
    public: true,
    sin: (log) =>
      log.addBatch(items(1), [signer], {}, (entry) => ({ ...entry, batch: { ...entry.batch!, position: 1 } })) + 1,
  },
  'an item by another key than its header': {
    rule: 'batch',
    public: true,
    sin: (log) => log.addBatch(items(1), [signer], {}, (entry) => ({ ...entry, keys: keysOf(narrow) })) + 1,
  },
  'an item of another time than its header': {
    rule: 'batch',
    public: true,
    sin: (log) => log.addBatch(items(1), [signer], {}, (entry) => ({ ...entry, time: entry.time + 1 })) + 1,
  },
  'an item of a header that stands elsewhere': {
    rule: 'batch',
    public: true,
    sin: (log) => log.addEvent(event('model/item'), { batch: { header: 1, position: 0 } } as Partial<Entry>),
  },
  'an item of an entry that is no header': {
    rule: 'batch',
    public: true,
    sin: (log) => {
      const index = log.entries.length
      return log.addEvent(event('model/item'), { batch: { header: index - 1, position: 0 } } as Partial<Entry>)
    },
  },
  'an item more than the header says': {
    rule: 'batch',
    public: true,
    sin: (log) => {
      const header = log.addBatch(items(2), [signer])
      return log.addEvent(event('model/item'), { batch: { header, position: 2 } } as Partial<Entry>)
    },
  },
  'a batch that gives another root': {
    rule: 'batch',
    public: true,
    sin: (log) => log.addBatch(items(5), [signer], { root: toBase64(new Uint8Array(32)) }) + 5,
  },
  'a batch for another log': {
    rule: 'batch',
    public: true,
    sin: (log) => log.addBatch(items(1), [signer], { origin: 'log.example/else' }),
  },
  'a header that is none': {
    rule: 'batch',
    public: true,
    sin: (log) => log.addBatch(items(1), [signer], { more: 1 }),
  },
  'a header that nobody of the policy signed': {
    rule: 'signature',
    public: true,
    sin: (log) => log.addBatch(items(1), [stranger]),
  },
  'an item that its key may not submit': {
    rule: 'not-allowed',
    public: false,
    sin: (log) => log.addBatch([statement('model/1'), statement('other/1')], [narrow]) + 2,
  },
  'an item with a hidden artifact': {
    rule: 'description',
    public: false,
    sin: (log) => log.addBatch(items(1), [signer], {}, (entry) => ({ ...entry, artifacts: [] })) + 1,
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
  'a policy that says only later what the log succeeds': {
    rule: 'policy-change',
    public: true,
    sin: (log) => {
      const successorOf = { origin: 'log.example/before', size: 7, root: toBase64(new Uint8Array(32)) }
      const document = canonical(WRITE_POLICY, log.next({ successorOf }), admins)
      const bytes = formatEnvelope(document)
      return log.add({ kind: POLICY, time: log.time, addendum: addendumHash(bytes) }, bytes)
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

const rootOf = (note: string): Uint8Array => new Uint8Array(Buffer.from(note.split('\n')[2]!, 'base64'))

/** What an operator who lies to two readers signs: two trees of one size, and a tree that is no extension of another. */
export function forks() {
  const twin = new PaperLog(admins, rules)
  twin.addEvent(event('model/elsewhere'))
  const log = honest()
  /** The key of `log` over the tree of another. */
  const forged = (other: PaperLog, size: number): string => {
    const saved = [...log.entries]
    log.entries.splice(0, saved.length, ...other.entries)
    const note = log.note(size)
    log.entries.splice(0, log.entries.length, ...saved)
    return note
  }
  const root = rootOf(log.note(2))
  const same = { kind: 'fork', keys: [log.vkey], notes: [log.note(2), forged(twin, 2)] } as const
  const prefix = { root, proof: log.consistency(2) }
  const later = { kind: 'fork', keys: [], notes: [forged(twin, 2), log.note()], prefix } as const
  return { log, twin, forged, root, same, later }
}

/** Files made from what honest logs have signed, that accuse them. Nobody may believe one. */
export function framings(): Record<string, { readonly log: PaperLog; readonly fault: Fault }> {
  const log = honest()
  const accuse = (of: PaperLog, rule: Rule, items: readonly ProvedItem[]) => ({
    log: of,
    fault: { kind: 'invalid-entry', keys: [], note: of.note(), rule, items: items as InvalidEntry['items'] } as const,
  })
  const fork = (from: number, root: Uint8Array, proof: readonly Uint8Array[]) => ({
    log,
    fault: { kind: 'fork', keys: [], notes: [log.note(from), log.note()], prefix: { root, proof } } as const,
  })
  /** A log whose leaves are anything: some happen to be what entries are elsewhere. */
  const raw = new PaperLog(admins, rules)
  raw.entries.splice(0, 1, ...['hello', 'world'].map(toUtf8), log.entries[5]!, log.entries[1]!)
  raw.addenda.splice(0, 1, ...['hello', 'world'].map(toUtf8), log.addenda[5]!, log.addenda[1]!)
  const [firstHeader, item2] = [6, 8]
  /** Another log's beginning stands at the head of this one. */
  const copy = new PaperLog(admins, rules, {}, 'log.example/copy')
  copy.entries.splice(0, 1, log.entries[0]!, toUtf8('world'))
  copy.addenda.splice(0, 1, log.addenda[0]!, toUtf8('world'))
  const [hash] = log.consistency(4)
  const long = Buffer.concat([rootOf(log.note(4)), hash!])
  return {
    'another root of nothing': fork(0, new Uint8Array(32), []),
    'a root of 33 bytes and a hash of 31': fork(4, long.subarray(0, 33), [long.subarray(33)]),
    'an index below zero': accuse(log, 'genesis', [{ ...item(log, 0), index: -8 }, item(log, 0)]),
    'a leaf of a raw log that is no entry': accuse(raw, 'malformed', [leaf(raw, 1), item(raw, 0)]),
    'an item of a batch whose header is shown': accuse(log, 'batch', [
      item(log, item2),
      item(log, firstHeader),
      item(log, 0),
    ]),
    'an item whose header is shown without its document': accuse(log, 'batch', [
      item(log, item2),
      leaf(log, firstHeader),
      item(log, 0),
    ]),
    'the last item of a batch, with some of the others': accuse(log, 'batch', [
      item(log, firstHeader + 3),
      item(log, firstHeader),
      item(log, firstHeader + 1),
      item(log, 0),
    ]),
    'the last item of a batch, with all others': accuse(
      log,
      'batch',
      [firstHeader + 3, firstHeader, firstHeader + 1, firstHeader + 2, 0].map((index) => item(log, index)),
    ),
    'the first leaf of a raw log': accuse(raw, 'genesis', [leaf(raw, 0)]),
    'leaves of a raw log in another order': accuse(raw, 'time', [item(raw, 3), item(raw, 2), item(raw, 0)]),
    'a log that begins with the genesis of another': accuse(copy, 'malformed', [leaf(copy, 1), item(copy, 0)]),
  }
}
