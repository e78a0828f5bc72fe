import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { ahead } from '../../witness/ahead.ts'

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

/** All that is yielded, and the error after it. */
async function taken<R>(results: AsyncGenerator<R>): Promise<{ got: R[]; error?: unknown }> {
  const got: R[] = []
  try {
    for await (const one of results) got.push(one)
    return { got }
  } catch (error) {
    return { got, error }
  }
}

async function* failing(count: number): AsyncGenerator<number> {
  yield* numbers(count)
  throw new Error('the source')
}

t.test('results come in order, whichever is done first, and never more than the width is ahead', async (t) => {
  for (const width of [1, 2, 3, 16]) {
    let begun = 0
    let most = 0
    const work = async (n: number) => {
      begun++
      await setTimeout((n * 7) % 5)
      return n
    }
    const got: number[] = []
    for await (const n of ahead(numbers(50).values(), width, work)) {
      // The one that was just given is none of those ahead.
      most = Math.max(most, begun - got.length)
      got.push(n)
    }
    t.same(got, numbers(50), `${width}`)
    t.equal(most, width)
  }
  t.same(await taken(ahead([].values(), 4, () => 1)), { got: [] })
})

t.test('an error comes in its place, also when it was there first', async (t) => {
  const work = async (n: number) => {
    if (n === 5) throw new Error('the work')
    await setTimeout(5)
    return n
  }
  t.match(await taken(ahead(numbers(50).values(), 16, work)), { got: numbers(5), error: { message: 'the work' } })
  for (const width of [1, 2, 16]) {
    const slow = (n: number) => setTimeout(1, n)
    t.match(await taken(ahead(failing(20), width, slow)), { got: numbers(20), error: { message: 'the source' } })
  }
})

t.test('who stops waits for nothing, and nothing more is begun', async (t) => {
  let closed = false
  async function* source(): AsyncGenerator<number> {
    try {
      yield* numbers(1000)
    } finally {
      closed = true
    }
  }
  let begun = 0
  const forever: Promise<number>[] = []
  const work = (n: number) => {
    begun++
    if (n === 0) return n
    const never = new Promise<number>(() => {})
    forever.push(never)
    return never
  }
  for await (const n of ahead(source(), 8, work)) {
    t.equal(n, 0)
    break
  }
  const before = begun
  await setTimeout(10)
  t.equal(begun, before)
  t.ok(begun <= 8)
  t.ok(closed)

  const late: (() => void)[] = []
  const rejects = (n: number) => {
    if (n === 0) return n
    return new Promise<number>((_, reject) => late.push(() => reject(new Error('late'))))
  }
  for await (const _ of ahead(numbers(20).values(), 8, rejects)) break
  for (const reject of late) reject()
  t.ok(late.length > 0, "what fails after that is nobody's")
})

t.test('no rejection was left to nobody in all of that', async (t) => {
  // Node tells of them after the microtasks of a turn.
  await setTimeout(20)
  t.same(unhandled, [])
})
