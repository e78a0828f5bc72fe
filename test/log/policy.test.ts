/** The policy in force at an index is a fold over the entries before it: what the sequencer does and what an auditor finds. */
import t from 'tap'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry, EVENT, POLICY } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { formatEvidence, parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { verifySignature } from '../../src/core/signature.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { evidenceOf } from '../../src/log/evidence.ts'
import { Actor, event, policyDocument, signedPolicy } from '../support/actors.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const admins = [new Actor(), new Actor()]
const signers = [new Actor(), new Actor(), new Actor()] as const

t.test('events and changes of the policy at once: each event is judged where it stands', async (t) => {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(
    data,
    admins,
    signers.map((actor) => ({ actor })),
  )
  const server = await startServer(data)
  t.teardown(() => server.close())
  const { log, events } = server.opened.logs.get('test')!
  const outcomes = new Map<string, number>()
  const count = (name: string): void => {
    outcomes.set(name, (outcomes.get(name) ?? 0) + 1)
  }
  const work: Promise<void>[] = []
  const send = (text: string, what: 'submit' | 'submitPolicy') => {
    const sent = events![what](toUtf8(text)).then(
      () => count(what),
      (error: unknown) => {
        if (!(error instanceof TreelineError)) throw error
        count(error.code)
      },
    )
    work.push(sent)
    return sent
  }
  let change: Promise<void> = Promise.resolve()
  for (let i = 0; i < 300; i++) {
    const actor = signers[i % 3]!
    send(event(actor, `model/${i}`, { round: i }), 'submit')
    if (i % 20 === 10) {
      await change
      // Of the three signers another one has no right each time; now and then two changes race for the same place.
      const { index, sha256, policy } = events!.policy
      const rules = signers.map((one, at) => ({ actor: one, ...(at === (i / 10) % 3 && { subjects: ['none'] }) }))
      const more = { sequence: policy.sequence + 1, previous: { index, sha256: toHex(sha256) } }
      change = send(signedPolicy(policyDocument(ORIGIN, vkey, admins, rules, more), admins), 'submitPolicy')
      const rival = { ...more, private: ['urn:never'] }
      if (i % 40 === 10) send(signedPolicy(policyDocument(ORIGIN, vkey, admins, rules, rival), admins), 'submitPolicy')
    }
    if (i % 7 === 0) await new Promise(setImmediate)
  }
  await Promise.all(work)
  t.equal(outcomes.get('submitPolicy'), 15)
  t.equal(outcomes.get('POLICY_CONFLICT'), 8, 'of two that race one wins')
  t.ok(outcomes.get('SUBJECT_NOT_ALLOWED')! > 10 && outcomes.get('submit')! > 100, JSON.stringify([...outcomes]))
  t.equal(
    [...outcomes.values()].reduce((sum, one) => sum + one),
    300 + 15 + 8,
  )

  while (log.published?.size !== log.head.tree.size) await new Promise((resolve) => setTimeout(resolve, 5))
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  let inForce = 0
  let time = 0
  const wrong: string[] = []
  for (const [index, bytes] of (await log.store.entries(0, log.head.tree.size)).entries()) {
    const entry = decodeEntry(bytes)
    if (entry.time < time) wrong.push(`${index} goes back in time`)
    time = entry.time
    if (entry.kind === EVENT && entry.policy !== inForce) wrong.push(`${index} under ${entry.policy}, not ${inForce}`)
    if (entry.kind === POLICY) inForce = index
    // Pure JavaScript, and the whole chain each time: a sample is enough.
    if (index % 40 !== 0 && entry.kind !== POLICY) continue
    const found = verifyEvidence(parseEvidence(formatEvidence(await evidenceOf(log, index))), trust, verifySignature)
    if (found.policy.index !== inForce) wrong.push(`evidence of ${index} under ${found.policy.index}`)
  }
  t.same(wrong, [])
})

t.test('a restart comes to the same policy', async (t) => {
  const data = temporaryFolder(t)
  const { vkey } = await makeEventLog(data, admins, [{ actor: signers[0] }])
  let server = await startServer(data)
  let { events } = server.opened.logs.get('test')!
  for (let i = 1; i <= 5; i++) {
    const { index, sha256 } = events!.policy
    const more = { sequence: i, previous: { index, sha256: toHex(sha256) }, private: [`urn:${i}`] }
    const text = signedPolicy(policyDocument(ORIGIN, vkey, admins, [{ actor: signers[0] }], more), admins)
    t.match(await events!.submitPolicy(toUtf8(text)), { created: true })
    t.match(await events!.submitPolicy(toUtf8(text)), { created: false }, 'asked again')
  }
  const before = events!.policy
  await server.close()
  server = await startServer(data)
  t.teardown(() => server.close())
  events = server.opened.logs.get('test')!.events
  t.same(events!.policy, before)
  t.equal(before.policy.sequence, 5)
})
