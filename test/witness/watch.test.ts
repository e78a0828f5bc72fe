/** Audits side by side: one log that is slow is no matter of the others. */
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { Watch } from '../../witness/watch.ts'
import { setUp } from './watched-log.ts'

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !what(); i++) await setTimeout(10)
}

t.test('a log that does not answer holds up no other, and is audited once it does', async (t) => {
  const slow = await setUp(t)
  const other = await setUp(t)
  for (const one of [slow, other]) await one.submit('model/1')
  await until(() => slow.cosigned() === 2 && other.cosigned() === 2)
  const held: { destroy(): void }[] = []
  slow.way.spoil = (path, response) => path.includes('/entries/') && held.push(response) > 0
  const watch = new Watch([slow, other], 10, { ...console, error: (error) => void t.fail(String(error)) })
  watch.start()
  await until(() => held.length > 0)
  await until(() => other.audited() === 2)
  await other.submit('model/2')
  await until(() => other.audited() === 3)
  t.equal(other.audited(), 3, 'again and again')
  t.equal(slow.audited(), 0)
  t.equal(held.length, 1, 'its own audit is still the first')
  slow.way.spoil = () => false
  for (const response of held) response.destroy()
  await until(() => slow.audited() === 2)
  t.equal(slow.audited(), 2)
  await watch.stop()
})

t.test('at most four audits run at once, none of one log twice, and every log has its turn', async (t) => {
  let running = 0
  let most = 0
  const errors: unknown[] = []
  const counts = new Array<number>(9).fill(0)
  const logs = counts.map((_, i) => {
    let busy = false
    const step = async () => {
      t.notOk(busy)
      busy = true
      most = Math.max(most, ++running)
      await setTimeout(5)
      running--
      busy = false
      counts[i]!++
      if (i === 3) throw new Error('a bug')
    }
    return { auditor: { step }, reader: { close: async () => {} } }
  })
  const watch = new Watch(logs, 1, { ...console, error: (error: unknown) => errors.push(error) })
  watch.start()
  await until(() => counts.every((count) => count >= 3))
  await watch.stop()
  t.ok(counts.every((count) => count >= 3))
  t.ok(Math.max(...counts) - Math.min(...counts) <= 3, 'whoever waits longest comes first')
  t.equal(most, 4)
  t.equal(errors.length, counts[3], 'an audit that fails ends no other')
  const after = [...counts]
  await setTimeout(30)
  t.same(counts, after, 'stopped is stopped')
})

t.test('it stops at once while some wait for their turn or for the next audit', async (t) => {
  const gates: (() => void)[] = []
  let steps = 0
  const logs = Array.from({ length: 8 }, () => ({
    auditor: {
      step: () => {
        steps++
        return new Promise<void>((resolve) => gates.push(resolve))
      },
    },
    // As requests end when their connections are cut.
    reader: { close: async () => void gates.shift()?.() },
  }))
  const watch = new Watch(logs, 3_600_000, console)
  watch.start()
  await setTimeout(10)
  t.equal(steps, 4)
  gates.shift()!()
  await setTimeout(10)
  t.equal(steps, 5)
  await watch.stop()
  t.equal(steps, 5)
})
