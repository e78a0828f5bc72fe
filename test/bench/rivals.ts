/**
 * Ours beside the best of others, on this machine, with the same load generators, in turn, run by run: Tessera's POSIX log against a raw log
 * (wrk at 1, 64 and 512 connections, and Tessera's own hammer), its fsck against `treeline-server check`, litewitness against our witness.
 * Prints every figure as min / median / max, and the ratio of the medians.
 *
 *   npm run bench:rivals                    some ten minutes; takes Go, wrk and openssh-client
 *   npm run bench:rivals -- --workers 2     also with threads that serve
 */
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ED25519, verifierKey } from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { logFiles } from '../../src/store/folder.ts'
import { TESSERA } from '../lanes/fsck.ts'
import { freePort, startLitewitness } from '../lanes/litewitness.ts'
import { goTool, needProgram } from '../lanes/tools.ts'
import { makeRawLog } from '../support/server.ts'
import { load, spread } from './client.ts'
import { GrowingLogs } from './growing-logs.ts'
import { run, start } from './programs.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    runs: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    hammered: { type: 'string', default: '50000' },
  },
})
const [SECONDS, RUNS, WORKERS, HAMMERED] = [values.seconds, values.runs, values.workers, values.hammered].map(
  Number,
) as [number, number, number, number]
const ENTRY_BYTES = 200

