import fc from 'fast-check'
import t from 'tap'
import { CONSUMED } from '../../src/core/artifact.ts'
import { fromHex } from '../../src/core/bytes.ts'
import { EVENT } from '../../src/core/entry.ts'
import {
  type Direction,
  type Lineage,
  type LineageArtifact,
  type LineageEdge,
  LineageGraph,
  type LineageRole,
  type LineageStep,
  lineageStep,
  walkLineage,
} from '../../src/core/lineage.ts'

const digest = (name: string) => Buffer.from(name.padEnd(4, '_')).toString('hex')
const id = (name: string) => `sha256:${digest(name)}`
const name = ({ id, distance }: LineageArtifact) =>
  `${Buffer.from(id.slice(7), 'hex').toString().replaceAll('_', '')}@${distance}`
const names = (lineage: Lineage) => lineage.artifacts.map(name)
const edge = ({ log, index, role }: LineageEdge) => `${log}${index} ${role}`
const events = (lineage: Lineage) => lineage.events.map(({ log, index, distance }) => `${log}${index}@${distance}`)

/** `c:data p:model` and so on. */
function step(
  log: string,
  index: number,
  artifacts: string,
  keys: readonly string[] = ['k'],
  time = index,
): LineageStep {
  const role = { p: 'produced', c: 'consumed', e: 'examined', f: 'file' } as const
  return {
    log,
    index,
    time,
    type: 'urn:test',
    keys,
    artifacts: artifacts.split(' ').map((text) => ({
      role: role[text[0] as 'p'],
      algorithm: 'sha256',
      digest: digest(text.slice(2)),
    })),
  }
}

function graph(...steps: readonly LineageStep[]): LineageGraph {
  const made = new LineageGraph()
  for (const one of steps) made.add(one)
  return made
}

/** Two logs: raw → split into train and test → model; a scan examines the model; it is deployed elsewhere. */
const pipeline = () =>
  graph(
    step('a', 1, 'p:raw'),
    step('a', 2, 'c:raw p:trai p:test', ['k', 'm']),
    step('a', 3, 'c:trai p:mode p:log'),
    step('a', 4, 'e:mode'),
    step('b', 1, 'c:mode p:img'),
  )
const wide = { depth: 64, limit: 1_000 }

t.test('up, down and both', (t) => {
  const up = pipeline().trace({ start: [id('mode')], direction: 'up', ...wide })
  t.same(names(up), ['mode@0', 'trai@1', 'raw@2'])
  t.same(events(up), ['a3@1', 'a4@1', 'a2@2', 'a1@3'], 'the scan is listed and not walked through')
  t.same(
    up.edges.map(edge),
    ['a1 produced', 'a2 consumed', 'a2 produced', 'a3 produced', 'a3 consumed', 'a4 examined'].sort((a, b) =>
      a.slice(0, 2) < b.slice(0, 2) ? -1 : 1,
    ),
  )
  t.equal(up.truncated, false)
  const down = pipeline().trace({ start: [id('raw')], direction: 'down', ...wide })
  t.same(names(down), ['raw@0', 'test@1', 'trai@1', 'log@2', 'mode@2', 'img@3'])
  t.same(events(down), ['a2@1', 'a3@2', 'a4@3', 'b1@3'])
  const both = pipeline().trace({ start: [id('trai')], direction: 'both', ...wide })
  t.same(names(both), ['trai@0', 'log@1', 'mode@1', 'raw@1', 'img@2'], 'not what else the parents produced')
  t.same(events(both), ['a2@1', 'a3@1', 'a1@2', 'a4@2', 'b1@2'])
  const nothing = pipeline().trace({ start: [id('none')], direction: 'both', ...wide })
  t.same([names(nothing), events(nothing), nothing.artifacts[0]!.producers], [['none@0'], [], 0])
  t.end()
})

t.test('depth counts events, and says what it leaves out', (t) => {
  const at = (depth: number) => pipeline().trace({ start: [id('mode')], direction: 'up', depth, limit: 100 })
  t.same(
    [0, 1, 2, 3].map((depth) => [events(at(depth)).length, at(depth).truncated]),
    [
      [0, true],
      [2, true],
      [3, true],
      [4, false],
    ],
  )
  t.end()
})

