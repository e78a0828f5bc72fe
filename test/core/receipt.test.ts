import t from 'tap'
import { fromHex, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry, EVENT, type EventEntry, encodeEntry } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { type Receipt, verifyReceipt } from '../../src/core/receipt.ts'
import { Actor, statement } from '../support/actors.ts'
import { canonical, ORIGIN, PaperLog } from './paper-log.ts'

const administrator = new Actor()
const signer = new Actor()
const log = new PaperLog([administrator], [{ actor: signer }], { private: ['urn:treeline:private:*'] })
const consumed = [{ name: 'data', digest: { sha256: 'cd'.repeat(32) } }]
const sent = canonical(IN_TOTO, statement('model/x', { consumed }), [signer])
for (let i = 0; i < 5; i++) log.addEvent(canonical(IN_TOTO, statement(`model/${i}`), [signer]))
const index = log.addEvent(sent)
for (let i = 0; i < 7; i++) log.addEvent(canonical(IN_TOTO, statement(`data/${i}`), [signer]))
const trust = log.trust()
const receipt = log.receipt(index)

/** The code with which it is refused, or "accepted". */
function verdict(changed: Receipt, envelope = sent, policy = trust): string {
  try {
    verifyReceipt(changed, envelope, policy)
    return 'accepted'
  } catch (error) {
    // Anything else is a verifier that a log can crash.
    if (!(error instanceof TreelineError)) throw error
    return error.code
  }
}

t.test('a receipt verifies at every size that covers it', (t) => {
  for (let size = index + 1; size <= log.entries.length; size++) {
    const { entry, checkpoint } = verifyReceipt(log.receipt(index, size), sent, trust, log.current.policy)
    t.equal(entry.time, log.time)
    t.equal(checkpoint.checkpoint.size, BigInt(size))
  }
  t.end()
})

t.test('no byte of a receipt can be another', (t) => {
  const accepted: string[] = []
  const flip = (bytes: Uint8Array, at: number, bit: number): Uint8Array => {
    const copy = bytes.slice()
    copy[at]! ^= 1 << bit
    return copy
  }
  const { entry, salt, hashes, checkpoint } = receipt
  for (const bit of [0, 6]) {
    for (let at = 0; at < entry.length; at++)
      if (verdict({ ...receipt, entry: flip(entry, at, bit) }) === 'accepted') accepted.push(`entry ${at}`)
    for (let at = 0; at < salt.length; at++)
      if (verdict({ ...receipt, salt: flip(salt, at, bit) }) === 'accepted') accepted.push(`salt ${at}`)
    for (const [i, hash] of hashes.entries()) {
      const others = hashes.with(i, flip(hash, i, bit))
      if (verdict({ ...receipt, hashes: others }) === 'accepted') accepted.push(`hash ${i}`)
    }
    // The last line is the witness's, which this policy lists too.
    const note = toUtf8(checkpoint)
    for (let at = 0; at < note.length; at++) {
      const text = new TextDecoder().decode(flip(note, at, bit))
      if (verdict({ ...receipt, checkpoint: text }) === 'accepted') accepted.push(`checkpoint ${at}`)
    }
  }
  // A line whose name or key id is of nobody is ignored, as signed-note wants.
  t.same(
    accepted.filter((one) => !one.startsWith('checkpoint')),
    [],
  )
  const lines = checkpoint.split('\n')
  const ignorable = checkpoint.length - lines.at(-2)!.length - 1
  t.same(
    accepted.filter((one) => one.startsWith('checkpoint') && Number(one.split(' ')[1]) < ignorable),
    [],
  )
  t.end()
})

