/**
 * The benchmark: a real server process with synchronous=FULL, a client in its own process, events signed before
 * the clock starts. Each figure is min, median and max of three runs on a log that keeps growing.
 *
 *   npm run bench                    all of it, with 1,000,000 entries: some ten minutes
 *   npm run bench -- --entries 20000 a smaller log
 *   npm run bench -- --batches-only  signed batches alone
 *   npm run bench -- --workers 2     with threads that serve
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { Actor } from '../support/actors.ts'
import { makeEventLog, ORIGIN } from '../support/server.ts'
import { load, spread } from './client.ts'
import type { Result, Work } from './job.ts'
import { flagsOf } from './programs.ts'

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '5' },
    'batches-only': { type: 'boolean', default: false },
    workers: { type: 'string', default: '0' },
  },
})
const ENTRIES = Number(values.entries)
const SECONDS = Number(values.seconds)
const THREADS = ['--workers', values.workers]
const SERVER = 'cmd/treeline-server.ts'
const LISTEN = ['--listen', '127.0.0.1:0']
const RUNS = 3
const EVENT_BYTES = 1024

const data = mkdtempSync(join(tmpdir(), 'treeline-bench-'))
process.on('exit', () => rmSync(data, { recursive: true, force: true }))
const database = join(data, 'logs/test/log.db')

const signers = Array.from({ length: 40 }, () => new Actor())
const keys = signers.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
await makeEventLog(
  data,
  [new Actor()],
  signers.map((actor) => ({ actor })),
)

interface Server {
  readonly process: ChildProcess
  readonly host: string
  readonly port: number
  readonly startMs: number
  readonly durability: string
}

async function start(): Promise<Server> {
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [...flagsOf(SERVER), SERVER, 'serve', '--data', data, ...LISTEN, '--log-level', 'warn', ...THREADS],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let durability = 'not said'
  createInterface({ input: child.stderr! }).on('line', (line) => {
    if (/"level":(50|60)/.test(line)) console.error(line)
  })
  const url = await new Promise<URL>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    createInterface({ input: child.stdout! }).on('line', (line) => {
      durability = /\((journal_mode.*)\)/.exec(line)?.[1] ?? durability
      const found = /listens on (http\S+)/.exec(line)?.[1]
      if (found) resolve(new URL(found))
    })
  })
  return { process: child, host: url.hostname, port: Number(url.port), startMs: performance.now() - began, durability }
}

async function stop(server: Server): Promise<void> {
  const ended = new Promise((resolve) => server.process.once('exit', resolve))
  server.process.kill('SIGTERM')
  await ended
}

/** MB/s of the disk under the data folder, as a log writes: a piece, and a sync. */
function diskRate(): number {
  const file = join(data, 'disk')
  const handle = openSync(file, 'w')
  const piece = new Uint8Array(2 ** 20).fill(7)
  const began = performance.now()
  let written = 0
  while (performance.now() - began < 2_000) {
    written += writeSync(handle, piece)
    fsyncSync(handle)
  }
  const rate = written / 1e3 / (performance.now() - began)
  closeSync(handle)
  rmSync(file)
  return rate
}

function row(name: string, rate: string, p99: string, note = ''): void {
  console.log(`| ${name.padEnd(44)} | ${rate.padStart(26)} | ${p99.padStart(22)} | ${note}`)
}

/** Runs one measure three times and prints it. Every answer must have a status of `expect`. */
async function measure(
  name: string,
  server: Server,
  connections: number,
  work: (run: number) => Work,
  expect: readonly string[],
): Promise<void> {
  const results: Result[] = []
  for (let run = 0; run < RUNS; run++) {
    const result = await load(server, connections, SECONDS, work(run))
    const odd = Object.keys(result.statuses).filter((status) => !expect.includes(status))
    if (odd.length > 0) throw new Error(`${name}: unexpected answers ${JSON.stringify(result.statuses)}`)
    results.push(result)
  }
  const [first] = [work(0)]
  const lines = first!.kind === 'events' ? first!.lines : first!.kind === 'batches' ? first!.items : 1
  row(
    name,
    spread(results.map((one) => (one.count * lines) / one.seconds)),
    spread(
      results.map((one) => one.p99),
      1,
    ),
    lines > 1 ? `${lines} a request` : '',
  )
}

const memory = (server: Server): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024

let seed = 0
const events = (count: number, lines = 1): Work => ({
  kind: 'events',
  path: lines === 1 ? '/test/v1/events' : '/test/v1/events/batch',
  keys,
  count,
  lines,
  bytes: EVENT_BYTES,
  seed: `run ${seed++}`,
})
const gets = (paths: readonly string[]): Work => ({ kind: 'get', paths, count: 400_000 })

async function size(server: Server): Promise<number> {
  const logs = (await (await fetch(`http://${server.host}:${server.port}/v1/logs`)).json()) as { size: number }[]
  return logs[0]!.size
}