const folder = mkdtempSync(join(tmpdir(), 'treeline-rivals-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** A log that takes any bytes at /add. */
interface Rival {
  readonly name: string
  /** Where /add and /checkpoint are. */
  readonly url: string
  readonly keyFile: string
  /** Reads the whole log back, and says that it is right. Resolves to seconds. */
  check(): Promise<number>
  stop(): Promise<void>
}

async function runs(
  command: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string; seconds: number }> {
  const began = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (part) => {
      output += part
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output, seconds: (performance.now() - began) / 1000 }
}

async function answers(url: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await fetch(url).catch(() => undefined)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${url} does not answer`)
}

async function startTessera(): Promise<Rival> {
  const program = await goTool('github.com/transparency-dev/tessera/cmd/conformance/posix', TESSERA)
  const fsck = await goTool('github.com/transparency-dev/tessera/cmd/fsck', TESSERA)
  const data = mkdtempSync(join(folder, 'tessera-'))
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const [seed, raw] = [privateKey.export({ format: 'jwk' }).d!, publicKey.export({ format: 'jwk' }).x!].map((text) =>
    Buffer.from(text, 'base64url'),
  ) as [Buffer, Buffer]
  const key = verifierKey('bench.example/tessera', ED25519, new Uint8Array(raw))
  const secret = Buffer.concat([Buffer.from([ED25519]), seed]).toString('base64')
  const [keyFile, secretFile] = [`${data}.vkey`, `${data}.key`]
  writeFileSync(keyFile, formatVkey(key))
  writeFileSync(secretFile, `PRIVATE+KEY+${key.name}+${Buffer.from(key.keyId).toString('hex')}+${secret}`)
  const listen = `127.0.0.1:${await freePort()}`
  const flags = [`--storage_dir=${data}`, `--listen=${listen}`, `--private_key=${secretFile}`]
  const child = spawn(program, flags, { stdio: 'ignore' })
  await answers(`http://${listen}/checkpoint`)
  return {
    ...{ name: `Tessera POSIX ${TESSERA}`, url: `http://${listen}`, keyFile },
    async check() {
      const flags = [`--storage_url=file://${data}/`, `--public_key=${keyFile}`, '--ui=false']
      const { output, seconds } = await runs(fsck, flags)
      if (!output.includes("Successfully fsck'd log")) throw new Error(output)
      return seconds
    },
    async stop() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function startOurs(workers: number): Promise<Rival> {
  const data = mkdtempSync(join(folder, 'ours-'))
  await makeRawLog(data)
  const program = 'cmd/treeline-server.ts'
  const flags = ['serve', '--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error', '--workers', `${workers}`]
  const running = await start(program, flags)
  const name = workers === 0 ? 'Treeline, one thread' : `Treeline, ${workers} threads beside the writer`
  return {
    ...{ name, url: `${running.url.origin}/raw`, keyFile: logFiles(data, 'raw').vkey, stop: running.stop },
    check: async () => (await run(program, ['check', '--data', data])).seconds,
  }
}

/** No two bodies are alike. */
const script = join(folder, 'add.lua')
writeFileSync(
  script,
  `local count, seed = 0, tostring({})
request = function()
  count = count + 1
  local body = string.format("%s %d ", seed, count)
  return wrk.format("POST", nil, nil, body .. string.rep("x", ${ENTRY_BYTES} - #body))
end
`,
)

interface Load {
  readonly rate: number
  /** ms. */
  readonly p99: number
}

async function wrk({ url }: Rival, connections: number): Promise<Load> {
  const flags = ['-t1', `-c${connections}`, `-d${SECONDS}s`, '--latency', '-s', script, `${url}/add`]
  const { output } = await runs('wrk', flags)
  const [, rate = ''] = /Requests\/sec: +([\d.]+)/.exec(output) ?? []
  const [, p99 = '', unit = ''] = /99% +([\d.]+)(us|ms|s)/.exec(output) ?? []
  if (rate === '' || /Non-2xx|Socket errors: (?!connect 0, read 0, write 0)/.test(output)) throw new Error(output)
  return { rate: Number(rate), p99: Number(p99) * { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'] }
}

async function hammer({ url, keyFile }: Rival): Promise<Load> {
  const program = await goTool('github.com/transparency-dev/tessera/internal/hammer', TESSERA)
  const size = async () => Number((await (await fetch(`${url}/checkpoint`)).text()).split('\n')[1])
  const before = await size()
  const flags = [
    `--log_url=${url}/`,
    `--log_public_key=${readFileSync(keyFile, 'utf8').trim()}`,
    ...['--show_ui=false', '--num_writers=1000', '--max_write_ops=100000', '--num_readers_full=0'],
    ...['--num_readers_random=0', `--leaf_min_size=${ENTRY_BYTES}`, `--leaf_write_goal=${HAMMERED}`],
    '--max_runtime=300s',
  ]
  const { output, seconds } = await runs(program, flags)
  if (!output.includes('Reached')) throw new Error(output.slice(-2000))
  return { rate: ((await size()) - before) / seconds, p99: Number.NaN }
}

function row(what: string, rivals: readonly Rival[], loads: readonly (readonly Load[])[]): void {
  const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!
  const first = median(loads[0]!.map(({ rate }) => rate))
  rivals.forEach(({ name }, i) => {
    const [rates, tails] = [loads[i]!.map(({ rate }) => rate), loads[i]!.map(({ p99 }) => p99)]
    const ratio = i === 0 ? '' : `ratio ${(median(rates) / first).toFixed(2)}`
    const p99 = tails.some(Number.isNaN) ? '' : `p99 ${spread(tails, 1)} ms`
    console.log(`| ${what.padEnd(34)} | ${name.padEnd(38)} | ${spread(rates).padStart(22)} | ${p99} | ${ratio}`)
  })
}

async function race(): Promise<void> {
  await needProgram('wrk', 'apt-get install wrk')
  const rivals = [await startTessera(), await startOurs(0), ...(WORKERS > 0 ? [await startOurs(WORKERS)] : [])]
  const inTurn = async (what: string, one: (rival: Rival) => Promise<Load>): Promise<void> => {
    const loads: Load[][] = rivals.map(() => [])
    for (let round = 0; round < RUNS; round++)
      for (const [i, rival] of rivals.entries()) loads[i]!.push(await one(rival))
    row(what, rivals, loads)
  }
  for (const connections of [1, 64, 512])
    await inTurn(`add, wrk, ${connections} connections`, (rival) => wrk(rival, connections))
  await inTurn('add, hammer, 1000 writers', hammer)
  await inTurn('read back and checked, entries', async (rival) => {
    const size = Number((await (await fetch(`${rival.url}/checkpoint`)).text()).split('\n')[1])
    return { rate: size / (await rival.check()), p99: Number.NaN }
  })
  for (const rival of rivals) await rival.stop()
}

/** Of 1,000 logs that grow in turn. */
async function witnesses(): Promise<void> {
  const [logs, steps] = [1_000, 8]
  const growing = new GrowingLogs(logs, 2 * RUNS * steps + 1)
  const data = mkdtempSync(join(folder, 'witness-'))
  const program = 'cmd/treeline-witness.ts'
  await run(program, ['init', '--data', data, '--name', 'bench.example/w'])
  const list = join(data, 'logs.json')
  writeFileSync(list, JSON.stringify({ logs: growing.vkeys.map((vkey) => ({ vkeys: [vkey] })) }))
  const flags = ['--data', data, '--logs', list, '--listen', '127.0.0.1:0', '--log-level', 'error']
  const ours = await start(program, ['run', ...flags])
  const lite = await startLitewitness(growing.vkeys)
  for (const [c, connections] of [1, 16].entries()) {
    const loads: Load[][] = [[], []]
    for (let round = 0; round < RUNS; round++) {
      const bodies = growing.bodies((c * RUNS + round) * steps, steps)
      for (const [i, url] of [new URL(lite.url), ours.url].entries()) {
        const target = { host: url.hostname, port: Number(url.port) }
        const { count, seconds, p99, statuses } = await load(target, connections, 300, {
          ...{ kind: 'post', path: '/add-checkpoint', bodies },
        })
        if (Object.keys(statuses).join() !== '200') throw new Error(JSON.stringify(statuses))
        loads[i]!.push({ rate: count / seconds, p99 })
      }
    }
    const names = [{ name: 'litewitness' }, { name: 'Treeline' }] as Rival[]
    row(`add-checkpoint, ${connections} connections`, names, loads)
  }
  lite.stop()
  await ours.stop()
}

console.log(
  `${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}; ${RUNS} runs of ${SECONDS} s in turn`,
)
await race()
await witnesses()
process.exit(0)
