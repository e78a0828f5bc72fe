/**
 * One log as it grows to millions of entries: what stays as it was, and what does not. The log is filled by the product's own store and sequencer;
 * at each size a server is started afresh with the page cache dropped, and asked.
 *
 *   npm run bench:scale                                      50,000,000 raw entries of 100 bytes, 10,000,000 events in payloads of 300
 *   npm run bench:scale -- --raw 1000000 --events 0          only one of them, or less
 *   npm run bench:scale -- --out FILE                        figures into FILE.json, plots into FILE-raw.svg and FILE-events.svg
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import { toHex } from '../../src/core/bytes.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { formatTilePath } from '../../src/core/tile.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog, makeRawLog, ORIGIN } from '../support/server.ts'
import { formatChart } from './chart.ts'
import { load } from './client.ts'
import { fillEvents, fillRaw, rawEntry } from './fill.ts'
import type { Result, Work } from './job.ts'
import { type Running, run, start } from './programs.ts'

const { values } = parseArgs({
  options: {
    raw: { type: 'string', default: '50000000' },
    events: { type: 'string', default: '10000000' },
    seconds: { type: 'string', default: '4' },
    folder: { type: 'string', default: tmpdir() },
    out: { type: 'string' },
  },
})
const SECONDS = Number(values.seconds)
const SERVER = 'cmd/treeline-server.ts'
const SIZES = [100_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000]
const PAYLOAD_BYTES = 300
/** What an entry takes on the disk at most, with its index and its backup. */
const DISK_BYTES = { raw: 400, events: 2_500 } as const

type Kind = keyof typeof DISK_BYTES

interface Step {
  readonly size: number
  /** Entries a second since the step before. */
  readonly fillRate: number
  readonly startMs: number
  /** MiB. */
  readonly idle: number
  readonly loaded: number
  readonly cold: Rate
  readonly warm: Rate
  readonly tiles: Rate
  readonly append: Rate
  /** Of entries that are known, ms: the oldest, and those just written. */
  readonly oldKnown: Rate
  readonly newKnown: Rate
  /** Of the database for each entry, of events without their envelopes. */
  readonly bytes: number
}

type Rate = Pick<Result, 'p50' | 'p99'> & { readonly rate: number }