let server = await start()
console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}, ${server.durability}`)
console.log(`events of ${EVENT_BYTES} bytes by ${keys.length} keys; ${RUNS} runs of ${SECONDS} s, min / median / max\n`)
row('what', 'per second', 'p99 ms')
row('-'.repeat(44), '-'.repeat(26), '-'.repeat(22))

// Enough for a rate that one process cannot reach; a run that used them up would have measured its own end.
const enough = SECONDS * 12_000
if (!values['batches-only']) {
  await measure('events, 1 connection', server, 1, () => events(SECONDS * 3_000), ['201'])
  await measure('events, 64 connections', server, 64, () => events(enough), ['201'])
  await measure('events, 512 connections', server, 512, () => events(enough), ['201'])
  await measure('events in NDJSON, 4 connections', server, 4, () => events(enough, 500), ['200'])
}

/** Enough for ten times the rate of single events. */
const batches = (bytes: number): Work => ({
  kind: 'batches',
  path: '/test/v1/events/batch',
  origin: ORIGIN,
  keys,
  count: Math.ceil(SECONDS * 120),
  items: 1_000,
  bytes,
  seed: `batch ${seed++}`,
})
for (const bytes of [1_024, 300])
  await measure(`signed batches, payloads of ${bytes} B, 4 connections`, server, 4, () => batches(bytes), ['201'])
console.log(`\nthe disk writes ${diskRate().toFixed(0)} MB/s in pieces of 1 MiB, each synced\n`)
if (values['batches-only']) {
  await stop(server)
  process.exit(0)
}

const envelopeBytes = (): number => {
  const db = new Database(database, { readonly: true })
  const { total } = db.prepare('SELECT sum(length(bytes)) - 16 * count(*) AS total FROM addenda').get() as {
    total: number
  }
  db.close()
  return total
}

process.stderr.write(`filling to ${ENTRIES} entries`)
while ((await size(server)) < ENTRIES) {
  const left = ENTRIES - (await size(server))
  await load(server, 4, 600, events(Math.min(left, 50_000), 500))
  process.stderr.write('.')
}
process.stderr.write('\n')

const total = await size(server)
const random = (count: number) => Array.from({ length: count }, () => Math.floor(Math.random() * total))
const proofs = random(100_000).map((index) => `/test/v1/proofs/inclusion?index=${index}&size=${total}`)
await measure('inclusion proofs, warm, 64 connections', server, 64, () => gets(proofs.slice(0, 256)), ['200'])
await measure(
  'inclusion proofs, random, 64 connections',
  server,
  64,
  () => gets(random(100_000).map((index) => `/test/v1/proofs/inclusion?index=${index}&size=${total}`)),
  ['200'],
)
const { formatTilePath } = await import('../../src/core/tile.ts')
const tiles = (level: number | 'entries') =>
  random(10_000).map(
    (index) =>
      `/test/${formatTilePath({ level, index: Math.min(Math.floor(index / 256), Math.floor(total / 256) - 1), width: 256 })}`,
  )
await measure('tiles of level 0, 64 connections', server, 64, () => gets(tiles(0)), ['200'])
await measure('entry bundles in gzip, 64 connections', server, 64, () => gets(tiles('entries')), ['200'])
await measure('checkpoint, 64 connections', server, 64, () => gets(['/test/checkpoint']), ['200'])
const loaded = memory(server)
await stop(server)

console.log(`\nat ${total} entries:`)
const bytes = statSync(database).size
console.log(
  `  database                ${(bytes / 2 ** 20).toFixed(0)} MiB, ${(bytes / total).toFixed(0)} B an event, ${((bytes - envelopeBytes()) / total).toFixed(0)} B beyond the envelope`,
)
const table = new Database(database, { readonly: true })
try {
  for (const { name, size } of table
    .prepare('SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name ORDER BY size DESC LIMIT 6')
    .all() as { name: string; size: number }[]) {
    console.log(`    ${name.padEnd(22)}${(size / total).toFixed(1)} B an event`)
  }
} catch {
  // dbstat is a compile-time option of SQLite.
} finally {
  table.close()
}

/** Makes the kernel forget what it has read, so that the disk answers; says whether it may. */
function dropCaches(): boolean {
  try {
    execFileSync('sync')
    writeFileSync('/proc/sys/vm/drop_caches', '3')
    return true
  } catch {
    return false
  }
}

const starts: number[] = []
const idle: number[] = []
for (let run = 0; run < RUNS; run++) {
  const dropped = dropCaches()
  server = await start()
  starts.push(server.startMs)
  idle.push(memory(server))
  const cold = random(20_000).map((index) => `/test/v1/proofs/inclusion?index=${index}&size=${total}`)
  const result = await load(server, 64, SECONDS, { kind: 'get', paths: cold, count: cold.length })
  console.log(
    `  proofs, cold            ${(result.count / result.seconds).toFixed(0)} a second, p99 ${result.p99.toFixed(1)} ms (${dropped ? 'page cache dropped' : 'page cache as it was'})`,
  )
  await stop(server)
}
console.log(`  start to first answer   ${spread(starts)} ms`)
console.log(`  memory                  ${spread(idle)} MiB after start, ${loaded.toFixed(0)} MiB after the load`)

const checks: number[] = []
for (let run = 0; run < RUNS; run++) {
  const began = performance.now()
  const check = spawn(process.execPath, [SERVER, 'check', '--data', data], { stdio: 'ignore' })
  const code = await new Promise((resolve) => check.once('exit', resolve))
  if (code !== 0) throw new Error('check refused the log')
  checks.push(total / ((performance.now() - began) / 1000))
}
console.log(`  check                   ${spread(checks)} entries a second, process start included`)
