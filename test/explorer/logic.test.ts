/** What the explorer decides without a page: proofs from tiles, trust, the memory of heads, what was asked for. Before a log that lies, too. */
import t from 'tap'
import { equal, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { EVENT, type EventEntry, encodeEntry } from '../../src/core/entry.ts'
import { LineageGraph, lineageStep } from '../../src/core/lineage.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../src/core/merkle.ts'
import { parseTilePath, TILE_WIDTH } from '../../src/core/tile.ts'
import { type FullTile, Tree } from '../../src/core/tree.ts'
import { Api, ApiError } from '../../src/explorer/api.ts'
import { recognise } from '../../src/explorer/file-kind.ts'
import { nearest } from '../../src/explorer/lineage-layout.ts'
import { aboutOf, momentOf } from '../../src/explorer/lineage-question.ts'
import { pathSteps } from '../../src/explorer/path.ts'
import { mismatch } from '../../src/explorer/query-match.ts'
import { preview } from '../../src/explorer/raw-entries.ts'
import { parseRoute } from '../../src/explorer/route.ts'
import { ScannedGraph } from '../../src/explorer/scanned-graph.ts'
import { TileReader } from '../../src/explorer/tile-reader.ts'
import { Trust } from '../../src/explorer/trust.ts'
import { verdictOf, worst } from '../../src/explorer/verdict.ts'

/** Serves the tiles of a tree as a log does; `lie` may change one. */
class Tiles extends Api {
  readonly asked: string[] = []
  lie: (path: string, bytes: Uint8Array) => Uint8Array = (_path, bytes) => bytes
  readonly #tree: Tree
  readonly #full: readonly FullTile[]

  constructor(tree: Tree, full: readonly FullTile[]) {
    super()
    this.#tree = tree
    this.#full = full
  }

  override async bytes(path: string): Promise<Uint8Array> {
    this.asked.push(path)
    const { level, index, width } = parseTilePath(path.slice('/log/'.length))
    const tile = this.#full.find((one) => one.level === level && one.index === index)
    const bytes = tile?.nodes.bytes(width) ?? this.#tree.tileBytes(level as number, index, width)
    if (bytes === undefined) throw new ApiError(404, 'NOT_FOUND', path)
    return this.lie(path, bytes)
  }
}

const leaves = Array.from({ length: 700 }, (_, i) => leafHash(toUtf8(`entry ${i}`)))

function serve(size: number): { api: Tiles; tree: Tree } {
  const { tree, full } = Tree.empty.append(leaves.slice(0, size))
  return { api: new Tiles(tree, full), tree }
}

t.test('proofs from tiles verify at every size around a tile, and each tile is asked for once', async (t) => {
  for (const size of [1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 700]) {
    const { api, tree } = serve(size)
    const reader = new TileReader(api, 'log', size)
    const indexes = [...new Set([0, 1, size >> 1, size - 2, size - 1])].filter((index) => index >= 0 && index < size)
    const proofs = await reader.inclusion(indexes)
    for (const [i, index] of indexes.entries()) {
      t.ok(verifyInclusion(BigInt(index), BigInt(size), leaves[index]!, proofs[i]!, tree.root), `${index} of ${size}`)
      const steps = pathSteps(index, size, leaves[index]!, proofs[i]!)
      t.ok(
        equal(steps.at(-1)?.result ?? leaves[index]!, tree.root),
        `the drawing of ${index} ends at the root of ${size}`,
      )
    }
    for (const from of [1, 2, size >> 1, size - 1, size].filter((one) => one > 0 && one <= size)) {
      const root = await reader.root(from)
      t.ok(equal(root, serve(from).tree.root), `root of ${from} in ${size}`)
      t.ok(verifyConsistency(BigInt(from), BigInt(size), root, tree.root, await reader.consistency(from)))
    }
    await reader.inclusion(indexes)
    t.equal(new Set(api.asked).size, api.asked.length)
  }
})

t.test('a tile with a flipped bit gives proofs that fail, one of another length none', async (t) => {
  const { api, tree } = serve(700)
  api.lie = (path, bytes) => {
    const told = bytes.slice()
    if (path.endsWith('/tile/0/001')) told[40]! ^= 1
    return told
  }
  const reader = new TileReader(api, 'log', 700)
  const [changed, untouched] = await reader.inclusion([TILE_WIDTH, 10])
  t.notOk(verifyInclusion(256n, 700n, leaves[256]!, changed!, tree.root))
  // Its path goes over the tile above, which was left alone.
  t.ok(verifyInclusion(10n, 700n, leaves[10]!, untouched!, tree.root))
  api.lie = (_path, bytes) => bytes.subarray(1)
  await t.rejects(new TileReader(api, 'log', 700).inclusion([3]), { code: 'WRONG_ANSWER' })
})

const VKEY = 'log.example/models+f02353fb+AUiE8jiq9eYM3PtOhGtbVZ29E9GgsOyO6jLpUBs1XRx0'
const WITNESS = 'w.example/w+'

class Memory {
  readonly kept = new Map<string, string>()
  getItem = (name: string): string | null => this.kept.get(name) ?? null
  setItem = (name: string, text: string): void => void this.kept.set(name, text)
}

t.test('the word of the server pins nothing; a file goes before a confirmed key; both are remembered', (t) => {
  const memory = new Memory() as unknown as Storage
  const trust = new Trust(memory)
  const origin = 'log.example/models'
  t.equal(trust.of(origin, []).pinned, 'no')
  t.equal(trust.of(origin, []).policy.logs.length, 0, 'no key is better than any')
  trust.confirm(origin, VKEY)
  t.equal(trust.of(origin, []).pinned, 'confirmed')
  t.equal(new Trust(memory).of(origin, []).pinned, 'confirmed')
  trust.useFile(`log ${VKEY} https://log.example/models\nquorum none\n`)
  t.equal(trust.of(origin, []).pinned, 'file')
  t.equal(trust.of('log.example/other', []).pinned, 'no')
  t.throws(() => trust.useFile(`log ${VKEY}\nwitness w ${WITNESS}\nquorum w\n`), { code: 'MALFORMED_WITNESS_POLICY' })
  t.equal(trust.of(origin, []).pinned, 'file', 'a file that cannot be read replaces nothing')
  trust.forget(origin)
  trust.useFile('')
  t.equal(trust.of(origin, []).pinned, 'no')
  t.same(new Trust(undefined).pins, {}, 'a browser that keeps nothing is no obstacle')
  t.end()
})

t.test('nothing checked is nothing verified, and one failure is enough', (t) => {
  t.equal(worst([]), 'unverified')
  t.equal(worst(['absent']), 'unverified')
  t.equal(worst(['verified', 'absent']), 'verified')
  t.equal(worst(['verified', 'unverified']), 'unverified')
  t.equal(
    verdictOf([
      { title: '', detail: '', state: 'failed' },
      { title: '', detail: '', state: 'unverified' },
    ]),
    'failed',
  )
  t.end()
})

t.test('an entry that was not asked for is noticed', (t) => {
  const digest = new Uint8Array(32).fill(7)
  const entry: EventEntry = {
    ...{
      kind: EVENT,
      time: 1_000,
      addendum: digest,
      policy: 0,
      keys: [digest],
      payloadType: 'x',
      type: 'urn:a:b',
      hidden: 0,
    },
    artifacts: [{ role: 1, algorithm: 'sha256', digest }],
  }
  const asks = (query: string) => mismatch(entry, new URLSearchParams(query))
  for (const query of [
    '',
    'type=urn:a:b',
    'type=urn:*',
    `signer=${toHex(digest)}`,
    'role=produced',
    'since=1000',
    'until=1001',
    'text=any',
  ])
    t.equal(asks(query), undefined, query)
  for (const artifact of [toHex(digest), `sha256:${toHex(digest)}`])
    t.equal(asks(`artifact=${artifact}&role=produced`), undefined)
  for (const query of [
    'type=urn:a',
    'type=urn:b*',
    'signer=00',
    'role=consumed',
    'since=1001',
    'until=1000',
    'artifact=sha512:00',
  ])
    t.type(asks(query), 'string', query)
  t.end()
})

t.test('addresses lead to views, and wrong ones to the list of logs', (t) => {
  t.same(parseRoute('#/log/models/12'), { view: 'event', log: 'models', index: 12 })
  t.same(parseRoute('#/log/models/timeline?size=7'), { view: 'timeline', log: 'models', size: 7 })
  t.equal(parseRoute('#/log/models/012').view, 'events')
  t.same(parseRoute('#/lineage/sha256:ab?direction=down'), {
    view: 'lineage',
    about: 'sha256:ab',
    direction: 'down',
  })
  for (const hash of ['', '#', '#/', '#/nothing', '#/log/']) t.equal(parseRoute(hash).view, 'logs', hash)
  t.end()
})

t.test('files are known by what is in them', (t) => {
  const kind = (text: string) => recognise('x', toUtf8(text)).kind
  t.equal(kind('c2sp.org/tlog-proof@v1\nindex 0\n\n'), 'evidence')
  t.equal(kind('treeline.evidence-of-fault@v1\nkind fork\n'), 'fault')
  t.equal(kind('{"checkpoint":"","hashes":[],"entry":""}'), 'receipt')
  t.equal(kind('{"payloadType":"x","payload":"","signatures":[]}'), 'envelope')
  t.equal(kind('{"format":"treeline.report@v1"}'), 'report')
  t.equal(kind(`log ${VKEY}\nquorum none\n`), 'trust')
  for (const text of ['', '{', '{"a":1}', 'log of yesterday\n', '\ud800']) t.equal(kind(text), 'other', text)
  t.end()
})

/** Events of two logs over few artifacts, some of whose digests begin alike. */
function entangled(count: number): readonly EventEntry[] {
  let state = 1
  const below = (n: number) => {
    state = (state * 48_271) % 2_147_483_647
    return state % n
  }
  const digest = (n: number) => new Uint8Array(32).fill(n % 3, 0, 4).fill(n, 4)
  return Array.from({ length: count }, (_, i) => ({
    ...{ kind: EVENT, time: 1_000 + i, keys: [new Uint8Array(32).fill(below(4))] },
    ...{ payloadType: 'text/plain', type: 'urn:example', hidden: 0, addendum: digest(i & 255), policy: 0 },
    artifacts: Array.from({ length: 1 + below(4) }, () => below(90))
      .filter((n, at, all) => all.indexOf(n) === at)
      .map((n) => ({ role: ([1, 2, 3] as const)[below(3)]!, algorithm: 'sha256', digest: digest(n) }))
      .sort((a, b) => a.role - b.role || a.digest[0]! - b.digest[0]! || a.digest[31]! - b.digest[31]!),
  }))
}

t.test('a graph of bytes answers as one of steps does', async (t) => {
  const [steps, bytes] = [new LineageGraph(), new ScannedGraph()]
  const marks = [{ log: 'one', index: 3, kind: 'quarantine', reason: 'bad' }] as const
  for (const log of ['one', 'two']) {
    bytes.begin(log, new Map())
    for (const [index, entry] of entangled(log === 'one' ? 120 : 90).entries()) {
      const step = lineageStep(log, index, entry)
      steps.add({ ...step, signers: step.keys.map((key) => key.slice(0, 12)) })
      bytes.add(encodeEntry(entry))
    }
  }
  steps.mark({ log: 'two', index: 7 }, marks[0])
  bytes.seal(new Map([['two 7', marks]]))
  let events = 0
  for (const direction of ['up', 'down', 'both'] as const)
    for (const depth of [1, 3, 24])
      for (let n = 0; n < 90; n += 7) {
        const start = `sha256:${toHex(new Uint8Array(32).fill(n % 3, 0, 4).fill(n, 4))}`
        const limits = { direction, depth, limit: 1_000 }
        const told = bytes.trace(start, limits)
        events += told.events.length
        t.same(told, steps.trace({ start: [start], ...limits }), `${direction} ${depth} ${n}`)
      }
  t.ok(events > 300, `${events} events`)
  const key = toHex(new Uint8Array(32).fill(2))
  const limits = { direction: 'down', depth: 2, limit: 1_000 } as const
  const told = bytes.bySigner(key, 1_050, 1_100, limits)
  t.ok(told.events.length > 20)
  t.same(told, steps.bySigner({ signer: key, since: 1_050, until: 1_100, ...limits }))
  t.equal(bytes.trace(`sha256:${'ee'.repeat(32)}`, limits).events.length, 0)
  t.end()
})

t.test('of a large graph the nearest nodes are drawn, and no edge hangs in the air', (t) => {
  const artifacts = Array.from({ length: 200 }, (_, i) => ({ id: `a:${i}`, distance: i >> 4, producers: 1 }))
  const common = { time: 0, type: 't', keys: [], signers: [], marks: [] }
  const events = Array.from({ length: 200 }, (_, index) => ({ log: 'l', index, distance: index >> 4, ...common }))
  const edges = artifacts.map(({ id }, index) => ({ log: 'l', index, artifact: id, role: 'produced' as const }))
  const lineage = { start: [], direction: 'up', depth: 99, truncated: false, artifacts, events, edges } as const
  const drawn = nearest(lineage, 100)
  t.equal(drawn.artifacts.length + drawn.events.length, 100)
  t.ok(drawn.edges.length > 40 && drawn.edges.every(({ index }) => index < drawn.events.length))
  t.same(nearest(lineage, 400), { artifacts, events, edges })
  t.end()
})

t.test('what somebody types is an artifact, a key, a time, or nothing', (t) => {
  t.equal(aboutOf(` ${'AB'.repeat(32)} `), `sha256:${'ab'.repeat(32)}`)
  t.equal(aboutOf(`gitCommit:${'AB'.repeat(20)}`), `gitCommit:${'ab'.repeat(20)}`)
  t.equal(aboutOf('model.bin'), undefined)
  t.equal(momentOf(''), undefined)
  t.equal(momentOf('1700000000000'), 1_700_000_000_000)
  t.equal(momentOf('2026-01-31T00:00:00'), Date.parse('2026-01-31T00:00:00Z'))
  t.ok(Number.isNaN(momentOf('yesterday')))
  t.same(parseRoute('#/lineage/key:ab?direction=down&since=&until=5'), {
    ...{ view: 'lineage', about: 'key:ab', direction: 'down' },
    ...{ since: '', until: '5' },
  })
  t.equal(preview(toUtf8('line\n'), 10), 'line\n')
  t.equal(
    preview(toUtf8('a\u202eb'), 10),
    '61 e2 80 ae 62',
    'text that would be shown in another order is not shown as text',
  )
  t.end()
})
