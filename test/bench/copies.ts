/**
 * The benchmark of what a witness does with a whole log: audits it, with payloads and without, copies it to write-once storage in a folder,
 * verifies the copy, and restores a log from it. Real processes of server and witness, synchronous=FULL, three runs each, min / median / max.
 *
 *   npm run bench:copies                      65,536 events and some
 *   npm run bench:copies -- --events 5000     a smaller log: no pack
 *   npm run bench:copies -- --raw --events 1000000 --runs 1     entries of 250 bytes without a meaning
 */
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { originHash, parseCheckpoint, sizeOf } from '../../src/core/checkpoint.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { parseNote } from '../../src/core/note.ts'
import { LogReader } from '../../witness/log-reader.ts'
import { Actor } from '../support/actors.ts'
import { unmakeImmutable } from '../support/immutable.ts'
import { makeEventLog, makeRawLog, ORIGIN } from '../support/server.ts'
import { load, spread } from './client.ts'
import { type Running, run, start, type Usage, usageOf } from './programs.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '66000' },
    runs: { type: 'string', default: '3' },
    raw: { type: 'boolean', default: false },
  },
})
const EVENTS = Number(values.events)
const RUNS = Number(values.runs)
const EVENT_BYTES = 1024
const RAW_BYTES = 250
const LINES = 500
const WITNESS = 'cmd/treeline-witness.ts'

const folder = mkdtempSync(join(tmpdir(), 'treeline-bench-copies-'))
process.on('exit', () => {
  unmakeImmutable(folder)
  rmSync(folder, { recursive: true, force: true })
})
const made = (name: string): string => mkdtempSync(join(folder, `${name}-`))

interface Log {
  readonly server: Running
  readonly vkey: string
  readonly size: number
  /** What it has published of that size. */
  readonly note: string
  /** Leaf hash of its first entry; undefined of a raw log, where it means nothing. */
  readonly genesis: string | undefined
}

async function makeLog(): Promise<Log> {
  const data = made('log')
  const signers = Array.from({ length: 40 }, () => new Actor())
  const keys = signers.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  const rules = signers.map((actor) => ({ actor }))
  const vkey = values.raw
    ? await makeRawLog(data, 'test', ORIGIN)
    : (await makeEventLog(data, [new Actor()], rules)).vkey
  const flags = ['--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error', '--publish-interval', '100']
  const server = await start('cmd/treeline-server.ts', ['serve', ...flags])
  const target = { host: server.url.hostname, port: Number(server.url.port) }
  for (let done = 0; done < EVENTS; done += 20_000) {
    const count = Math.min(EVENTS - done, 20_000)
    const { statuses } = values.raw
      ? await load(target, 256, 600, { kind: 'post', path: '/test/add', bodies: rawEntries(done, count) })
      : await load(target, 4, 600, {
          ...{ kind: 'events', path: '/test/v1/events/batch', keys, lines: LINES, bytes: EVENT_BYTES },
          ...{ count, seed: `${done}` },
        })
    if (Object.keys(statuses).join() !== '200') throw new Error(`unexpected answers ${JSON.stringify(statuses)}`)
  }
  const size = values.raw ? EVENTS : EVENTS + 1
  for (;;) {
    const note = await (await fetch(new URL('/test/checkpoint', server.url))).text()
    if (sizeOf(parseCheckpoint(parseNote(toUtf8(note)).text)) === size)
      return { server, vkey, size, note, genesis: values.raw ? undefined : await genesisOf(server, size) }
    await pause(50)
  }
}

const rawEntries = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `entry ${from + i} `.padEnd(RAW_BYTES, 'x'))

