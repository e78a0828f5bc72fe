import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import t from 'tap'
import type { EventList, Lineage } from '../../schemas/types.ts'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import type { LineageRole } from '../../src/core/lineage.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { logFiles } from '../../src/store/folder.ts'
import { mintToken, TokenSet } from '../../src/store/tokens.ts'
import { Actor, envelope, event, redactionRequest, statement } from '../support/actors.ts'
import { makeHistory, type TrueEvent, writeHistory } from '../support/history.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'
import { stepsOf } from '../support/true-lineage.ts'
import { checkAnswer } from '../support/validate.ts'

type Server = Awaited<ReturnType<typeof startServer>>
type Query = Readonly<Record<string, string | number>>

async function ask<T>(
  server: Server,
  path: string,
  query: Query = {},
  token?: string,
): Promise<T & { status: number }> {
  const parameters = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]))
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const answer = await fetch(`${server.url}/${path}?${parameters}`, { headers })
  const body = new Uint8Array(await answer.arrayBuffer())
  const type = answer.headers.get('content-type') ?? undefined
  checkAnswer('GET', `/${path}`, answer.status, type, body)
  return { status: answer.status, ...(JSON.parse(Buffer.from(body).toString()) as T) }
}

/** Until the index of a log has all that is committed; it may be made again on the way. */
async function indexed(server: Server, name = 'test'): Promise<void> {
  const { size } = server.opened.logs.get(name)!.log.head.tree
  for (let i = 0; i < 1_500; i++) {
    const question = { log: name, filter: { terms: ['x'] }, limit: 1, order: 'asc', size, payload: true } as const
    const answer = await server.opened.projections!.list(question).catch((error: { code?: string }) => {
      if (error.code !== 'STORAGE_FAILED') throw error
    })
    if (answer?.completeTo === size) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('the index does not follow')
}

/** All pages. */
async function list(server: Server, name: string, query: Query, token?: string): Promise<number[]> {
  const found: number[] = []
  let from: number | undefined
  for (;;) {
    const page = await ask<EventList>(
      server,
      `${name}/v1/events`,
      { ...query, ...(from !== undefined && { from }) },
      token,
    )
    if (page.status !== 200) throw new Error(JSON.stringify(page))
    found.push(...page.events.map(({ index }) => index))
    if (page.next === null) return found
    from = page.next
  }
}

t.test('a generated history: every search and every walk is what brute force finds', async (t) => {
  const data = temporaryFolder(t)
  const actors = Array.from({ length: 40 }, () => new Actor())
  for (const name of ['data', 'models'])
    await makeEventLog(
      data,
      [new Actor()],
      actors.map((actor, i) => ({ actor, name: `signer-${i}`, shared: true })),
      {
        name,
        origin: `log.example/${name}`,
      },
    )
  const start = Date.now() + 60_000
  const events = makeHistory(
    12_000,
    actors.map(({ key }) => key.id),
    start,
  )
  await writeHistory(data, events)
  const server = await startServer(data, { acceptClock: true })
  t.teardown(() => server.close())
  for (const name of ['data', 'models']) await indexed(server, name)

  let seed = 1
  const pick = <T>(from: readonly T[]): T => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return from[seed % from.length]!
  }

  const searches: [string, Query, (event: TrueEvent) => boolean][] = []
  for (let i = 0; i < 5; i++) {
    const { key, type, time, words, edges } = pick(events)
    const { artifact, role } = pick(edges)
    const later = time + 900_000
    const touches = (one: TrueEvent, as?: LineageRole) =>
      one.edges.some((edge) => edge.artifact === artifact && (as === undefined || edge.role === as))
    searches.push(
      ['signer', { signer: key }, (one) => one.key === key],
      [
        'type and time',
        { type, since: time, until: later },
        (one) => one.type === type && one.time >= time && one.time < later,
      ],
      ['artifact', { artifact }, (one) => touches(one)],
      ['artifact by hex', { artifact: artifact.split(':')[1]!.toUpperCase() }, (one) => touches(one)],
      ['artifact and role', { artifact, role }, (one) => touches(one, role)],
      ['word', { text: words[0]! }, (one) => says(one, words[0]!)],
      [
        'word and signer',
        { text: words[0]!.toUpperCase(), signer: key },
        (one) => says(one, words[0]!) && one.key === key,
      ],
      [
        'words',
        { text: `${words[0]} project` },
        (one) => says(one, words[0]!) && JSON.stringify(one.payload).includes('project'),
      ],
    )
  }
  searches.push(
    ['prefix of a type', { type: 'https://in-toto.io/*' }, (one) => one.type.startsWith('https://in-toto.io/')],
    [
      'role',
      { role: 'consumed', until: start + 500_000 },
      (one) => one.time < start + 500_000 && one.edges.slice(0, 64).some(({ role }) => role === 'consumed'),
    ],
    ['RFC 3339', { until: new Date(start + 500_000).toISOString() }, (one) => one.time < start + 500_000],
    ['unknown signer', { signer: 'ab'.repeat(32) }, () => false],
    ['unknown type', { type: 'nothing' }, () => false],
    ['unknown word', { text: 'nowhere' }, () => false],
  )
  for (const [name, query, fits] of searches) {
    for (const log of ['data', 'models'] as const) {
      const expected = events.filter((one) => one.log === log && fits(one)).map(({ index }) => index)
      // The genesis has a time too.
      if ('until' in query && !('since' in query) && !('role' in query)) expected.unshift(0)
      t.strictSame(await list(server, log, { ...query, limit: 1000 }), expected, `${name}: ${log}`)
      if (expected.length < 500)
        t.strictSame(
          await list(server, log, { ...query, limit: 40, order: 'desc' }),
          expected.toReversed(),
          `${name}, last first`,
        )
    }
  }
  t.ok(searches.filter(([, , fits]) => events.some(fits)).length > 30, 'the searches find something')

  let walked = 0
  for (let i = 0; i < 8; i++) {
    const { artifact } = pick(pick(events).edges)
    for (const direction of ['up', 'down', 'both'] as const) {
      const lineage = await ask<Lineage>(server, `data/v1/lineage/${artifact}`, {
        direction,
        limit: 20_000,
        depth: 1_000,
      })
      const expected = bruteForce(events, [artifact], direction)
      walked += lineage.events.length
      t.strictSame(shown(lineage), expected, `${artifact} ${direction}`)
      t.equal(lineage.truncated, false)
    }
  }
  t.ok(walked > 500, `${walked} events in the walks`)

  for (let i = 0; i < 4; i++) {
    const { key, time } = pick(events)
    const until = time + 200_000
    const seeds = events.filter((one) => one.key === key && one.time >= time && one.time < until)
    const lineage = await ask<Lineage>(server, 'models/v1/lineage', {
      ...{ signer: key, since: time, until, direction: 'down', limit: 20_000, depth: 1_000 },
    })
    const from = seeds.flatMap((one) =>
      stepsOf(one).flatMap(({ role, artifact }) => (role === 'produced' ? artifact : [])),
    )
    t.strictSame(shown(lineage), bruteForce(events, from, 'down', seeds), `signer ${i}`)
    t.same([...lineage.start].sort(), [...new Set(from)].sort())
  }

  const marked = events.filter(({ marks }) => marks !== undefined)
  const target = marked.find(({ marks }) =>
    events.some((one) => one.log === marks!.log && one.index === marks!.index && one.edges.length > 2),
  )!
  const about = events.find((one) => one.log === target.marks!.log && one.index === target.marks!.index)!
  const lineage = await ask<Lineage>(server, `data/v1/lineage/${about.edges[0]!.artifact}`, { limit: 20_000 })
  for (const one of lineage.events) {
    const marks = marked.filter(({ marks }) => marks!.log === one.log && marks!.index === one.index)
    t.same(
      one.marks.map(({ log, index, kind }) => ({ log, index, kind })),
      marks.map(({ log, index, marks }) => ({ log, index, kind: marks!.kind })),
    )
  }
  t.match(lineage.events.flatMap(({ marks }) => marks)[0]?.reason, /^suspicious /)
  t.ok(
    lineage.artifacts.some(({ names }) => names?.[0]?.startsWith('project-')),
    'artifacts have names',
  )
  t.ok(lineage.events.every(({ signers }) => signers[0]!.startsWith('signer-')))
  const counts = Map.groupBy(
    events.flatMap((one) => stepsOf(one).filter(({ role }) => role === 'produced')),
    ({ artifact }) => artifact,
  )
  const twice = [...counts].find(([, all]) => all.length === 2)![0]
  const conflict = await ask<Lineage>(server, `data/v1/lineage/${twice}`, { depth: 1 })
  t.equal(conflict.artifacts.find(({ id }) => id === twice)?.producers, 2)
  t.same(server.failures, [])
})

