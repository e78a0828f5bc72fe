/**
 * The benchmark of what logs ask of a witness: a real process, synchronous=FULL, a client in its own process. Cosignatures for 1,000 logs in turn,
 * each growing by one entry with a proof. Three runs, min / median / max. Audits and copies are measured by copies.ts.
 *
 *   npm run bench:witness
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint } from '../../src/core/checkpoint.ts'
import { ed25519NoteSigner } from '../../src/core/ed25519.ts'
import { consistencyRanges, proveRanges, rootHash } from '../../src/core/merkle.ts'
import { type NoteSigner, signNote } from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { entryTree } from '../core/full-tree.ts'
import { load, spread } from './client.ts'
import { type Running, run, start } from './programs.ts'

const LOGS = 1_000
const RUNS = 3
const SECONDS = 5
/** Growths of each log, enough for all runs. */
const STEPS = 40

const folder = mkdtempSync(join(tmpdir(), 'treeline-bench-witness-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** A log that signs whatever it is told to. */
function makeSigner(origin: string): NoteSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'))
  return ed25519NoteSigner(origin, raw, (message) => new Uint8Array(sign(null, message, privateKey)))
}

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
const signers = Array.from({ length: LOGS }, (_, i) => makeSigner(`bench.example/log-${i}`))
const vkeys = signers.map(({ key }) => formatVkey(key))
/** All logs have the same entries: only who signs differs. */
const { read } = entryTree(STEPS + 1)

/** Each log grows by one entry, all in turn, `steps` times from `from` on. */
function growth(from: number, steps: number): string[] {
  const bodies: string[] = []
  for (let size = from + 1; size <= from + steps; size++) {
    const proof = proveRanges(consistencyRanges(size - 1, size), read)
    for (const signer of signers) {
      const text = formatCheckpoint({
        origin: signer.key.name,
        size: BigInt(size),
        root: rootHash(size, read),
        extensions: [],
      })
      bodies.push(
        fromUtf8(formatAddCheckpoint({ old: BigInt(size - 1), proof, note: toUtf8(signNote(text, [signer])) }))!,
      )
    }
  }
  return bodies
}

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
      const bodies = growth(round * steps, steps)
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
