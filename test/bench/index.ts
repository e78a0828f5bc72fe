/**
 * The benchmark of search and lineage: how far an index is behind a log that takes events, what it costs whoever appends, how fast it is made, and how
 * long answers take over a generated history. Real server processes; requests one after the other, so that a figure is the time of an answer.
 *
 *   npm run bench:index                                       all of it, 200,000 events in the history
 *   npm run bench:index -- --only history --edges 1000000     a history with that many edges
 *   npm run bench:index -- --only rate --rate 2000            that many events a second, beside the index
 *   npm run bench:index -- --only cost                        appends with and without an index, in turn
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
import { spread } from './client.ts'
import { atFixedRate, serve, withAndWithout } from './index-behind.ts'
import { run } from './programs.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '200000' },
    /** As many events as make so many. */
    edges: { type: 'string' },
    runs: { type: 'string', default: '3' },
    rate: { type: 'string', default: '5000' },
    only: { type: 'string' },
  },
})
const RUNS = Number(values.runs)
/** Of this generator, a few less than it makes. */
const EDGES_OF_AN_EVENT = 2.7
const EVENTS = values.edges === undefined ? Number(values.events) : Math.ceil(Number(values.edges) / EDGES_OF_AN_EVENT)
const wanted = (part: string): boolean => (values.only ?? part) === part
const SERVER = 'cmd/treeline-server.ts'
const folder = mkdtempSync(join(tmpdir(), 'treeline-bench-index-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const actors = Array.from({ length: 40 }, () => new Actor())
async function makeLog(data: string, name: string): Promise<void> {
  const rules = actors.map((actor, i) => ({ actor, name: `signer-${i}`, shared: true }))
  await makeEventLog(data, [new Actor()], rules, { name, origin: `log.example/${name}` })
}

console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}; ${RUNS} runs, min / median / max`)

async function overHistory(): Promise<void> {
  const data = mkdtempSync(join(folder, 'history-'))
  for (const name of ['data', 'models']) await makeLog(data, name)
  const keys = actors.map(({ key }) => key.id)
  const events = makeHistory(EVENTS, keys, Date.now())
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
    let cut = 0
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
      if (document.truncated) cut++
    }
    const sorted = times.sort((a, b) => a - b)
    const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]!.toFixed(1)
    console.log(
      `  ${what.padEnd(36)} median ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms; ${spread(sizes)} events${cut > 0 ? `; ${cut} of ${count} cut by a limit` : ''}`,
    )
  }
  const artifact = (i: number) => pick(i).edges[0]!.artifact
  const deep = '&limit=20000&depth=1000'
  await time('trace up', (i) => `/data/v1/lineage/${artifact(i)}?direction=up`)
  await time('trace down', (i) => `/data/v1/lineage/${artifact(i)}?direction=down`)
  await time('trace both', (i) => `/data/v1/lineage/${artifact(i)}`)
  await time('trace down, no limit of ours', (i) => `/data/v1/lineage/${artifact(i)}?direction=down${deep}`)
  // What came first reaches most.
  const early = (i: number) => events[(i * 37) % Math.floor(events.length / 50)]!.edges[0]!.artifact
  await time('trace down, of the oldest artifacts', (i) => `/data/v1/lineage/${early(i)}?direction=down`)
  await time('the same, no limit of ours', (i) => `/data/v1/lineage/${early(i)}?direction=down${deep}`)
  const window = (i: number) => `signer=${pick(i).key}&since=${pick(i).time}&until=${pick(i).time + 3_600_000}`
  await time('blast radius of a key in an hour', (i) => `/data/v1/lineage?direction=down&${window(i)}${deep}`)
  await time('blast radius of a key, all of it', (i) => `/data/v1/lineage?direction=down&signer=${keys[i]}${deep}`, 10)
  await time('list: artifact', (i) => `/models/v1/events?artifact=${artifact(i)}`)
  await time('list: signer and type', (i) => `/${pick(i).log}/v1/events?signer=${pick(i).key}&type=${pick(i).type}`)
  await time('list: a rare word', (i) => `/${pick(i).log}/v1/events?text=${pick(i).words[0]}`)
  await time('list: a word of every payload', (i) => `/${pick(i).log}/v1/events?text=project`)
  await server.stop()
}

if (wanted('rate')) await atFixedRate(folder, actors, Number(values.rate), 15)
if (wanted('cost')) await withAndWithout(folder, actors, 8, 3)
if (wanted('history')) await overHistory()