t.test('no field of a receipt can be another', (t) => {
  const { hashes, salt } = receipt
  const other = log.receipt(index + 1)
  const foreign = new PaperLog([administrator], [{ actor: signer }])
  const rows: Record<string, [Partial<Receipt>, string]> = {
    'another index': [{ index: index + 1 }, 'INVALID_PROOF'],
    'an index past the tree': [{ index: 10_000 }, 'INVALID_PROOF'],
    'another origin': [{ origin: 'log.example/other' }, 'INVALID_PROOF'],
    'a hash too few': [{ hashes: hashes.slice(1) }, 'INVALID_PROOF'],
    'a hash too many': [{ hashes: [...hashes, hashes[0]!] }, 'INVALID_PROOF'],
    'a short hash': [{ hashes: hashes.with(0, hashes[0]!.subarray(1)) }, 'INVALID_PROOF'],
    'hashes in another order': [{ hashes: hashes.toReversed() }, 'INVALID_PROOF'],
    'no salt': [{ salt: new Uint8Array(0) }, 'INVALID_PROOF'],
    'a short salt': [{ salt: salt.subarray(1) }, 'INVALID_PROOF'],
    'the entry of another event': [{ entry: other.entry }, 'INVALID_PROOF'],
    'another event altogether': [{ ...other }, 'INVALID_PROOF'],
    'the genesis': [{ entry: log.entries[0]!, index: 0, hashes: log.inclusion(0) }, 'INVALID_PROOF'],
    'no entry': [{ entry: new Uint8Array(0) }, 'MALFORMED_ENTRY'],
    'a checkpoint of another log': [{ checkpoint: foreign.note() }, 'UNVERIFIED_NOTE'],
    'a checkpoint of another size': [{ checkpoint: log.note(index + 1) }, 'INVALID_PROOF'],
    'no checkpoint': [{ checkpoint: '' }, 'MALFORMED_NOTE'],
  }
  for (const [name, [change, code]] of Object.entries(rows)) t.equal(verdict({ ...receipt, ...change }), code, name)
  t.end()
})

t.test('a receipt is for the envelope that was sent and no other', (t) => {
  const other = canonical(IN_TOTO, statement('model/y', { consumed }), [signer])
  t.equal(verdict(receipt, other), 'INVALID_PROOF')
  t.equal(verdict(receipt, { ...sent, payloadType: 'application/json' }), 'INVALID_PROOF')
  t.equal(verdict(receipt, { ...sent, signatures: [] }), 'INVALID_PROOF')
  t.end()
})

t.test('a log that says of the event what it does not say is found out', (t) => {
  const rows: Record<string, Partial<EventEntry>> = {
    'another signer': { keys: [fromHex(administrator.key.id)!] },
    'another type': { type: 'urn:treeline:other:v1' },
    'another payload type': { payloadType: 'application/cloudevents+json' },
    'no artifacts': { artifacts: [] },
    'artifacts hidden': { artifacts: [], hidden: 2 },
    'one more hidden': { hidden: 1 },
    'another role': {
      artifacts: (decodeEntry(receipt.entry) as EventEntry).artifacts.map((one) => ({ ...one, role: 3 })),
    },
  }
  for (const [name, change] of Object.entries(rows)) {
    const at = log.addEvent(sent, change)
    const found = log.receipt(at)
    t.throws(() => verifyReceipt(found, sent, trust, log.current.policy), { code: 'INVALID_PROOF' }, name)
    // Without the policy two things may be its doing, since only it knows which types are private.
    t.equal(verdict(found), name === 'artifacts hidden' ? 'accepted' : 'INVALID_PROOF', name)
  }
  const hidden = canonical(IN_TOTO, statement('model/p', { consumed }, 'urn:treeline:private:v1'), [signer])
  const at = log.addEvent(hidden)
  t.match(verifyReceipt(log.receipt(at), hidden, trust, log.current.policy).entry, { artifacts: [], hidden: 2 })
  t.match(verifyReceipt(log.receipt(at), hidden, trust).entry, { hidden: 2 })
  t.end()
})

t.test('a receipt that says it is witnessed needs the quorum, others do not', (t) => {
  const note = log.note()
  const alone = `${note.split('\n').slice(0, -2).join('\n')}\n`
  const whole = log.receipt(index)
  const required = log.trust('w')
  t.equal(verdict({ ...whole, checkpoint: alone }, sent, required), 'accepted')
  t.equal(verdict({ ...whole, checkpoint: alone, witnessed: true }, sent, required), 'UNVERIFIED_NOTE')
  t.equal(verdict({ ...whole, checkpoint: note, witnessed: true }, sent, required), 'accepted')
  t.end()
})

t.test('an entry is decoded as strictly as it is encoded', (t) => {
  const entry = decodeEntry(receipt.entry)
  t.equal(entry.kind, EVENT)
  t.equal(toHex(encodeEntry(entry)), toHex(receipt.entry))
  t.equal(receipt.origin, ORIGIN)
  t.end()
})
