/**
 * The benchmark of a verified scan over loopback: how fast a whole log is read, proved and searched by a client that believes nothing. A real server
 * process; the client a process too, its start included. Three runs each, min / median / max.
 *
 *   npm run bench:scan                        500,000 events
 *   npm run bench:scan -- --events 50000      a smaller log
 *
 * The entries are as large as those of real events and stand for 40 signers; they are appended past the checks of admission, without the signed
 * documents behind them, which a scan does not read.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CONSUMED, PRODUCED } from '../../src/core/artifact.ts'
import { toHex } from '../../src/core/bytes.ts'
import { EVENT, encodeEntry } from '../../src/core/entry.ts'
import { sha256 } from '../../src/core/platform.node.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog, startServer } from '../support/server.ts'
import { spread } from './client.ts'
import { run, start, type Usage, usageOf } from './programs.ts'

const { values } = parseArgs({
  options: { events: { type: 'string', default: '500000' }, runs: { type: 'string', default: '3' } },
})
const EVENTS = Number(values.events)
const RUNS = Number(values.runs)

const folder = mkdtempSync(join(tmpdir(), 'treeline-bench-scan-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const digestOf = (number: number): Uint8Array =>
  sha256(Uint8Array.from([1, number >> 24, number >> 16, number >> 8, number]))
const signers = Array.from({ length: 40 }, () => new Actor())
const ids = signers.map(({ key }) => Uint8Array.from(Buffer.from(key.id, 'hex')))

/** Each event consumes what the one before produced. */
const entryOf = (i: number, time: number): Uint8Array =>
  encodeEntry({
    kind: EVENT,
    time,
    keys: [ids[i % ids.length]!],
    payloadType: 'application/vnd.in-toto+json',
    type: `urn:treeline:step-${i % 10}:v1`,
    artifacts: [
      { role: PRODUCED, algorithm: 'sha256', digest: digestOf(i) },
      { role: CONSUMED, algorithm: 'sha256', digest: digestOf(i - 1) },
    ],
    hidden: 0,
    addendum: digestOf(-i),
    policy: 0,
  })

async function makeLog(data: string): Promise<string> {
  const { vkey } = await makeEventLog(
    data,
    [new Actor()],
    signers.map((actor) => ({ actor })),
  )
  const server = await startServer(data, {
    publishInterval: 100,
    limits: { batchEntries: 1_024, queueEntries: 20_000 },
  })
  const { log } = server.opened.logs.get('test')!
  for (let done = 0; done < EVENTS; done += 10_000) {
    const piece = Array.from({ length: Math.min(10_000, EVENTS - done) }, (_, i) => done + i + 1)
    await Promise.all(piece.map((i) => log.append({ size: 300, place: (_, time) => ({ entry: entryOf(i, time) }) })))
  }
  await server.close()
  return vkey
}

type Measured = Usage & { readonly seconds: number; readonly server: number }
const line = (...cells: readonly string[]): void =>
  console.log(`| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(44) : cell.padStart(26))).join(' | ')} |`)

function row(what: string, runs: readonly Measured[], entries: number): void {
  const of = (pick: (run: Measured) => number, digits = 0) => spread(runs.map(pick), digits)
  line(
    what,
    of(({ seconds }) => entries / seconds),
    of(({ cpu }) => (1e6 * cpu) / entries, 2),
    of(({ server }) => (1e6 * server) / entries, 2),
    of(({ peak }) => peak),
  )
}

const data = join(folder, 'data')
const trust = join(folder, 'trust')
writeFileSync(trust, `log ${await makeLog(data)}\nquorum none\n`)
const flags = ['--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error']
const server = await start('cmd/treeline-server.ts', ['serve', ...flags])
const log = ['--log', `${server.url.origin}/test`, '--trust', trust, '--state', join(folder, 'state')]

// What builds the index of the server must not be measured with it.
for (;;) {
  const answer = await fetch(`${server.url.origin}/test/v1/events?kind=genesis`)
  const { completeTo } = (await answer.json()) as { completeTo: number }
  if (completeTo === EVENTS + 1) break
  await new Promise((resolve) => setTimeout(resolve, 500))
}
console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}, ${EVENTS} events of two artifacts`)
console.log(`entries of ${entryOf(1_000, Date.now()).length} bytes; ${RUNS} runs, min / median / max\n`)
line('what', 'entries a second', 'CPU of the client, µs an entry', 'CPU of the server', 'peak RSS of the client, MiB')
const digest = `sha256:${toHex(digestOf(EVENTS >> 1))}`
const PRINTED = Math.min(EVENTS, 100_000)
for (const [what, args, entries] of [
  ['replay --artifact: two events of all', ['replay', '--artifact', digest], EVENTS],
  ['replay --signer --json: one of 40', ['replay', '--signer', signers[7]!.key.id, '--json'], EVENTS],
  ['replay --kind policy: none', ['replay', '--kind', 'policy'], EVENTS],
  [`replay --json: the first ${PRINTED}, printed`, ['replay', '--json', '--to', `${PRINTED}`], PRINTED],
] as const) {
  const runs: Measured[] = []
  for (let i = 0; i < RUNS; i++) {
    const before = usageOf(server.child)!.cpu
    const used = await run('cmd/treeline.ts', [...args, ...log])
    runs.push({ ...used, server: usageOf(server.child)!.cpu - before })
  }
  row(what, runs, entries)
}
await server.stop()
