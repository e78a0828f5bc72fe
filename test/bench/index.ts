/**
 * The benchmark of search and lineage: how fast an index is made, how far it is behind a log that takes events, and how long answers take over a
 * generated history. Real server processes; requests one after the other, so that a figure is the time of an answer.
 *
 *   npm run bench:index                        200,000 events
 *   npm run bench:index -- --events 20000      a smaller history
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Lineage } from '../../schemas/types.ts'
import { logFiles } from '../../src/store/folder.ts'
import { Actor } from '../support/actors.ts'
import { makeHistory, writeHistory } from '../support/history.ts'
import { makeEventLog } from '../support/server.ts'
import { load, spread } from './client.ts'
import { type Running, run, start, usageOf } from './programs.ts'

const { values } = parseArgs({
  options: { events: { type: 'string', default: '200000' }, runs: { type: 'string', default: '3' } },
})
const RUNS = Number(values.runs)
const SERVER = 'cmd/treeline-server.ts'
const folder = mkdtempSync(join(tmpdir(), 'treeline-bench-index-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const actors = Array.from({ length: 40 }, () => new Actor())
const serve = (data: string): Promise<Running> =>
  start(SERVER, ['serve', '--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error', '--accept-clock'])

async function makeLog(data: string, name: string): Promise<void> {
  const rules = actors.map((actor, i) => ({ actor, name: `signer-${i}`, shared: true }))
  await makeEventLog(data, [new Actor()], rules, { name, origin: `log.example/${name}` })
}

const indexSize = async ({ url }: Running, log: string): Promise<number> => {
  const text = await (await fetch(new URL('/metrics', url))).text()
  return Number(new RegExp(`treeline_log_index_size\\{log="${log}"\\} (\\d+)`).exec(text)?.[1] ?? 0)
}
const logSize = async ({ url }: Running, log: string): Promise<number> => {
  const logs = (await (await fetch(new URL('/v1/logs', url))).json()) as { name: string; size: number }[]
  return logs.find(({ name }) => name === log)!.size
}

console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}; ${RUNS} runs, min / median / max`)

async function behindAppends(): Promise<void> {
  const data = mkdtempSync(join(folder, 'append-'))
  await makeLog(data, 'test')
  const server = await serve(data)
  const keys = actors.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  const target = { host: server.url.hostname, port: Number(server.url.port) }
  const [rates, lags, after, cpu]: number[][] = [[], [], [], []]
  for (let i = 0; i < RUNS; i++) {
    let behind = 0
    let sampling = true
    const before = await logSize(server, 'test')
    const used = usageOf(server.child)!.cpu
    const sampler = (async () => {
      while (sampling) {
        // The index first: what is committed between the two questions counts against it.
        const at = await indexSize(server, 'test')
        behind = Math.max(behind, (await logSize(server, 'test')) - at)
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    })()
    const work = { kind: 'events', path: '/test/v1/events', keys, lines: 1, bytes: 1_024, count: 60_000 } as const
    const result = await load(target, 64, 5, { ...work, seed: `run ${i}` })
    sampling = false
    await sampler
    const size = await logSize(server, 'test')
    const ended = performance.now()
    while ((await indexSize(server, 'test')) < size) await new Promise((resolve) => setTimeout(resolve, 10))
    rates!.push(result.count / result.seconds)
    lags!.push(behind)
    after!.push(performance.now() - ended)
    cpu!.push(((usageOf(server.child)!.cpu - used) / (size - before)) * 1e6)
  }
  await server.stop()
  console.log(`\nbehind appends, 64 connections, 1 KiB, the client on the same cores:`)
  console.log(`  events a second                      ${spread(rates!)}`)
  console.log(`  entries that the index was behind    ${spread(lags!)} at most`)
  console.log(`  caught up after the last one         ${spread(after!)} ms`)
  console.log(`  processor time, log and index        ${spread(cpu!)} µs an event`)
}

async function overHistory(): Promise<void> {
  const data = mkdtempSync(join(folder, 'history-'))
  for (const name of ['data', 'models']) await makeLog(data, name)
  const keys = actors.map(({ key }) => key.id)
  const events = makeHistory(Number(values.events), keys, Date.now())
  await writeHistory(data, events)
  const edges = events.reduce((sum, one) => sum + one.edges.length, 0)
  console.log(`\na history of ${events.length} events in two logs, ${edges} edges, ${keys.length} signers:`)
  const rebuilds: number[] = []
  const cpu: number[] = []
  for (let i = 0; i < RUNS; i++) {
    const used = await run(SERVER, ['rebuild-index', '--data', data])
    rebuilds.push(events.length / used.seconds)
    cpu.push((used.cpu / events.length) * 1e6)
  }
  console.log(`  rebuild-index                        ${spread(rebuilds)} entries a second, process start included`)
  console.log(`    processor time                     ${spread(cpu)} µs an entry`)
  for (const name of ['data', 'models']) {
    const { index, database } = logFiles(data, name)
    const size = events.filter(({ log }) => log === name).length
    const bytes = (file: string) => (statSync(file).size / size).toFixed(0)
    console.log(
      `  index of ${name.padEnd(8)}                    ${bytes(index)} B an entry, log.db ${bytes(database)} B`,
    )
  }
  const server = await serve(data)
  const pick = (i: number) => events[(i * 7_919 + 13) % events.length]!
  const time = async (what: string, path: (i: number) => string, count = 60): Promise<void> => {
    const times: number[] = []
    const sizes: number[] = []
    for (let i = 0; i < 2 * count; i++) {
      const began = performance.now()
      const answer = await fetch(new URL(path(i % count), server.url))
      const text = await answer.text()
      if (answer.status !== 200) throw new Error(`${path(i % count)}: ${text}`)
      // The first round warms.
      if (i < count) continue
      times.push(performance.now() - began)
      const document = JSON.parse(text) as Lineage
      sizes.push(document.events.length)
    }
    const sorted = times.sort((a, b) => a - b)
    const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]!.toFixed(1)
    console.log(`  ${what.padEnd(36)} median ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms; ${spread(sizes)} events`)
  }
  const artifact = (i: number) => pick(i).edges[0]!.artifact
  const deep = '&limit=20000&depth=1000'
  await time('trace up', (i) => `/data/v1/lineage/${artifact(i)}?direction=up`)
  await time('trace down', (i) => `/data/v1/lineage/${artifact(i)}?direction=down`)
  await time('trace both', (i) => `/data/v1/lineage/${artifact(i)}`)
  await time('trace down, no limit of ours', (i) => `/data/v1/lineage/${artifact(i)}?direction=down${deep}`)
  const window = (i: number) => `signer=${pick(i).key}&since=${pick(i).time}&until=${pick(i).time + 3_600_000}`
  await time('blast radius of a key in an hour', (i) => `/data/v1/lineage?direction=down&${window(i)}${deep}`)
  await time('list: artifact', (i) => `/models/v1/events?artifact=${artifact(i)}`)
  await time('list: signer and type', (i) => `/${pick(i).log}/v1/events?signer=${pick(i).key}&type=${pick(i).type}`)
  await time('list: a rare word', (i) => `/${pick(i).log}/v1/events?text=${pick(i).words[0]}`)
  await time('list: a word of every payload', (i) => `/${pick(i).log}/v1/events?text=project`)
  await server.stop()
}

await behindAppends()
await overHistory()