/** Whole words, as people mean them. */
const says = ({ payload }: TrueEvent, word: string): boolean => {
  const words = wordsOf.get(payload) ?? new Set(JSON.stringify(payload).split(/[^a-z0-9]+/i))
  wordsOf.set(payload, words)
  return words.has(word)
}
const wordsOf = new WeakMap<object, ReadonlySet<string>>()

const shown = ({ events, artifacts, edges }: Lineage) => ({
  events: events.map(({ log, index }) => `${log} ${index}`).sort(),
  artifacts: artifacts.map(({ id }) => id).sort(),
  edges: edges.map(({ log, index, artifact, role }) => `${log} ${index} ${artifact} ${role}`).sort(),
})

/** By repeating the rules over the whole history until nothing changes, forward and backward as the walk goes. */
function bruteForce(
  all: readonly TrueEvent[],
  start: readonly string[],
  direction: 'up' | 'down' | 'both',
  seeds: readonly TrueEvent[] = [],
) {
  const listed = new Set<TrueEvent>(seeds)
  const reached = new Set<string>(start)
  for (const way of ['up', 'down'] as const) {
    if (direction !== way && direction !== 'both') continue
    const here = new Set(start)
    const ordered = way === 'down' ? all : all.toReversed()
    for (let before = -1; before !== here.size; ) {
      before = here.size
      for (const one of ordered) {
        const steps = stepsOf(one)
        const has = (role: LineageRole) => steps.some((edge) => edge.role === role && here.has(edge.artifact))
        const next: LineageRole[] = []
        if (way === 'up' && has('produced')) next.push('consumed', 'file')
        if (way === 'up' && has('examined')) next.push('file')
        if (way === 'down' && has('consumed')) next.push('produced')
        if (way === 'down' && has('file')) next.push('produced', 'examined')
        if (next.length === 0 && !has('examined')) continue
        listed.add(one)
        for (const { role, artifact } of steps) if (next.includes(role)) here.add(artifact)
      }
    }
    for (const artifact of here) reached.add(artifact)
  }
  const edges = [...listed].flatMap((one) =>
    stepsOf(one)
      .filter(({ artifact }) => reached.has(artifact))
      .map(({ role, artifact }) => `${one.log} ${one.index} ${artifact} ${role}`),
  )
  return {
    events: [...listed].map(({ log, index }) => `${log} ${index}`).sort(),
    artifacts: [...reached].sort(),
    edges: edges.sort(),
  }
}

