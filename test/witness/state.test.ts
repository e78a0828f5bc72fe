/** What a witness remembers, and what must never change it. */

import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { originHash } from '../../src/core/checkpoint.ts'
import { verifierKey } from '../../src/core/note.ts'
import { loadCosigner } from '../../witness/cosigner.ts'
import { initWitness, vkeysOf } from '../../witness/folder.ts'
import { parseLogList } from '../../witness/log-list.ts'
import { type Cosigned, createState, WitnessState } from '../../witness/state.ts'
import { temporaryFolder } from '../support/server.ts'
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }
import { add, makeVectorFolder, send, startWitness } from './harness.ts'
import { race } from './race.ts'
import { TwoFacedLog } from './two-faced-log.ts'

const ORIGIN = 'log.example/state'
const head = (size: bigint, time = 1, fill = 1): Cosigned => ({
  origin: ORIGIN,
  size,
  root: Buffer.alloc(32, fill),
  time,
  note: `note ${size}`,
})

function open(t: Test): { state: WitnessState; file: string } {
  const file = join(temporaryFolder(t), 'witness.db')
  createState(file, 'witness.example/w', 1e9)
  const state = WitnessState.open(file)
  t.teardown(() => state.close())
  return { state, file }
}

t.test('a head is stored whole, also of a size that no integer of SQLite holds', (t) => {
  const { state, file } = open(t)
  const largest = 2n ** 64n - 1n
  t.equal(state.cosigned(ORIGIN), undefined)
  state.advance(ORIGIN, (stored) => {
    t.equal(stored, undefined)
    return head(5n)
  })
  state.advance(ORIGIN, (stored) => {
    t.equal(stored?.size, 5n)
    return head(largest)
  })
  const again = WitnessState.open(file)
  t.match(again.cosigned(ORIGIN), { origin: ORIGIN, size: largest, note: `note ${largest}` })
  t.equal(again.cosignedByHash(originHash(ORIGIN))?.origin, ORIGIN)
  t.equal(again.durability, 'journal_mode=wal synchronous=FULL', 'also on a file that was opened before')
  again.close()
  t.end()
})

t.test('a step that throws changes nothing', (t) => {
  const { state } = open(t)
  state.advance(ORIGIN, () => head(5n))
  t.throws(
    () =>
      state.advance(ORIGIN, () => {
        throw new Error('no')
      }),
    /no/,
  )
  t.equal(state.cosigned(ORIGIN)?.size, 5n)
  // The WHERE clause: whatever happened to the row since it was read, a step from another head stores nothing.
  t.throws(
    () =>
      state.advance(ORIGIN, (stored) => {
        Object.assign(stored!, { size: 4n })
        return head(9n)
      }),
    { code: 'SIZE_CONFLICT' },
  )
  t.throws(
    () =>
      state.advance(ORIGIN, (stored) => {
        Object.assign(stored!, { root: Buffer.alloc(32, 7) })
        return head(9n)
      }),
    { code: 'SIZE_CONFLICT' },
  )
  t.equal(state.cosigned(ORIGIN)?.size, 5n)
  t.end()
})

t.test('the audited size goes forward only, and never above the cosigned one', (t) => {
  const { state } = open(t)
  const audited = (size: number) => ({
    size,
    subtrees: Buffer.alloc(32, size),
    memory: Buffer.from(`at ${size}`),
    note: 'n',
  })
  t.throws(() => state.advanceAudit(ORIGIN, 0, audited(0)), { code: 'SIZE_CONFLICT' }, 'nothing was cosigned')
  state.advance(ORIGIN, () => head(10n))
  t.equal(state.audited(ORIGIN), undefined)
  t.throws(() => state.advanceAudit(ORIGIN, 0, audited(11)), { code: 'SIZE_CONFLICT' }, 'above')
  t.equal(state.audited(ORIGIN), undefined, 'and no row is left behind')
  state.advanceAudit(ORIGIN, 0, audited(7))
  t.same(state.audited(ORIGIN), audited(7))
  for (const [from, to] of [
    [7, 6],
    [0, 8],
    [6, 8],
    [7, 11],
  ] as const) {
    t.throws(() => state.advanceAudit(ORIGIN, from, audited(to)), { code: 'SIZE_CONFLICT' }, `${from} to ${to}`)
  }
  state.advanceAudit(ORIGIN, 7, audited(10))
  state.advance(ORIGIN, () => head(2n ** 63n + 5n))
  state.advanceAudit(ORIGIN, 10, audited(11))
  t.same(state.audited(ORIGIN), audited(11))
  t.end()
})

