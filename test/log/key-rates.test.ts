import t from 'tap'
import { KeyRates } from '../../src/log/key-rates.ts'
import { Actor, event } from '../support/actors.ts'
import { json, post } from '../support/http.ts'
import { makeEventLog, startServer, temporaryFolder } from '../support/server.ts'

t.test('a key has a minute of events at once, and then one after the other', (t) => {
  let now = 0
  const rates = new KeyRates(60, () => now)
  rates.take(['a'], 60)
  t.throws(() => rates.take(['a'], 1), { code: 'RATE_LIMITED' })
  rates.take(['b'], 1)
  t.throws(() => rates.take(['b', 'a'], 1), { code: 'RATE_LIMITED' }, 'each key that signed is asked')
  now += 1_000
  rates.take(['a'], 1)
  t.throws(() => rates.take(['a'], 1), { code: 'RATE_LIMITED' })
  now += 3_600_000
  rates.take(['a'], 120)
  now += 60_000
  t.throws(() => rates.take(['a'], 1), { code: 'RATE_LIMITED' }, 'a batch of two minutes is paid for')
  now += 1_000
  rates.take(['a'], 1)
  t.end()
})

t.test('a signer who submits too much waits, others do not, and what is known costs nothing', async (t) => {
  const [busy, other] = [new Actor(), new Actor()]
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: busy }, { actor: other }])
  const server = await startServer(data, { keyRate: 3 })
  t.teardown(() => server.close())
  const send = (actor: Actor, name: string) => post(server.url, '/test/v1/events', event(actor, name))
  const texts = ['one', 'two', 'three'].map((name) => event(busy, name))
  for (const text of texts) t.equal((await post(server.url, '/test/v1/events', text)).status, 201)
  const refused = await send(busy, 'four')
  t.match([refused.status, json(refused).code, refused.headers['retry-after']], [503, 'RATE_LIMITED', '1'])
  t.equal((await send(other, 'one')).status, 201)
  for (const text of texts) t.equal((await post(server.url, '/test/v1/events', text)).status, 200)
})
