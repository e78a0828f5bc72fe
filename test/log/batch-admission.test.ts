/** A batch that one thread has judged and another one admits: what changed meanwhile counts. */
import { Readable } from 'node:stream'
import t from 'tap'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry } from '../../src/core/entry.ts'
import { judgeBy } from '../../src/core/entry-rules.ts'
import { BatchBody } from '../../src/log/batch-body.ts'
import { BatchIntake, verifyHeader } from '../../src/log/batch-intake.ts'
import { BatchItems } from '../../src/log/batch-items.ts'
import type { EventLog, JudgedBatch } from '../../src/log/events.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { Actor, signedPolicy, TYPE } from '../support/actors.ts'
import { signedBatch, statements } from '../support/batch.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

const [admin, signer, other] = [new Actor(), new Actor(), new Actor()]

/** As a thread hands it over that believes the log to have `size` entries. */
function judged(events: EventLog, name: string, by: Actor, size = events.log.head.tree.size): JudgedBatch {
  const { header, addenda } = signedBatch(ORIGIN, statements(3, name), [by])
  const policy = judgeBy(events.policy)
  const { keys, document, digest, header: parsed } = verifyHeader(toUtf8(header), policy.ring, nativeVerify)
  const items = new BatchItems(parsed, keys, policy, Date.now())
  for (const addendum of addenda) items.take(addendum)
  return { policy: policy.index, keys, document, digest, items: items.place(size, Date.now(), policy) }
}

t.test('a batch that another thread has judged', async (t) => {
  const data = temporaryFolder(t)
  const { document } = await makeEventLog(data, [admin], [{ actor: signer }, { actor: other }])
  const server = await startServer(data)
  t.teardown(() => server.close())
  const events = server.opened.logs.get('test')!.events!
  const { store } = events.log
  const itemAt = async (index: number) => decodeEntry((await store.entry(index))!)

  for (const size of [1, 23, 24, 255, 256, 65_536, 2 ** 32, 2 ** 40]) {
    const batch = judged(events, `size ${size}`, signer, size)
    const { index, created } = (await events.admitBatch(batch))!
    t.ok(created)
    const header = await itemAt(index)
    for (let position = 0; position < 3; position++)
      t.match(await itemAt(index + 1 + position), { batch: { header: index, position }, time: header.time })
  }

  const { items, ...ask } = judged(events, 'asked', signer)
  t.equal(await events.admitBatch(ask), undefined, 'without items nothing is logged')
  const { index } = (await events.admitBatch({ ...ask, items: items! }))!
  t.match(await events.admitBatch(ask), { index, created: false })

  const stale = [judged(events, 'stale', other), judged(events, 'narrowed', signer)]
  const { policy } = events
  const changed = {
    ...document,
    ...{ sequence: 1, previous: { index: policy.index, sha256: toHex(policy.sha256) } },
    signers: (document.signers as object[]).map((one, i) => (i === 0 ? { ...one, types: [`${TYPE}-other`] } : one)),
  }
  const { index: now } = await events.submitPolicy(toUtf8(signedPolicy(changed, [admin])))
  const late = (await events.admitBatch(stale[0]!))!
  for (let i = 0; i <= 3; i++)
    t.match(await itemAt(late.index + i), { policy: now }, 'described by the policy in force')
  const { size } = events.log.head.tree
  await t.rejects(events.admitBatch(stale[1]!), { code: 'TYPE_NOT_ALLOWED', message: /^item 0: / })
  t.equal(events.log.head.tree.size, size)
})

t.test('more batches than a thread may hold', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [admin], [{ actor: signer }])
  const server = await startServer(data)
  t.teardown(() => server.close())
  const policy = judgeBy(server.opened.logs.get('test')!.events!.policy)
  const { header, addenda, body } = signedBatch(ORIGIN, statements(20), [signer])
  const intake = new BatchIntake(ORIGIN, 30_000)
  const gather = async (use: () => Promise<void>) => {
    const frames = new BatchBody(Readable.from([body]))
    const signed = verifyHeader(await frames.header(), policy.ring, nativeVerify)
    return intake.gather(frames, signed, policy, async (items) => {
      await use()
      return items.count
    })
  }
  const held = Promise.withResolvers<void>()
  const first = gather(() => held.promise)
  await t.rejects(
    gather(async () => {}),
    { code: 'QUEUE_FULL' },
  )
  held.resolve()
  t.equal(await first, addenda.length)
  t.equal(await gather(async () => {}), addenda.length, 'what has an end is counted no more')
  await t.rejects(
    gather(() => Promise.reject(new Error('the log failed'))),
    /the log failed/,
  )
  t.equal(await gather(async () => {}), addenda.length, 'however it ended')
  await t.rejects(
    new BatchIntake('log.example/other', 1e6).gather(
      new BatchBody(Readable.from([])),
      verifyHeader(toUtf8(header), policy.ring, nativeVerify),
      policy,
      async () => {},
    ),
    {
      code: 'WRONG_ORIGIN',
    },
  )
})
