/**
 * The soak: a server and its witness under four fifths of their peak, for half an hour, and what becomes of memory and latency meanwhile.
 *
 *   npm run bench:soak                               30 minutes
 *   npm run bench:soak -- --minutes 3 --out FILE     shorter; figures into FILE.json, a plot into FILE.svg
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { toHex } from '../../src/core/bytes.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog } from '../support/server.ts'
import { formatChart } from './chart.ts'
import { type Running, run, start } from './programs.ts'
import type { SteadyJob, Window } from './steady.ts'
import { type Trend, trendOf } from './trend.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    workers: { type: 'string', default: '0' },
    out: { type: 'string' },
  },
})
const MINUTES = Number(values.minutes)
const SERVER = 'cmd/treeline-server.ts'
const WITNESS = 'cmd/treeline-witness.ts'
const CONNECTIONS = 64
const EVENT_BYTES = 1_024
const WINDOW = 5
/** For which the peak is looked for, s. */
const PEAK = 60
/** Of the peak. */
const SHARE = 0.8
/** What is warming up is left out of the trend: five minutes, or a sixth of a short run. */
const WARM = Math.min(300, (MINUTES * 60) / 6)
const PART = Math.min(300, (MINUTES * 60) / 6)

interface Sample extends Window {
  /** MiB. */
  readonly rss: number
  readonly heap: number
  readonly witnessRss: number
  readonly witnessHeap: number
  /** Of the witness, outside its heap: buffers. */
  readonly witnessBuffers: number
  readonly journal: number
  readonly files: number
  /** 99th percentile of how late the event loop is, ms. */
  readonly lag: number
}

const folder = mkdtempSync(join(tmpdir(), 'treeline-soak-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
process.once('SIGINT', () => process.exit(130))

const signers = Array.from({ length: 40 }, () => new Actor())
const keys = signers.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
const data = join(folder, 'data')
const rules = signers.map((actor) => ({ actor }))
const { vkey } = await makeEventLog(data, [new Actor()], rules)

const port = await freePort()
const witness = await startWitness()
const server = await startServer()
console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}, ${server.durability}`)

const base: Omit<SteadyJob, 'seconds' | 'seed'> = {
  ...{ host: '127.0.0.1', port, connections: CONNECTIONS, keys, bytes: EVENT_BYTES, window: WINDOW },
}
let reads = 0
let reading = true
const readers = read()
const peaks: Window[] = []
// Beside the same readers, index and witness, and long enough for them to fall behind and catch up.
await offer({ ...base, seconds: PEAK + 1, seed: 'peak' }, (window) => peaks.push(window))
const peak = median(peaks.slice(2).map(({ answered }) => answered / WINDOW))
const rate = Math.floor(peak * SHARE)
console.log(
  `peak ${peak.toFixed(0)} events a second at ${CONNECTIONS} connections; ${rate} a second are offered for ${MINUTES} minutes`,
)

const samples: Sample[] = []
await offer({ ...base, seconds: MINUTES * 60, rate, seed: 'soak' }, async (window) => {
  const sample = { ...window, ...(await look()) }
  samples.push(sample)
  if (samples.length % 12 === 0)
    console.log(
      `${(sample.at / 60).toFixed(0)} min: ${(sample.answered / WINDOW).toFixed(0)}/s, p99 ${sample.p99.toFixed(0)} ms, RSS ${sample.rss.toFixed(0)} MiB, heap ${sample.heap.toFixed(0)}, journal ${sample.journal.toFixed(0)} MiB, ${sample.files} files, witness ${sample.witnessRss.toFixed(0)} MiB`,
    )
})
reading = false
await readers
const size = await logSize()
await server.stop()
await witness.stop()
report()

/** Tells of each window; rejects when the client ends early. */
async function offer(job: SteadyJob, tell: (window: Window) => unknown): Promise<void> {
  const child = fork(new URL('./steady.ts', import.meta.url))
  try {
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message: Window | 'end') => (message === 'end' ? resolve() : tell(message)))
      child.once('exit', (code) => reject(new Error(`the client ended with ${code}`)))
      child.send(job)
    })
  } finally {
    child.kill()
  }
}

/** Proofs, tiles, lists and evidence, some twenty a second, from all over the log. */
async function read(): Promise<void> {
  while (reading) {
    const size = Math.max(1, (await logSize()) - 10_000)
    const index = Math.floor(Math.random() * size)
    const tile = String(Math.floor(index / 256)).padStart(6, '0')
    const paths = [
      `v1/proofs/inclusion?index=${index}&size=${size}`,
      ...(index + 256 < size ? [`tile/0/x${tile.slice(0, 3)}/${tile.slice(3)}`.replace('/x000/', '/')] : []),
      `v1/events/${index}`,
      `v1/evidence/${index}`,
      `v1/events?limit=50&type=${encodeURIComponent('urn:treeline:bench:v1')}`,
    ]
    for (const path of paths) {
      const answer = await fetch(`http://127.0.0.1:${port}/test/${path}`)
      await answer.arrayBuffer()
      // What is not published yet has no evidence.
      if (!answer.ok && answer.status !== 404) throw new Error(`${path}: ${answer.status}`)
      reads++
      await pause(40)
    }
  }
}

async function look(): Promise<Omit<Sample, keyof Window>> {
  const gauge = await gaugesOf(server, 'treeline')
  const ofWitness = await gaugesOf(witness, 'treeline_witness')
  const journals = ['log.db-wal', 'index.db-wal'].map((name) => join(data, 'logs/test', name))
  return {
    rss: rssOf(server.child),
    heap: gauge('nodejs_heap_size_used_bytes') / 2 ** 20,
    witnessRss: rssOf(witness.child),
    witnessHeap: ofWitness('nodejs_heap_size_total_bytes') / 2 ** 20,
    witnessBuffers: ofWitness('nodejs_external_memory_bytes') / 2 ** 20,
    journal: journals.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0) / 2 ** 20,
    files: readdirSync(`/proc/${server.child.pid}/fd`).length,
    lag: gauge('nodejs_eventloop_lag_p99_seconds') * 1000,
  }
}