async function genesisOf({ url }: Running, size: number): Promise<string> {
  const reader = new LogReader(`${url.origin}/test`)
  try {
    for await (const entry of reader.entries(0, 1, size)) return toHex(leafHash(entry))
    throw new Error('no genesis')
  } finally {
    await reader.close()
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A witness that has not seen the log yet. */
async function makeWitness({ server, vkey, genesis }: Log, keeper: boolean): Promise<string> {
  const data = made('witness')
  await run(WITNESS, ['init', '--data', data, '--name', 'bench.example/w'])
  const logs = [{ vkeys: [vkey], url: `${server.url.origin}/test`, keeper, ...(genesis && { genesis }) }]
  writeFileSync(join(data, 'logs.json'), JSON.stringify({ logs }))
  return data
}

const startWitness = (data: string, flags: readonly string[] = []): Promise<Running> => {
  const always = ['--data', data, '--logs', join(data, 'logs.json'), '--listen', '127.0.0.1:0', '--log-level', 'error']
  return start(WITNESS, ['run', ...always, ...flags])
}

async function text(witness: Running, path: string): Promise<string> {
  return (await fetch(new URL(path, witness.url))).text()
}

type Measured = Usage & { readonly seconds: number }

/** Until `done`, asked so seldom that asking is no part of what is measured. */
async function measure(witness: Running, done: () => Promise<boolean>): Promise<Measured> {
  const before = usageOf(witness.child)!.cpu
  const began = performance.now()
  while (!(await done())) await pause(100)
  const seconds = (performance.now() - began) / 1000
  const { cpu, peak } = usageOf(witness.child)!
  await witness.stop()
  return { seconds, cpu: cpu - before, peak }
}

/** From the question for a cosignature to the audit of the last entry. */
async function audit(log: Log, data: string): Promise<Measured> {
  const witness = await startWitness(data, ['--audit-interval', '10'])
  const body = Buffer.from(formatAddCheckpoint({ old: 0n, proof: [], note: toUtf8(log.note) }))
  const answer = await fetch(new URL('/add-checkpoint', witness.url), { method: 'POST', body })
  if (answer.status !== 200) throw new Error(`add-checkpoint: ${answer.status}`)
  const path = `/${originHash(ORIGIN)}/audited`
  return measure(witness, async () => (await text(witness, path)).includes(`"audited":${log.size}}`))
}

/** From the start of a witness that has audited all to the first snapshot. */
async function snapshot(log: Log, data: string, worm: string): Promise<Measured> {
  const witness = await startWitness(data, ['--worm', worm])
  const done = new RegExp(`^treeline_witness_snapshot_size{.*} ${log.size}$`, 'm')
  return measure(witness, async () => done.test(await text(witness, '/metrics')))
}

const verify = (data: string, worm: string): Promise<Measured> =>
  run(WITNESS, ['verify', '--data', data, '--worm', worm])

/** Payloads opened; trusting the log alone, since it was published without witnesses. */
function restore(data: string, worm: string, { vkey }: Log): Promise<Measured> {
  const trust = join(data, 'trust')
  writeFileSync(trust, `log ${vkey}\nquorum none\n`)
  const keys = values.raw ? [] : ['--keys', join(data, 'keys.db')]
  const from = ['--from', worm, '--trust', trust, '--vkey', join(data, 'snapshot.vkey'), ...keys]
  return run('cmd/treeline-server.ts', ['restore', '--data', made('restored'), '--name', 'test', ...from])
}

function bytesIn(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
}

const COLUMNS = ['what', 'entries a second', 'MB a second', 'CPU of it, µs an entry', 'its peak RSS, MiB'] as const
const line = (...cells: readonly string[]): void =>
  console.log(`| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(30) : cell.padStart(24))).join(' | ')} |`)

function row(what: string, runs: readonly Measured[], entries: number, bytes?: number): void {
  const of = (pick: (run: Measured) => number, digits = 0) => spread(runs.map(pick), digits)
  line(
    what,
    of(({ seconds }) => entries / seconds),
    bytes === undefined ? '' : of(({ seconds }) => bytes / seconds / 1e6, 1),
    of(({ cpu }) => (1e6 * cpu) / entries),
    of(({ peak }) => peak),
  )
}

const log = await makeLog()
console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}, ${log.server.durability}`)
const what = values.raw ? `raw entries of ${RAW_BYTES} bytes` : `events of ${EVENT_BYTES} bytes with two artifacts`
console.log(`${EVENTS} ${what}; ${RUNS} runs, min / median / max\n`)
line(...COLUMNS)

let audited = ''
for (const keeper of values.raw ? [false] : [false, true]) {
  const runs: Measured[] = []
  for (let i = 0; i < RUNS; i++) {
    audited = await makeWitness(log, keeper)
    runs.push(await audit(log, audited))
  }
  row(keeper ? 'audit as a keeper' : 'audit without payloads', runs, log.size)
}

const [copies, checks, restored]: [Measured[], Measured[], Measured[]] = [[], [], []]
let bytes = 0
for (let i = 0; i < RUNS; i++) {
  const data = made('copying')
  cpSync(audited, data, { recursive: true })
  const worm = made('worm')
  copies.push(await snapshot(log, data, worm))
  bytes = bytesIn(worm)
  checks.push(await verify(data, worm))
  restored.push(await restore(data, worm, log))
  unmakeImmutable(worm)
  rmSync(worm, { recursive: true })
}
row('snapshot to a folder', copies, log.size, bytes)
row('verify, process start included', checks, log.size, bytes)
row('restore, process start included', restored, log.size, bytes)
await log.server.stop()