t.test('an incident stops cosigning until it is cleared, and changes no head', (t) => {
  const { state, file } = open(t)
  state.advance(ORIGIN, () => head(5n))
  const before = state.cosigned(ORIGIN)
  const other = WitnessState.open(file)
  t.ok(other.freeze(ORIGIN, 'fork', 'two notes', 1_000))
  t.notOk(other.freeze(ORIGIN, 'fork', 'two notes', 2_000), 'the same again while it is open')
  t.ok(other.freeze(ORIGIN, 'invalid-entry', 'an entry', 3_000))
  t.match(state.frozen(ORIGIN), { kind: 'fork', opened: 1_000, evidence: 'two notes', cleared: null })
  t.throws(() => state.advance(ORIGIN, () => head(6n)), { code: 'FROZEN' })
  t.doesNotThrow(() => state.advance('log.example/other', () => ({ ...head(6n), origin: 'log.example/other' })))
  t.equal(other.clear('log.example/nobody', 4_000), 0)
  t.equal(other.clear(ORIGIN, 4_000), 2)
  t.equal(state.frozen(ORIGIN), undefined)
  t.same(state.cosigned(ORIGIN), before)
  t.same(
    state.incidents(ORIGIN).map(({ cleared }) => cleared),
    [4_000, 4_000],
  )
  state.advance(ORIGIN, () => head(6n))
  other.close()
  t.end()
})

t.test('a file that is not the state of a witness is refused', (t) => {
  t.throws(() => WitnessState.open('/nowhere/witness.db'), { code: 'USAGE' })
  const file = join(temporaryFolder(t), 'witness.db')
  writeFileSync(file, '')
  t.throws(() => WitnessState.open(file), { code: 'USAGE' }, 'an empty file, as a crash of init leaves it')
  t.throws(() => createState(file, 'w', 1e9), { code: 'USAGE' })
  t.end()
})

const SWAPPER = fileURLToPath(new URL('swapper.ts', import.meta.url))