async function gaugesOf({ url }: Running, prefix: string): Promise<(name: string) => number> {
  const metrics = await (await fetch(new URL('/metrics', url))).text()
  return (name) => Number(new RegExp(`^${prefix}_${name}(?:{[^}]*})? (\\S+)`, 'm').exec(metrics)?.[1])
}

function rssOf({ pid }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

async function logSize(): Promise<number> {
  const [log] = (await (await fetch(new URL('/v1/logs', server.url))).json()) as { size: number }[]
  return log!.size
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => probe.close(resolve))
  return port
}

async function startWitness(): Promise<Running> {
  const own = join(folder, 'witness')
  await run(WITNESS, ['init', '--data', own, '--name', 'bench.example/w'])
  const store = SqliteStore.open(join(data, 'logs/test/log.db'), { readonly: true })
  const genesis = toHex(leafHash((await store.entry(0))!))
  await store.close()
  const logs = [{ vkeys: [vkey], url: `http://127.0.0.1:${port}/test`, keeper: false, genesis }]
  writeFileSync(join(own, 'logs.json'), JSON.stringify({ logs }))
  const flags = ['--data', own, '--logs', join(own, 'logs.json'), '--listen', '127.0.0.1:0', '--log-level', 'error']
  return start(WITNESS, ['run', ...flags])
}

async function startServer(): Promise<Running> {
  const cosigner = readFileSync(join(folder, 'witness/witness.vkey'), 'utf8').trim()
  const policy = join(folder, 'witnesses.txt')
  writeFileSync(policy, `log ${vkey}\nwitness w ${cosigner} ${witness.url.origin}\nquorum w\n`)
  const flags = ['--data', data, '--listen', `127.0.0.1:${port}`, '--log-level', 'error', '--witness-policy', policy]
  return start(SERVER, ['serve', ...flags, '--workers', values.workers])
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!
}

function report(): void {
  const warm = samples.filter(({ at }) => at > WARM)
  const trends: [string, Trend][] = [
    ['RSS of the server', trendOf(warm.map(({ at, rss }) => [at, rss]))],
    ['heap of the server', trendOf(warm.map(({ at, heap }) => [at, heap]))],
    ['RSS of the witness', trendOf(warm.map(({ at, witnessRss }) => [at, witnessRss]))],
    ['heap of the witness, with its free pages', trendOf(warm.map(({ at, witnessHeap }) => [at, witnessHeap]))],
    ['buffers of the witness', trendOf(warm.map(({ at, witnessBuffers }) => [at, witnessBuffers]))],
    ['open files', trendOf(warm.map(({ at, files }) => [at, files]))],
  ]
  console.log(`\n${size} entries at the end, ${reads} reads beside; answers by status: ${statuses()}`)
  for (const [name, { mean, slope, error }] of trends) {
    const per = (value: number) => (value * 600).toFixed(1)
    // Two standard errors are what chance does; less than one part in a hundred is nothing to find out about in half an hour.
    const grows = slope > 2 * error && slope * 600 > mean / 100
    console.log(
      `${name}: ${mean.toFixed(0)} in the mean, ${per(slope)} ± ${per(2 * error)} in ten minutes: ${grows ? 'GROWS' : 'does not grow'}`,
    )
  }
  const parts: number[] = []
  for (let from = 0; from + PART <= MINUTES * 60 + WINDOW; from += PART)
    parts.push(median(samples.filter(({ at }) => at > from && at <= from + PART).map(({ p99 }) => p99)))
  const stable = Math.max(...parts.slice(1)) <= 1.5 * median(parts.slice(1))
  console.log(
    `p99 of the windows of ${WINDOW} s, median of each ${PART} s: ${parts.map((p99) => p99.toFixed(0)).join(', ')} ms: ${stable ? 'stable' : 'NOT STABLE'}`,
  )
  if (values.out === undefined) return
  writeFileSync(`${values.out}.json`, JSON.stringify({ peak, rate, size, reads, samples }))
  const line = (name: string, of: (sample: Sample) => number) => ({
    name,
    points: samples.map((sample) => [sample.at / 60, of(sample)] as const),
  })
  writeFileSync(
    `${values.out}.svg`,
    formatChart({
      title: `${rate} events a second for ${MINUTES} minutes: ${Math.round(SHARE * 100)} % of the peak`,
      axis: 'minutes',
      panels: [
        {
          title: 'Resident memory',
          unit: 'MiB',
          series: [
            line('server', ({ rss }) => rss),
            line('its heap', ({ heap }) => heap),
            line('witness', ({ witnessRss }) => witnessRss),
          ],
        },
        { title: 'Answered', unit: 'events a second', series: [line('', ({ answered }) => answered / WINDOW)] },
        {
          title: 'Latency of writes',
          unit: 'ms',
          series: [line('p50', ({ p50 }) => p50), line('p99', ({ p99 }) => p99)],
        },
        { title: 'Journals', unit: 'MiB', series: [line('', ({ journal }) => journal)] },
      ],
    }),
  )
}

function statuses(): string {
  const sum: Record<string, number> = {}
  for (const sample of samples)
    for (const [status, count] of Object.entries(sample.statuses)) sum[status] = (sum[status] ?? 0) + count
  return Object.entries(sum)
    .map(([status, count]) => `${count} × ${status}`)
    .join(', ')
}
