/** Logs that break one rule each: the audit finds where, and its evidence convinces whoever has the log's key, and nobody of anything else. */
import t from 'tap'
import { Audit } from '../../src/core/audit.ts'
import { equal, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import type { Entry } from '../../src/core/entry.ts'
import { BrokenRule, RULES } from '../../src/core/entry-rules.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { formatFault, type ProvedItem, parseFault } from '../../src/core/fault.ts'
import { verifyFault } from '../../src/core/verify-fault.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { statement } from '../support/actors.ts'
import {
  audit,
  CASES,
  event,
  evidenceOf,
  forks,
  framings,
  honest,
  item,
  items,
  signer,
  stranger,
} from './faulty-logs.ts'
import { ORIGIN, type PaperLog } from './paper-log.ts'
import { assertStrict } from './strict.ts'

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

t.test('a signed head that ends in a batch is evidence, and no other head is', (t) => {
  for (const left of [0, 1, 2, 3]) {
    const log = honest()
    const header = log.addBatch(items(3), [signer])
    for (const list of [log.entries, log.addenda]) list.splice(header + 1 + left)
    const accusation = (at: number) =>
      ({
        kind: 'invalid-entry',
        keys: [log.vkey],
        note: log.note(),
        rule: 'batch',
        items: [item(log, at), item(log, 0)],
      }) as const
    for (const keeper of [true, false]) {
      const result = audit(log, keeper)
      if (left === 3) t.equal(result, undefined)
      else t.match(result, { index: header, found: { rule: 'batch', needs: [] } })
    }
    t.equal(verdict(accusation(header), log), left === 3 ? 'INVALID_PROOF' : 'invalid-entry', `${left} of 3 items`)
    // The batches before it are whole.
    for (let at = 1; at < header; at++) t.equal(verdict(accusation(at), log), 'INVALID_PROOF')
    const { document: _, ...bare } = item(log, header)
    t.equal(
      verdict({ ...accusation(header), items: [bare, item(log, 0)] }, log),
      'INVALID_PROOF',
      'without its document',
    )
    if (left === 3) continue
    const { found } = audit(log)!
    const { what } = verifyFault(parseFault(formatFault(evidenceOf(log, header, found))), keysOf(log), nativeVerify)
    t.match(what, `the head of size ${header + 1 + left} ends among the 3 items of the batch`)
  }
  t.end()
})

t.test('once a person has accepted that a batch is cut off, what follows is judged', (t) => {
  const log = honest()
  const header = log.addBatch(items(3), [signer])
  const late = log.entries[header + 2]!
  for (const list of [log.entries, log.addenda]) list.splice(header + 2)
  const parts = { origin: ORIGIN, verify: nativeVerify }
  let one = Audit.begin(parts)
  const judge = (bytes: Uint8Array, document?: Uint8Array) =>
    one.judge({ index: one.next, bytes, ...(document && { document }) }, (at) => log.entries[at])
  for (const [index, bytes] of log.entries.entries()) judge(bytes, log.addenda[index]!)
  t.equal(one.openBatch, header)
  const added = (change: Partial<Entry> = {}) => {
    const index = log.addEvent(event('model/after'), change)
    return [log.entries[index]!, log.addenda[index]!] as const
  }
  const after = added()
  t.throws(() => judge(...after), { message: /stands among the items/ })
  one.closeBatch()
  const memory = one.memory()
  const reset = () => {
    one = Audit.resume(parts, memory)
  }
  reset()
  t.equal(one.judgeHead(), undefined)
  judge(late)
  t.equal(one.next, header + 3, 'its other items are not held against it once more')
  reset()
  judge(...after)
  reset()
  const hidden = added({ artifacts: [] } as Partial<Entry>)
  t.throws(() => judge(...hidden), { message: /does not say what the event says/ })
  t.end()
})

t.test('an honest log cannot be framed by leaving things out or putting others in', (t) => {
  const log = honest(false)
  const accepted: string[] = []
  const all = log.entries.map((_, index) => item(log, index))
  const note = log.note()
  const { document: _, ...bare } = all[3]!
  for (const rule of RULES) {
    for (const accused of all) {
      // Any entry and a policy beside it, with and without the document of the policy.
      for (const a of [undefined, ...all, bare]) {
        for (const b of [undefined, all[3]]) {
          const others = new Map([all[0], b, a].flatMap((one) => (one === undefined ? [] : [[one.index, one]])))
          others.delete(accused.index)
          const items = [accused, ...others.values()] as [ProvedItem, ...ProvedItem[]]
          const fault = { kind: 'invalid-entry', keys: [], note, rule, items } as const
          if (verdict(fault, log) === 'invalid-entry') accepted.push(`${rule} ${items.map(({ index }) => index)}`)
        }
      }
    }
  }
  const batches = honest()
  const others = batches.entries.map((_, index) => item(batches, index)).slice(all.length)
  const { document: __, ...bareHeader } = others[0]!
  const noteOfAll = batches.note()
  for (const accused of others) {
    for (const a of [...others, bareHeader]) {
      for (const b of others) {
        const rest = new Map([item(batches, 0), a, b].map((one) => [one.index, one]))
        rest.delete(accused.index)
        const items = [accused, ...rest.values()] as [ProvedItem, ...ProvedItem[]]
        const fault = { kind: 'invalid-entry', keys: [], note: noteOfAll, rule: 'batch', items } as const
        if (verdict(fault, batches) === 'invalid-entry') accepted.push(`batch ${items.map(({ index }) => index)}`)
      }
    }
  }
  t.same(accepted, [])
  for (const [name, { log, fault }] of Object.entries(framings())) t.not(verdict(fault, log), fault.kind, name)
  t.end()
})

/** Judges a whole log, passing over what is broken, as after a person has cleared it; memory is put away at each entry. */
function brokenIn(log: PaperLog): string[] {
  const parts = { origin: ORIGIN, verify: nativeVerify }
  let one = Audit.begin(parts)
  const found: string[] = []
  for (const [index, bytes] of log.entries.entries()) {
    try {
      one.judge({ index, bytes, document: log.addenda[index]! }, (at) => log.entries[at])
    } catch (error) {
      if (!(error instanceof BrokenRule)) throw error
      found.push(`${error.rule} ${index}`)
      one.pass()
    }
    one = Audit.resume(parts, one.memory())
  }
  return found
}

t.test('one fault of a batch is one alarm, and what comes after it is judged', (t) => {
  const rows: Record<string, (log: PaperLog, header: number) => string[]> = {
    'a header that is none': (log, header) => {
      log.addBatch(many, [signer], { more: 1 })
      return [`batch ${header}`]
    },
    'a header of a stranger': (log, header) => {
      log.addBatch(many, [stranger])
      return [`signature ${header}`]
    },
    'a header that went back in time': (log, header) => {
      log.time -= 5_000
      log.addBatch(many, [signer])
      log.time += 5_000
      return [`time ${header}`]
    },
    'another root': (log, header) => {
      log.addBatch(many, [signer], { root: toBase64(new Uint8Array(32)) })
      return [`batch ${header + many.length}`]
    },
    'an entry in between': (log, header) => {
      log.addBatch(many, [signer], {}, (entry, position) => {
        if (position !== 4) return entry
        log.addEvent(event('model/between'))
        return undefined
      })
      return [`batch ${header + 5}`]
    },
    'what is no entry in between': (log, header) => {
      log.addBatch(many, [signer])
      log.entries[header + 3] = toUtf8('none')
      return [`malformed ${header + 3}`]
    },
    'one item that hides something': (log, header) => {
      log.addBatch(many, [signer], {}, (entry, position) => (position === 3 ? { ...entry, artifacts: [] } : entry))
      return [`description ${header + 4}`]
    },
    'a header among the items of another': (log, header) => {
      log.addBatch(many, [signer], { size: many.length + 3 })
      log.addBatch(many, [signer])
      return [`batch ${header + 1 + many.length}`]
    },
  }
  const many = Array.from({ length: 9 }, (_, i) => statement(`model/item-${i}`))
  for (const [name, sin] of Object.entries(rows)) {
    const log = honest()
    const expected = sin(log, log.entries.length)
    log.addBatch(many, [signer])
    log.time -= 1
    const last = log.addEvent(event('model/last'))
    t.same(brokenIn(log), [...expected, `time ${last}`], name)
  }
  t.end()
})

t.test('a fork: two roots of one size, or a tree that is no extension', (t) => {
  const { log, twin, forged, root, same, later } = forks()
  const proofIn = (other: PaperLog, from: number) => other.consistency(from)
  t.equal(verdict(same, log), 'fork')
  t.match(verifyFault(same, keysOf(log), nativeVerify).what, /two trees of size 2/)
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