class Swapper {
  readonly child: ChildProcess
  readonly #lines: AsyncIterator<string>
  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [SWAPPER, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]()
  }
  async hear(): Promise<string> {
    return String((await this.#lines.next()).value)
  }
  async swap(round: number): Promise<string> {
    this.child.stdin!.write(`${round}\n`)
    return await this.hear()
  }
}

async function swapRace(t: Test, careless: boolean): Promise<number> {
  const { state, file } = open(t)
  const flags = careless ? ['--careless'] : []
  const both = [1, 2].map((who) => new Swapper([file, ORIGIN, String(who), ...flags])) as [Swapper, Swapper]
  t.teardown(() => both.map(({ child }) => child.kill('SIGKILL')))
  for (const one of both) t.equal(await one.hear(), 'ready')
  let doubles = 0
  if (careless) state.advance(ORIGIN, () => head(0n))
  for (let round = 0; round < 50; round++) {
    const heard = await Promise.all(both.map((one) => one.swap(round)))
    const winners = heard.filter((word) => word === 'won').length
    if (winners === 2) doubles++
    else {
      t.same([...heard].sort(), ['SIZE_CONFLICT', 'won'], `round ${round}`)
      const stored = state.cosigned(ORIGIN)
      t.equal(stored?.size, BigInt(round + 1))
      t.equal(stored?.root[0], heard.indexOf('won') + 1, "the winner's root")
    }
  }
  return doubles
}

t.test('TW-16 two processes on one database do not both advance from one head', async (t) => {
  t.equal(await swapRace(t, false), 0)
})

t.test('two processes that compare first and store later do, and the race notices', async (t) => {
  t.ok((await swapRace(t, true)) > 0)
})

t.test('TW-16 of two contradictory requests at once one wins, and its root is stored', async (t) => {
  const log = new TwoFacedLog(ORIGIN)
  const data = temporaryFolder(t)
  makeVectorFolder(data)
  const witness = await startWitness(data, [log.vkey])
  t.teardown(() => witness.close())
  const { wins, broken } = await race(witness.url, log, 200)
  t.same(broken, [])
  t.equal(wins[0] + wins[1], 200)
  t.ok(wins[0] > 0 && wins[1] > 0, `each was first at times: ${wins}`)
})

t.test('a witness that compares with an older read cosigns both, and the race notices', async (t) => {
  const log = new TwoFacedLog(ORIGIN)
  const data = temporaryFolder(t)
  makeVectorFolder(data)
  let reads = 0
  let old: Cosigned | undefined
  const witness = await startWitness(data, [log.vkey], {
    wrap: (store) => ({
      advance(origin, step) {
        return store.advance(origin, (stored) => {
          if (reads++ % 2 === 0) old = stored
          return step(old)
        })
      },
    }),
  })
  t.teardown(() => witness.close())
  t.not((await race(witness.url, log, 5)).broken.length, 0)
})

t.test('a frozen log is answered 503 until it is cleared, with a reason', async (t) => {
  const log = new TwoFacedLog(ORIGIN)
  log.append('a')
  const data = temporaryFolder(t)
  makeVectorFolder(data)
  const witness = await startWitness(data, [log.vkey])
  t.teardown(() => witness.close())
  await add(witness.url, log.request(0))
  const path = `/${originHash(ORIGIN)}`
  t.equal((await send(witness.url, `${path}/faults`)).body, '')
  witness.state.freeze(ORIGIN, 'invalid-entry', 'the evidence\n', 1)
  const frozen = await add(witness.url, log.request(1))
  t.equal(frozen.status, 503)
  t.equal(frozen.headers['retry-after'], '60')
  t.match(frozen.body, /invalid-entry/)
  t.notMatch(frozen.body, /—/)
  t.match((await send(witness.url, '/readyz')).body, `"frozen":["${ORIGIN}"]`)
  t.equal((await send(witness.url, `${path}/faults`)).body, 'the evidence\n')
  t.match((await send(witness.url, '/metrics')).body, `treeline_witness_frozen{origin="${ORIGIN}"} 1`)
  witness.state.clear(ORIGIN, 2)
  t.equal((await add(witness.url, log.request(1))).status, 200)
  t.equal((await send(witness.url, `${path}/faults`)).body, 'the evidence\n', 'clearing forgets nothing')
  witness.state.advanceAudit(ORIGIN, 0, { size: 1, subtrees: Buffer.alloc(32), memory: Buffer.alloc(0), note: 'n' })
  const audited = await send(witness.url, `${path}/audited`)
  t.same(JSON.parse(audited.body), { origin: ORIGIN, cosigned: 1, audited: 1 })
})

t.test(
  'times of cosignatures never decrease: a clock that went back is believed by a few seconds at most',
  async (t) => {
    const log = new TwoFacedLog(ORIGIN)
    log.append('a')
    const data = temporaryFolder(t)
    makeVectorFolder(data)
    const witness = await startWitness(data, [log.vkey])
    t.teardown(() => witness.close())
    const first = await add(witness.url, log.request(0))
    witness.clock.now -= 5_000
    t.equal((await add(witness.url, log.request(1))).body, first.body, 'the time stands still')
    witness.clock.now -= 1_000
    const refused = await add(witness.url, log.request(1))
    t.equal(refused.status, 503)
    t.equal(refused.headers['retry-after'], '10')
    witness.clock.now += 10_000
    t.equal((await add(witness.url, log.request(1))).status, 200)
  },
)

t.test('a log that is gone from the list is 404, and its head stays for when it is back', async (t) => {
  const log = new TwoFacedLog(ORIGIN)
  log.append('a')
  const data = temporaryFolder(t)
  makeVectorFolder(data)
  const first = await startWitness(data, [log.vkey])
  t.equal((await add(first.url, log.request(0))).status, 200)
  await first.close()
  const without = await startWitness(data, [])
  t.equal((await add(without.url, log.request(1))).status, 404)
  t.equal(
    (await send(without.url, `/${originHash(ORIGIN)}/checkpoint`)).status,
    200,
    'what was cosigned is still served',
  )
  await without.close()
  const back = await startWitness(data, [log.vkey])
  t.teardown(() => back.close())
  t.equal((await add(back.url, log.request(0))).body, '1\n')
  t.equal((await add(back.url, log.request(1))).status, 200)
})

t.test('a list of logs is read strictly', (t) => {
  const { log, stranger, w1, 'log-next': next, 'log-pq': pq } = keys.keys
  const own = verifierKey('w', 4, Buffer.from(stranger.public_key_hex, 'hex'))
  const parse = (document: unknown, text = JSON.stringify(document)) => parseLogList(toUtf8(text), [own])
  const [one] = parse({
    logs: [
      {
        vkeys: [log.vkey, next.vkey, pq.vkey],
        url: 'https://log.example/models/',
        genesis: '0a'.repeat(32),
        keeper: true,
        witnesses: ['https://w.example'],
      },
    ],
  })
  t.match(one, { origin: log.name, url: 'https://log.example/models', tokenFile: undefined, keeper: true })
  t.equal(one?.keys.length, 3)
  t.same(parse({ logs: [] }), [])
  for (const [why, document] of [
    ['no object', []],
    ['no logs', {}],
    ['unknown member', { logs: [], more: 1 }],
    ['unknown member of an entry', { logs: [{ vkeys: [log.vkey], tokenfile: 'x' }] }],
    ['no key', { logs: [{ vkeys: [] }] }],
    ['keys are no array', { logs: [{ vkeys: log.vkey }] }],
    ['a key is no text', { logs: [{ vkeys: [7] }] }],
    ['malformed key', { logs: [{ vkeys: [log.vkey.replace('8c425583', '8c425584')] }] }],
    ['two names', { logs: [{ vkeys: [log.vkey, keys.keys.m1.vkey] }] }],
    ['a key twice', { logs: [{ vkeys: [log.vkey, log.vkey] }] }],
    ['an origin twice', { logs: [{ vkeys: [log.vkey] }, { vkeys: [next.vkey] }] }],
    ['the key of a witness', { logs: [{ vkeys: [w1.vkey] }] }],
    ["the witness's own key", { logs: [{ vkeys: [stranger.vkey] }] }],
    ['url of a file', { logs: [{ vkeys: [log.vkey], url: 'file:///etc' }] }],
    ['url with a query', { logs: [{ vkeys: [log.vkey], url: 'https://a/?b' }] }],
    ['token without url', { logs: [{ vkeys: [log.vkey], tokenFile: '/t' }] }],
    ['keeper without url', { logs: [{ vkeys: [log.vkey], keeper: true, genesis: '0a'.repeat(32) }] }],
    ['keeper without genesis', { logs: [{ vkeys: [log.vkey], url: 'https://a', keeper: true }] }],
    ['genesis is no hash', { logs: [{ vkeys: [log.vkey], url: 'https://a', genesis: '0A'.repeat(32) }] }],
    ['witnesses without url', { logs: [{ vkeys: [log.vkey], witnesses: ['https://w'] }] }],
    ['a witness is no URL', { logs: [{ vkeys: [log.vkey], url: 'https://a', witnesses: ['w'] }] }],
    ['keeper is no flag', { logs: [{ vkeys: [log.vkey], url: 'https://a', keeper: 'yes' }] }],
  ] as const) {
    t.throws(() => parse(document), { code: 'USAGE' }, why)
  }
  t.throws(() => parse(0, '{"logs":[],"logs":[]}'), { code: 'USAGE' }, 'duplicate member')
  t.throws(() => parse(0, '{'), { code: 'USAGE' })
  t.end()
})

t.test('keys are made once, for their owner alone, and belong to one name and one state', (t) => {
  const data = temporaryFolder(t)
  const name = 'witness.example/made'
  const made = initWitness(data, { name, mlDsa: true, newState: false, retention: 1e9 })
  t.same(
    made.keys.map(({ type }) => type),
    [4, 6],
  )
  t.equal(vkeysOf(loadCosigner(data, name)), vkeysOf(made))
  t.throws(
    () => initWitness(data, { name, mlDsa: false, newState: false, retention: 1e9 }),
    { code: 'USAGE' },
    'there is one',
  )
  rmSync(join(data, 'witness.db'))
  t.throws(
    () => initWitness(data, { name, mlDsa: false, newState: false, retention: 1e9 }),
    /--new-state/,
    'a lost state is no new one',
  )
  t.notOk(existsSync(join(data, 'witness.db')))
  t.throws(
    () => initWitness(data, { name: 'other.example', mlDsa: false, newState: true, retention: 1e9 }),
    /another name/,
  )
  t.throws(() => initWitness(data, { name, mlDsa: true, newState: true, retention: 1e9 }), { code: 'USAGE' })
  t.equal(vkeysOf(initWitness(data, { name, mlDsa: false, newState: true, retention: 1e9 })), vkeysOf(made))
  const key = join(data, 'witness.key')
  for (const mode of [0o640, 0o604]) {
    chmodSync(key, mode)
    t.throws(() => loadCosigner(data, name), /others can read/)
  }
  chmodSync(key, 0o600)
  loadCosigner(data, name)
  writeFileSync(key, 'no key')
  t.throws(() => loadCosigner(data, name), /not a PKCS#8/)
  rmSync(key)
  t.throws(() => loadCosigner(data, name), /does not exist/)
  const empty = temporaryFolder(t)
  for (const bad of ['', 'a b', 'a+b', 'x'.repeat(256)]) {
    t.throws(() => initWitness(empty, { name: bad, mlDsa: false, newState: false, retention: 1e9 }), { code: 'USAGE' })
  }
  t.throws(
    () => initWitness(empty, { name, mlDsa: false, newState: true, retention: 1e9 }),
    { code: 'USAGE' },
    'no keys to be new beside',
  )
  t.end()
})