t.test('limits of nodes, of edges and of work', (t) => {
  const star = new LineageGraph()
  for (let i = 0; i < 500; i++) star.add(step('a', i, `c:hub p:${i.toString(36)}`))
  const cut = star.trace({ start: [id('hub')], direction: 'down', depth: 9, limit: 50 })
  t.equal(cut.artifacts.length + cut.events.length, 50)
  t.equal(cut.truncated, true)
  t.equal(star.trace({ start: [id('hub')], direction: 'down', depth: 9, limit: 1_001 }).truncated, false)
  const tired = star.trace({ start: [id('hub')], direction: 'down', depth: 9, limit: 1_001, work: 100 })
  t.ok(tired.truncated && tired.events.length < 100)
  let looked = 0
  const vain = {
    ...{ edges: () => [], names: () => undefined, event: () => t.fail() as never },
    *touching() {
      for (;;) yield void looked++
    },
  }
  t.equal(walkLineage(vain, [id('x')], { direction: 'up', depth: 1, limit: 9, work: 70 }).truncated, true)
  t.ok(looked < 2_000, 'rows that lead nowhere are work')
  const dense = new LineageGraph()
  const all = Array.from({ length: 40 }, (_, i) => `c:${i}`).join(' ')
  for (let i = 0; i < 40; i++) dense.add(step('a', i, `${all} ${all.replaceAll('c:', 'p:')}`))
  const thick = dense.trace({ start: [id('0')], direction: 'up', depth: 9, limit: 80 })
  t.same([thick.edges.length, thick.truncated], [640, true])
  t.end()
})

t.test('circles end, an artifact has several producers, equal digests of two algorithms are two', (t) => {
  const circle = graph(step('a', 1, 'c:x p:y'), step('a', 2, 'c:y p:x'), step('a', 3, 'c:x p:x'), step('b', 3, 'p:y'))
  const lineage = circle.trace({ start: [id('x')], direction: 'both', ...wide })
  t.same(
    lineage.artifacts.map(({ producers }) => producers),
    [2, 2],
  )
  t.equal(lineage.events.length, 4)
  t.same(circle.trace({ start: [id('x').replace('256', '512')], direction: 'both', ...wide }).events, [])
  t.end()
})

t.test('a manifest joins its files and what it is about, also where it only examines it', (t) => {
  const made = graph(
    step('a', 1, 'p:w1'),
    step('a', 2, 'e:mode f:w1 f:w2'),
    step('a', 3, 'c:mode p:img'),
    step('a', 4, 'e:w2'),
  )
  t.same(names(made.trace({ start: [id('img')], direction: 'up', ...wide })), ['img@0', 'mode@1', 'w1@2', 'w2@2'])
  t.same(names(made.trace({ start: [id('w1')], direction: 'down', ...wide })), ['w1@0', 'mode@1', 'img@2'])
  t.same(events(made.trace({ start: [id('w2')], direction: 'down', ...wide })), ['a2@1', 'a4@1', 'a3@2'])
  t.end()
})

t.test('by signer: between two moments, half-open', (t) => {
  const query = { signer: 'm', direction: 'down', ...wide } as const
  const lineage = pipeline().bySigner(query)
  t.same(lineage.start, [id('trai'), id('test')])
  t.same(events(lineage), ['a2@0', 'a3@1', 'a4@2', 'b1@2'])
  t.same(pipeline().bySigner({ ...query, since: 2, until: 3 }).events.length, 4)
  for (const window of [{ since: 3 }, { until: 2 }, { since: 2, until: 2 }])
    t.same(pipeline().bySigner({ ...query, ...window }).events, [], JSON.stringify(window))
  t.same(pipeline().bySigner({ ...query, signer: 'n' }).start, [])
  t.end()
})

t.test('marks and names show wherever the event or artifact does', (t) => {
  const made = pipeline()
  const mark = { log: 'b', index: 9, kind: 'quarantine', reason: 'poisoned' } as const
  made.mark({ log: 'a', index: 2 }, mark)
  made.mark({ log: 'a', index: 2 }, mark)
  made.add({ ...step('a', 6, 'c:mode'), signers: ['deployer'], marks: [{ ...mark, kind: 'supersedes' }] })
  made.name(id('mode'), 'model.json')
  const { artifacts, events } = made.trace({ start: [id('mode')], direction: 'both', ...wide })
  const at = (index: number) => events.find((event) => event.log === 'a' && event.index === index)
  t.same(at(2)?.marks, [mark])
  t.same([at(6)?.marks[0]?.kind, at(6)?.signers], ['supersedes', ['deployer']])
  t.same([artifacts[0]?.names, artifacts[1]?.names], [['model.json'], undefined])
  t.end()
})