/** A log with a few events; `private` types keep their artifacts out of the tree. */
async function start(t: Parameters<typeof temporaryFolder>[0], options: Parameters<typeof startServer>[1] = {}) {
  const data = temporaryFolder(t)
  const [administrator, signer] = [new Actor(), new Actor()]
  await makeEventLog(data, [administrator], [{ actor: signer }], { change: { private: ['urn:private:*'] } })
  let server = await startServer(data, options)
  t.teardown(() => server.close())
  const events = () => server.opened.logs.get('test')!.events!
  const submit = async (body: string) => (await events().submit(toUtf8(body))).index
  const redact = async (indexes: readonly number[]) => {
    const { store } = events().log
    const entries = []
    for (const index of indexes) entries.push({ index, leafHash: toHex(leafHash((await store.entry(index))!)) })
    return events().redact(toUtf8(redactionRequest(ORIGIN, entries, [administrator])))
  }
  /** Closed, changed, and open again. */
  const restart = async (between: () => unknown = () => {}) => {
    await server.close()
    await between()
    server = await startServer(data, options)
    return server
  }
  return { data, signer, submit, redact, restart, server: () => server }
}

const filesWith = (data: string, text: string): string[] =>
  ['index.db', 'index.db-wal'].filter((name) => {
    try {
      return readFileSync(join(data, 'logs/test', name)).includes(text)
    } catch {
      return false
    }
  })

