/**
 * The benchmark of what logs ask of a witness: a real process, synchronous=FULL, a client in its own process. Cosignatures for 1,000 logs in turn,
 * each growing by one entry with a proof. Three runs, min / median / max. Audits and copies are measured by copies.ts.
 *
 *   npm run bench:witness
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { load, spread } from './client.ts'
import { GrowingLogs } from './growing-logs.ts'
import { type Running, run, start } from './programs.ts'

const LOGS = 1_000
const RUNS = 3
const SECONDS = 5
/** Growths of each log, enough for all runs. */
const STEPS = 40

const folder = mkdtempSync(join(tmpdir(), 'treeline-bench-witness-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

async function startWitness(vkeys: readonly string[], flags: readonly string[] = []): Promise<Running> {
  const data = mkdtempSync(join(folder, 'data-'))
  const program = 'cmd/treeline-witness.ts'
  await run(program, ['init', '--data', data, '--name', 'bench.example/w', ...flags])
  const logs = join(data, 'logs.json')
  writeFileSync(logs, JSON.stringify({ logs: vkeys.map((vkey) => ({ vkeys: [vkey] })) }))
  const args = ['run', '--data', data, '--logs', logs, '--listen', '127.0.0.1:0', '--log-level', 'error']
  return start(program, args)
}

console.log(`${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}`)
const growing = new GrowingLogs(LOGS, STEPS + 1)
const { vkeys } = growing
for (const [name, flags] of [
  ['Ed25519', []],
  ['Ed25519 and ML-DSA-44', ['--ml-dsa']],
] as const) {
  for (const connections of [1, 4, 16]) {
    const witness = await startWitness(vkeys, flags)
    const target = { host: witness.url.hostname, port: Number(witness.url.port) }
    const [rates, p99]: number[][] = [[], []]
    const steps = Math.floor(STEPS / RUNS)
    for (let round = 0; round < RUNS; round++) {
      // What a run leaves unused the next one must not skip: a log that is elsewhere answers 409.
      const bodies = growing.bodies(round * steps, steps)
      const {
        count,
        seconds,
        p99: tail,
        statuses,
        exhausted,
      } = await load(target, connections, exhaustive(), { kind: 'post', path: '/add-checkpoint', bodies })
      if (!exhausted || Object.keys(statuses).join() !== '200')
        throw new Error(`unexpected answers ${JSON.stringify(statuses)}`)
      rates!.push(count / seconds)
      p99!.push(tail)
    }
    await witness.stop()
    console.log(
      `add-checkpoint, ${LOGS} logs, ${name}, ${connections} connections (${witness.durability}): ${spread(rates!)} a second, p99 ${spread(p99!, 1)} ms`,
    )
  }
}

/** Every body is sent: a bound for a machine that hangs, s. */
function exhaustive(): number {
  return SECONDS * 60
}