t.test('whoever marks an event has examined its artifact, not made it', (t) => {
  const marking = (type: string) => ({ ...step('a', 9, 'p:mode c:trai e:mode'), type })
  const [mark, other] = ['urn:treeline:quarantine:v1', 'urn:treeline:step:v1'].map((type) => {
    const made = pipeline()
    made.add(marking(type))
    return made.trace({ start: [id('mode')], direction: 'up', ...wide })
  })
  const edgesOf = ({ edges }: Lineage) => edges.filter(({ index }) => index === 9).map(({ role }) => role)
  t.same([mark!.artifacts[0]!.producers, edgesOf(mark!)], [1, ['examined', 'consumed']])
  t.same([other!.artifacts[0]!.producers, edgesOf(other!)], [2, ['examined', 'produced', 'consumed']])
  const reached = pipeline()
  reached.add({ ...marking('urn:treeline:supersedes:v1'), keys: ['z'] })
  const bySigner = reached.bySigner({ signer: 'z', direction: 'down', ...wide })
  t.same([bySigner.start, events(bySigner)], [[], ['a9@0']], 'nothing came of it')
  t.end()
})

t.test('the step of an entry', (t) => {
  const entry = {
    kind: EVENT,
    ...{ time: 5, addendum: new Uint8Array(32), policy: 0, payloadType: 'p', type: 'urn:x', hidden: 0 },
    keys: [new Uint8Array([1, 255])],
    artifacts: [{ role: CONSUMED, algorithm: 'sha1', digest: fromHex('0a')! }],
  } as const
  t.same(lineageStep('a', 7, entry), {
    ...{ log: 'a', index: 7, time: 5, type: 'urn:x', keys: ['01ff'] },
    artifacts: [{ role: 'consumed', algorithm: 'sha1', digest: '0a' }],
  })
  t.end()
})

/** By hand: everything reachable, by repeating the rules until nothing changes. */
function bruteForce(steps: readonly LineageStep[], start: string, direction: Direction) {
  const listed = new Set<number>()
  const reached = new Set<string>([start])
  const has = ({ artifacts }: LineageStep, role: LineageRole, where: ReadonlySet<string>) =>
    artifacts.some((one) => one.role === role && where.has(`${one.algorithm}:${one.digest}`))
  for (const way of ['up', 'down']) {
    if (direction !== way && direction !== 'both') continue
    const here = new Set([start])
    for (let before = -1; before !== here.size; ) {
      before = here.size
      for (const [i, one] of steps.entries()) {
        const next = new Set<LineageRole>()
        if (way === 'up' && has(one, 'produced', here)) next.add('consumed').add('file')
        if (way === 'up' && has(one, 'examined', here)) next.add('file')
        if (way === 'down' && has(one, 'consumed', here)) next.add('produced')
        if (way === 'down' && has(one, 'file', here)) next.add('produced').add('examined')
        if (next.size > 0 || has(one, 'examined', here)) listed.add(i)
        for (const { role, algorithm, digest } of one.artifacts) if (next.has(role)) here.add(`${algorithm}:${digest}`)
      }
    }
    for (const artifact of here) reached.add(artifact)
  }
  return { listed: [...listed].sort((a, b) => a - b), reached: [...reached].sort() }
}

t.test('any graph: what the walk finds is what the rules reach', (t) => {
  const node = fc.constantFrom(...'abcdefgh')
  const edges = fc.array(fc.tuple(fc.constantFrom('p', 'c', 'e', 'f'), node), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(
      fc.array(edges, { maxLength: 12 }),
      node,
      fc.constantFrom<Direction>('up', 'down', 'both'),
      (lists, start, direction) => {
        const steps = lists.map((list, i) => step('a', i, list.map(([role, name]) => `${role}:${name}`).join(' ')))
        const lineage = graph(...steps).trace({ start: [id(start)], direction, ...wide })
        const expected = bruteForce(steps, id(start), direction)
        t.strictSame(
          lineage.events.map(({ index }) => index).sort((a, b) => a - b),
          expected.listed,
        )
        t.strictSame(lineage.artifacts.map((artifact) => artifact.id).sort(), expected.reached)
        t.equal(lineage.truncated, false)
      },
    ),
    { numRuns: 300 },
  )
  t.end()
})