const folder = mkdtempSync(join(values.folder, 'treeline-scale-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
process.once('SIGINT', () => process.exit(130))

const actors = Array.from({ length: 40 }, () => new Actor())
const keys = actors.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())

function requireRoom(kind: Kind, entries: number): void {
  const { bavail, bsize } = statfsSync(folder)
  const need = entries * DISK_BYTES[kind]
  if (bavail * bsize < need)
    throw new Error(`${folder} has ${(bavail * bsize) / 1e9} GB, and this takes up to ${need / 1e9} GB`)
}

async function grow(kind: Kind, most: number): Promise<Step[]> {
  const data = join(folder, kind)
  if (kind === 'raw') await makeRawLog(data, 'test', ORIGIN)
  else {
    const rules = actors.map((actor) => ({ actor }))
    await makeEventLog(data, [new Actor()], rules)
  }
  const sizes = [...SIZES.filter((size) => size < most), most]
  const found: Step[] = []
  console.log(`\n${kind}\n${HEAD}`)
  for (const size of sizes) {
    const before = sizeOf(data)
    const began = performance.now()
    let said = began
    const progress = (now: number) => {
      if (performance.now() - said < 10_000) return
      said = performance.now()
      console.error(`  ${now} of ${size}, ${(((now - before) * 1000) / (said - began)).toFixed(0)} a second`)
    }
    if (kind === 'raw') await fillRaw(data, size, progress)
    else await fillEvents(data, size, keys, PAYLOAD_BYTES, progress)
    const fillRate = ((sizeOf(data) - before) * 1000) / (performance.now() - began)
    const step = await measure(kind, data, fillRate, sizes[0]!, size)
    found.push(step)
    console.log(lineOf(step))
  }
  await copyAndCheck(data)
  rmSync(data, { recursive: true })
  return found
}

async function measure(kind: Kind, data: string, fillRate: number, first: number, size: number): Promise<Step> {
  dropCaches()
  const began = performance.now()
  const flags = ['--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error', '--accept-clock']
  const server = await start(SERVER, ['serve', ...flags])
  while (!(await fetch(new URL('/readyz', server.url))).ok);
  const startMs = performance.now() - began
  const idle = rss(server)
  const random = (below: number) => Math.floor(Math.random() * below)
  const proofs = (): Work => {
    const paths = Array.from(
      { length: SECONDS * 15_000 },
      () => `/test/v1/proofs/inclusion?index=${random(size)}&size=${size}`,
    )
    return { kind: 'get', paths, count: paths.length }
  }
  const cold = await ask(server, 64, proofs())
  const warm = await ask(server, 64, proofs())
  const tilePaths = Array.from(
    { length: 50_000 },
    () => `/test/${formatTilePath({ level: 0, index: random(Math.floor(size / 256)), width: 256 })}`,
  )
  const tiles = await ask(server, 64, { kind: 'get', paths: tilePaths, count: SECONDS * 25_000 })
  const count = SECONDS * (kind === 'raw' ? 50_000 : 9_000)
  // The first seconds of appends after a start are those in which the engine compiles them, at every size.
  await ask(server, 64, appends(kind, size, count))
  const append = await ask(server, 64, appends(kind, size, count, 'compiled'))
  const oldKnown = await ask(server, 1, known(kind, first, 1_000))
  const newKnown = await ask(server, 1, known(kind, size, 1_000))
  const loaded = rss(server)
  await server.stop()
  return { size, fillRate, startMs, idle, loaded, cold, warm, tiles, append, oldKnown, newKnown, bytes: bytesOf(data) }
}

/** Events or entries that nobody has sent; of one size and round always the same ones. */
const appends = (kind: Kind, size: number, count: number, round = ''): Work =>
  kind === 'raw'
    ? {
        kind: 'post',
        path: '/test/add',
        bodies: Array.from({ length: count }, (_, i) => `${size} ${i} ${round}`.padEnd(100, 'x')),
      }
    : {
        kind: 'events',
        path: '/test/v1/events',
        keys,
        lines: 1,
        bytes: PAYLOAD_BYTES,
        count,
        seed: `step ${size} ${round}`,
      }

/** What was appended at that size, again. A raw log does not look for what it knows: there the index of a leaf hash is asked for. */
function known(kind: Kind, size: number, count: number): Work {
  if (kind === 'events') return appends(kind, size, count)
  const paths = Array.from({ length: count }, (_, i) => {
    const index = size - 1 - ((i * 7) % 10_000)
    return `/test/v1/proofs/inclusion?leaf=${toHex(leafHash(rawEntry(index)))}&size=${size}`
  })
  return { kind: 'get', paths, count }
}

async function ask({ url }: Running, connections: number, work: Work): Promise<Rate> {
  const target = { host: url.hostname, port: Number(url.port) }
  const { count, seconds, p50, p99, statuses } = await load(target, connections, SECONDS, work)
  const odd = Object.keys(statuses).filter((status) => !['200', '201'].includes(status))
  if (odd.length > 0) throw new Error(`unexpected answers ${JSON.stringify(statuses)}`)
  return { rate: count / seconds, p50, p99 }
}

async function copyAndCheck(data: string): Promise<void> {
  const size = sizeOf(data)
  const flags = ['--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error', '--accept-clock']
  const server = await start(SERVER, ['serve', ...flags])
  const backup = await run(SERVER, ['backup', '--data', data, '--to', `${data}-backup`])
  const megabytes = statSync(join(`${data}-backup`, 'logs/test/log.db')).size / 1e6
  console.log(
    `backup beside a server: ${megabytes.toFixed(0)} MB in ${backup.seconds.toFixed(1)} s, ${(megabytes / backup.seconds).toFixed(0)} MB/s, at most ${backup.peak.toFixed(0)} MiB`,
  )
  await server.stop()
  rmSync(`${data}-backup`, { recursive: true })
  dropCaches()
  const check = await run(SERVER, ['check', '--data', data, '--tree-only'])
  console.log(
    `check --tree-only, from the disk: ${(size / check.seconds).toFixed(0)} entries a second, ${check.seconds.toFixed(1)} s, at most ${check.peak.toFixed(0)} MiB`,
  )
}

/** Throws where it may not: a figure that says cold must be. */
function dropCaches(): void {
  execFileSync('sync')
  writeFileSync('/proc/sys/vm/drop_caches', '3')
}

const rss = ({ child }: Running): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024

function inDatabase<T>(data: string, sql: string): T {
  const db = new Database(join(data, 'logs/test/log.db'), { readonly: true })
  try {
    return db.prepare<[], T>(sql).pluck().get()!
  } finally {
    db.close()
  }
}

const sizeOf = (data: string): number => inDatabase(data, 'SELECT size FROM log')

function bytesOf(data: string): number {
  const file = statSync(join(data, 'logs/test/log.db')).size
  // Of some neighbours, since a sum over all would read the whole file.
  const envelope = inDatabase<number>(
    data,
    'SELECT coalesce(avg(length(bytes) - 16), 0) FROM (SELECT bytes FROM addenda LIMIT 1000 OFFSET 5000)',
  )
  return file / sizeOf(data) - envelope
}

const COLUMNS: readonly (readonly [string, (step: Step) => string])[] = [
  ['entries', ({ size }) => String(size)],
  ['filled/s', ({ fillRate }) => fillRate.toFixed(0)],
  ['start ms', ({ startMs }) => startMs.toFixed(0)],
  ['RSS MiB', ({ idle, loaded }) => `${idle.toFixed(0)}, ${loaded.toFixed(0)}`],
  ['cold proofs/s, p99', ({ cold }) => `${cold.rate.toFixed(0)}, ${cold.p99.toFixed(1)}`],
  ['warm', ({ warm }) => `${warm.rate.toFixed(0)}, ${warm.p99.toFixed(1)}`],
  ['tiles', ({ tiles }) => `${tiles.rate.toFixed(0)}, ${tiles.p99.toFixed(1)}`],
  ['appends/s, p99', ({ append }) => `${append.rate.toFixed(0)}, ${append.p99.toFixed(1)}`],
  ['old known ms, p99', ({ oldKnown }) => `${oldKnown.p50.toFixed(2)}, ${oldKnown.p99.toFixed(2)}`],
  ['new known', ({ newKnown }) => `${newKnown.p50.toFixed(2)}, ${newKnown.p99.toFixed(2)}`],
  ['B an entry', ({ bytes }) => bytes.toFixed(0)],
]
const HEAD = `| ${COLUMNS.map(([name]) => name).join(' | ')} |\n|${'---|'.repeat(COLUMNS.length)}`
function lineOf(step: Step): string {
  return `| ${COLUMNS.map(([, of]) => of(step)).join(' | ')} |`
}

function plot(kind: Kind, steps: readonly Step[]): string {
  const line = (name: string, of: (step: Step) => number) => ({
    name,
    points: steps.map((step) => [step.size, of(step)] as const),
  })
  return formatChart({
    title: kind === 'raw' ? 'A raw log, entries of 100 bytes' : `A log of events, payloads of ${PAYLOAD_BYTES} bytes`,
    axis: 'entries',
    logarithmic: true,
    panels: [
      { title: 'Appends, 64 connections', unit: 'a second', series: [line('', ({ append }) => append.rate)] },
      {
        title: 'Inclusion proofs, random',
        unit: 'a second',
        series: [line('cold', ({ cold }) => cold.rate), line('warm', ({ warm }) => warm.rate)],
        goal: 8_000,
      },
      {
        title: kind === 'raw' ? 'Index of a leaf hash, median' : 'A known event again, median',
        unit: 'ms',
        series: [
          line('the oldest', ({ oldKnown }) => oldKnown.p50),
          line('just written', ({ newKnown }) => newKnown.p50),
        ],
      },
      { title: 'Start to ready', unit: 'ms', series: [line('', ({ startMs }) => startMs)], goal: 1_000 },
      {
        title: 'Resident memory',
        unit: 'MiB',
        series: [line('after the start', ({ idle }) => idle), line('after the load', ({ loaded }) => loaded)],
        goal: 400,
      },
      { title: 'Filled', unit: 'entries a second', series: [line('', ({ fillRate }) => fillRate)] },
    ],
  })
}

console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}, synchronous=FULL`)
const steps: Partial<Record<Kind, readonly Step[]>> = {}
for (const kind of ['raw', 'events'] as const) {
  const most = Number(values[kind])
  if (most === 0) continue
  requireRoom(kind, most)
  const grown = await grow(kind, most)
  steps[kind] = grown
  if (values.out !== undefined) writeFileSync(`${values.out}-${kind}.svg`, plot(kind, grown))
}
if (values.out !== undefined) writeFileSync(`${values.out}.json`, JSON.stringify(steps, undefined, 1))