t.test('a redaction takes text, names, hidden artifacts and marks out of the index, and no others', async (t) => {
  const { data, signer, submit, redact, restart, server } = await start(t)
  const secret = { sha256: 'cd'.repeat(32) }
  const hidden = envelope(
    IN_TOTO,
    statement('people/zanzibarquux', { consumed: [{ name: 'zanzibarquux', digest: secret }] }, 'urn:private:x'),
    [signer],
  )
  const index = await submit(hidden)
  const mark = await submit(
    envelope(
      IN_TOTO,
      statement('m', { origin: ORIGIN, index: 0, reason: 'zanzibarquux' }, 'urn:treeline:quarantine:v1'),
      [signer],
    ),
  )
  for (let i = 0; i < 300; i++) await submit(event(signer, `model/${i}`, { note: `word${i} common zanzibar${i}` }))
  await indexed(server())
  const find = (text: string) => list(server(), 'test', { text })
  const lineage = () => ask<Lineage>(server(), `test/v1/lineage/sha256:${secret.sha256}`)
  t.same(await find('zanzibarquux'), [index, mark])
  t.same(
    (await lineage()).edges.map(({ role }) => role),
    ['consumed', 'examined'].slice(0, 1),
  )
  t.ok(filesWith(data, 'quux').length > 0, 'the search of the files finds it while it is there')

  const { erased } = await redact([index, mark])
  t.equal(erased, true)
  t.same(filesWith(data, 'quux'), [], 'at the moment of the answer')
  await indexed(server())
  t.same(await find('zanzibarquux'), [])
  t.same(
    await find('word7'),
    [2 + 8].map((n) => n),
    'the neighbours are found as before',
  )
  t.equal((await list(server(), 'test', { text: 'common', limit: 1000 })).length, 300)
  t.same((await lineage()).events, [])
  t.same(await list(server(), 'test', { artifact: secret.sha256 }), [])
  t.same(filesWith(data, 'quux'), [])

  // Nothing of it comes back from the log either.
  const again = await restart(() => rmSync(logFiles(data, 'test').index))
  await indexed(again)
  t.same([await find('zanzibarquux'), (await find('word7')).length, filesWith(data, 'quux')], [[], 1, []])
})

t.test('an index that is lost, broken, or of another history is made again, and the log goes on', async (t) => {
  const { data, signer, submit, restart, server } = await start(t)
  const file = logFiles(data, 'test').index
  const copy = join(data, 'copy')
  for (let i = 0; i < 50; i++) await submit(event(signer, `model/${i}`, { note: 'first' }))
  await indexed(server())
  const all = await list(server(), 'test', { text: 'first' })
  t.equal(all.length, 50)
  const others = await start(t)
  for (let i = 0; i < 60; i++) await others.submit(event(others.signer, `model/${i}`, { note: 'second' }))
  await indexed(others.server())
  await others.restart(() => cpSync(logFiles(others.data, 'test').index, copy))
  const whole = () => readFileSync(file)
  for (const [name, change] of [
    ['lost', () => rmSync(file)],
    [
      'no database',
      () => writeFileSync(file, 'this is no database at all, and long enough for a header of one'.repeat(99)),
    ],
    ['empty', () => writeFileSync(file, '')],
    ['cut off', () => writeFileSync(file, whole().subarray(0, 40_000))],
    ['of another log', () => cpSync(copy, file)],
  ] as const) {
    const again = await restart(change)
    await indexed(again)
    t.same(await list(again, 'test', { text: 'first' }), all, name)
    t.same(await list(again, 'test', { text: 'second' }), [], name)
  }
  t.ok(server().notices.some((notice) => notice.includes('its index is made again')))

  // While it is served: pages turn to noise, and neither the writing nor the reading thread may take the log with it.
  const bytes = whole()
  bytes.fill(0xa5, 16_384)
  writeFileSync(file, bytes)
  for (let i = 0; i < 20; i++) await submit(event(signer, `late/${i}`, { note: 'late' }))
  for (let i = 0; i < 200 && (await ask(server(), 'test/v1/events', { text: 'late' })).status !== 200; i++)
    await new Promise((resolve) => setTimeout(resolve, 20))
  const head = server().opened.logs.get('test')!.log.head.tree.size
  t.equal(head, 71, 'appends went on')
  await restart()
  await indexed(server())
  t.equal((await list(server(), 'test', { text: 'late' })).length, 20)
})

t.test('a thread that ends is started again, and until then nothing is answered that is not so', async (t) => {
  const threads: Worker[] = []
  const started = (worker: Worker) => threads.push(worker)
  process.on('worker', started)
  t.teardown(() => process.off('worker', started))
  const { signer, submit, redact, server } = await start(t)
  const { failures } = server()
  const [first] = [
    await submit(event(signer, 'm/0', { note: 'word' })),
    await submit(event(signer, 'm/1', { note: 'word' })),
  ]
  await indexed(server())
  t.equal(threads.length, 2, 'one writes and one answers')
  const [writer, reader] = threads as [Worker, Worker]

  // A question that is being answered, one that waits, and one that comes after.
  const question = () => ask<EventList>(server(), 'test/v1/events', { text: 'word' })
  const during = [question(), question()]
  await reader.terminate()
  const statuses = (await Promise.all(during)).map(({ status, events }) => [status, status === 200 ? events.length : 2])
  t.ok(
    statuses.every(([status, found]) => (status === 200 || status === 503) && found === 2),
    JSON.stringify(statuses),
  )
  t.equal((await question()).events.length, 2)
  t.equal(threads.length, 3)

  await writer.terminate()
  for (let i = 2; i < 12; i++) await submit(event(signer, `m/${i}`, { note: 'word' }))
  const late = await question()
  t.match([late.status, late.completeTo, late.events.length], [200, 3, 2], 'what it says that it is complete to')
  // The redaction is logged; that its words are nowhere is only said when they are.
  const { erased } = await redact([first])
  await indexed(server())
  t.equal(threads.length, 4)
  t.same(await list(server(), 'test', { text: 'word' }), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  t.equal(erased || (await redact([first])).erased, true, 'at once, or when it is asked again')
  t.equal(failures.length, 2, 'both were told of')
})

t.test('what a reader may not read is in no answer', async (t) => {
  const { token: tree, rule: treeRule } = mintToken(['test'], ['tree'], 0)
  const { token: payload, rule: payloadRule } = mintToken(['test'], ['payload'], 0)
  const { token: other, rule: otherRule } = mintToken(['elsewhere'], ['payload'], 0)
  const tokens = new TokenSet([treeRule, payloadRule, otherRule])
  const readers = {
    readerOf: (authorization = '') => {
      const [rule] = tokens.find(authorization.slice(7))
      if (rule === undefined) return undefined
      const may = (log: string, scope: string) =>
        rule.logs.includes(log) && (scope === 'tree' || rule.scopes.includes('payload'))
      return { token: rule.id, may, mayMeasure: false }
    },
  }
  const { signer, submit, server } = await start(t, { http: { gate: readers } })
  const secret = { sha256: 'cd'.repeat(32) }
  const index = await submit(
    envelope(IN_TOTO, statement('m/person', { consumed: [{ name: 'x', digest: secret }] }, 'urn:private:x'), [signer]),
  )
  const shownIndex = await submit(event(signer, 'm/named', { note: 'words' }))
  await submit(
    envelope(
      IN_TOTO,
      statement('m', { origin: ORIGIN, index: shownIndex, reason: 'why' }, 'urn:treeline:quarantine:v1'),
      [signer],
    ),
  )
  await indexed(server())
  t.equal((await ask(server(), 'test/v1/events', { text: 'words' }, tree)).status, 403)
  t.same(await list(server(), 'test', { text: 'words' }, payload), [shownIndex])
  t.same(await list(server(), 'test', { artifact: secret.sha256 }, tree), [])
  t.same(await list(server(), 'test', { artifact: secret.sha256 }, payload), [index])
  const lineage = (digest: string, token: string) =>
    ask<Lineage>(server(), `test/v1/lineage/sha256:${digest}`, {}, token)
  t.same((await lineage(secret.sha256, tree)).events, [])
  t.same(
    (await lineage(secret.sha256, payload)).events.map((one) => one.index),
    [index],
  )
  const [blind, seeing] = [await lineage('ab'.repeat(32), tree), await lineage('ab'.repeat(32), payload)]
  t.equal(
    blind.artifacts.some(({ names }) => names),
    false,
  )
  t.same(seeing.artifacts[0]?.names?.includes('m/named'), true)
  const reasons = ({ events }: Lineage) => events.flatMap(({ marks }) => marks.map(({ reason }) => reason))
  t.same([reasons(blind), reasons(seeing)], [[''], ['why']])
  t.match([blind.logs, seeing.logs], [[{ payload: false }], [{ payload: true }]], 'and each answer says so')
  t.equal((await lineage(secret.sha256, other)).status, 403)
  t.equal((await ask(server(), 'test/v1/lineage/00', {})).status, 401)
})

t.test("parameters: what is not one is refused, and the syntax of the index is nobody's", async (t) => {
  const { signer, submit, server } = await start(t)
  await submit(event(signer, 'model/a', { note: 'alpha "beta" gamma-delta body' }))
  await indexed(server())
  for (const text of [
    '"',
    'NEAR(alpha beta)',
    'body:alpha',
    'alpha OR nothing',
    'alpha NOT beta',
    'alp*',
    '{body}:alpha',
    'alpha + nothing',
    '(',
    '-',
    '\u{1f600}',
    "'; DROP TABLE events; --",
  ]) {
    const { status, events } = await ask<EventList>(server(), 'test/v1/events', { text })
    t.equal(status, 200, text)
    t.same(events.length, 0, text)
  }
  for (const text of ['alpha', '^"alpha', 'ALPHA gamma', '"beta"', 'gamma-delta', 'alpha body'])
    t.same(await list(server(), 'test', { text }), [1], text)
  for (const query of [
    { text: '' },
    { text: ' ' },
    { text: 'x'.repeat(257) },
    { text: 'a\0' },
    { role: 'made' },
    { kind: 'x' },
    { order: 'up' },
    { signer: 'x' },
    { since: '-1' },
    { since: 'now' },
    { until: '2026-13-01T00:00:00Z' },
    { artifact: 'sha256:xyz' },
    { type: '' },
    { depth: '1' },
  ])
    t.equal((await ask(server(), 'test/v1/events', query)).status, 400, JSON.stringify(query))
  for (const [path, status] of [
    ['lineage', 400],
    ['lineage?signer=x', 400],
    ['lineage/nothing', 404],
    [`lineage/ab?limit=20001`, 400],
    [`lineage/ab?depth=1001`, 400],
    [`lineage/ab?direction=left`, 400],
    [`lineage/ab?since=1`, 400],
    ['lineage/ab', 200],
  ] as const)
    t.equal((await fetch(`${server().url}/test/v1/${path}`)).status, status, path)
  t.same(await list(server(), 'test', { order: 'desc', limit: 1 }), [1, 0])
  t.same(await list(server(), 'test', { order: 'desc', from: 0 }), [0])
  t.same(server().failures, [])
})
