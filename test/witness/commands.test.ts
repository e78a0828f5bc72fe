/** treeline-witness as its operators run it: a process with flags, files, signals and disks. */

import { once } from 'node:events'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { originHash } from '../../src/core/checkpoint.ts'
import { cosignatureVerifier } from '../../src/core/cosignature.ts'
import { parseNote, verifyNote } from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { openState } from '../../witness/folder.ts'
import { type Ended, runProgram, startProgram } from '../support/programs.ts'
import { temporaryFolder } from '../support/server.ts'
import { add, send } from './harness.ts'
import { TwoFacedLog } from './two-faced-log.ts'

const PROGRAM = 'cmd/treeline-witness.ts'
const NAME = 'witness.example/process'

const run = (t: Test, ...args: string[]): Promise<Ended> => runProgram(t, PROGRAM, args)

interface Running {
  readonly url: string
  readonly said: string
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

async function serve(t: Test, data: string, logs: string, fileKiB?: number): Promise<Running> {
  const flags = ['--data', data, '--logs', logs, '--listen', '127.0.0.1:0', '--log-level', 'silent']
  const child = startProgram(t, PROGRAM, ['run', ...flags], fileKiB === undefined ? {} : { fileKiB })
  child.stderr!.pipe(process.stderr)
  const closed = once(child, 'close') as Promise<[number | null]>
  const [said] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
  const [url = ''] = /http:\/\/\S+/.exec(said) ?? []
  return {
    url,
    said,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return (await closed)[0]
    },
  }
}

/** A folder made by `init`, and a list with one log of one entry. */
async function made(t: Test, ...flags: string[]) {
  const folder = temporaryFolder(t)
  const data = join(folder, 'witness')
  const init = await run(t, 'init', '--data', data, '--name', NAME, ...flags)
  const log = new TwoFacedLog('log.example/process')
  log.append('entry 0')
  const logs = join(folder, 'logs.json')
  writeFileSync(logs, JSON.stringify({ logs: [{ vkeys: [log.vkey] }] }))
  return { data, logs, log, init }
}

t.test('init, run, status and clear', async (t) => {
  const { data, logs, log, init } = await made(t, '--ml-dsa')
  t.equal(init.code, 0, init.errors)
  t.equal(init.output, readFileSync(join(data, 'witness.vkey'), 'utf8'))
  for (const file of ['witness.key', 'witness-ml-dsa.key']) t.equal(statSync(join(data, file)).mode & 0o777, 0o600)
  t.equal((await run(t, 'init', '--data', data, '--name', NAME)).code, 2)
  t.match((await run(t, 'status', '--data', data)).output, /nothing was cosigned/)

  const witness = await serve(t, data, logs)
  t.match(witness.said, /^treeline-witness listens on http:.* synchronous=FULL\)$/)
  const answer = await add(witness.url, log.request(0))
  t.equal(answer.status, 200)
  const verifiers = init.output
    .trimEnd()
    .split('\n')
    .map((vkey) => cosignatureVerifier(parseVkey(vkey)))
  const monitored = await send(witness.url, `/${originHash(log.origin)}/checkpoint`)
  t.equal(verifyNote(parseNote(toUtf8(monitored.body)), verifiers).length, 2)

  const second = await run(t, 'run', '--data', data, '--logs', logs, '--listen', '127.0.0.1:0')
  t.equal(second.code, 2)
  t.match(second.errors, /another treeline-witness uses/)

  const state = openState(data)
  t.teardown(() => state.close())
  state.freeze(log.origin, 'fork', 'evidence', 1_767_225_600_000)
  t.equal((await add(witness.url, log.request(1))).status, 503)
  t.match(
    (await run(t, 'status', '--data', data)).output,
    /cosigned 1 at 20.*, audited 0, copied 0, frozen since 2026-01-01.*: fork/,
  )
  const { name, logs: listed } = JSON.parse((await run(t, 'status', '--data', data, '--json')).output)
  t.equal(name, NAME)
  t.match(listed, [{ origin: log.origin, cosigned: '1', audited: '0', frozen: { kind: 'fork' } }])
  t.equal((await run(t, 'clear', '--data', data, 'log.example/other')).code, 2, 'nothing is open there')
  t.equal((await run(t, 'clear', '--data', data)).code, 2)
  t.equal((await add(witness.url, log.request(1))).status, 503)
  t.equal((await run(t, 'clear', '--data', data, log.origin)).code, 0, 'while it runs')
  t.equal((await add(witness.url, log.request(1))).status, 200)
  t.equal(state.cosigned(log.origin)?.size, 1n)

  for (const path of ['/healthz', '/readyz']) t.equal((await send(witness.url, path)).status, 200)
  const metrics = (await send(witness.url, '/metrics')).body
  t.match(metrics, /^treeline_witness_cosigned_size\{origin="log.example\/process"\} 1$/m)
  t.match(metrics, /^treeline_witness_add_checkpoint_total\{code="FROZEN"\} 2$/m)
  t.same(metrics.match(/^(?!#|treeline_witness_).+/gm), null, 'every name begins alike')
  t.equal(await witness.stop(), 0)
})

t.test('run refuses what it cannot work with', async (t) => {
  const { data, logs } = await made(t)
  const refused = async (why: RegExp, ...args: string[]) => {
    const { code, errors } = await run(t, 'run', '--listen', '127.0.0.1:0', ...args)
    t.equal(code, 2, errors)
    t.match(errors, why)
  }
  await refused(/no state of a witness/, '--data', join(data, 'elsewhere'), '--logs', logs)
  await refused(/cannot be read/, '--data', data, '--logs', `${logs}.missing`)
  const bad = `${logs}.bad`
  writeFileSync(bad, '{"logs":[{"vkeys":["log"]}]}')
  await refused(/not a list of logs/, '--data', data, '--logs', bad)
  await refused(/--listen takes/, '--data', data, '--logs', logs, '--listen', 'nowhere')
  chmodSync(join(data, 'witness.key'), 0o644)
  await refused(/others can read the secret file/, '--data', data, '--logs', logs)
  chmodSync(join(data, 'witness.key'), 0o600)
  const { url, stop } = await serve(t, data, logs)
  t.equal((await send(url, '/healthz')).status, 200)
  t.equal(await stop('SIGINT'), 0)
})

t.test(
  'TW-15 on a full disk the answer is 503 without a signature, and what was answered is there afterwards',
  async (t) => {
    const { data, logs, log } = await made(t)
    const full = await serve(t, data, logs, 200)
    let answered = 0
    for (; answered < 500; answered++) {
      const answer = await add(full.url, log.request(answered === 0 ? 0 : log.size - 1))
      if (answer.status === 200) {
        log.append(`entry ${log.size}`)
        continue
      }
      t.equal(answer.status, 503)
      t.equal(answer.headers['retry-after'], '10')
      t.notMatch(answer.body, /—/)
      break
    }
    t.ok(answered > 0 && answered < 500, `${answered} fitted`)
    t.equal((await send(full.url, '/readyz')).status, 503)
    t.equal((await send(full.url, '/healthz')).status, 200)
    t.match((await send(full.url, `/${originHash(log.origin)}/checkpoint`)).body, new RegExp(`^.*\n${log.size - 1}\n`))
    await full.stop('SIGKILL')
    const again = await serve(t, data, logs)
    t.equal((await add(again.url, log.request(log.size - 1))).status, 200, 'with room it goes on from there')
    t.equal((await send(again.url, '/readyz')).status, 200)
    t.equal(await again.stop(), 0)
  },
)

t.test('a request in flight at SIGTERM is answered', async (t) => {
  const { data, logs, log } = await made(t)
  const { url, stop } = await serve(t, data, logs)
  const body = log.request(0)
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  const heard: Buffer[] = []
  socket.on('data', (part) => heard.push(part))
  socket.write(`POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: ${body.length}\r\n\r\n`)
  socket.write(body.subarray(0, 10))
  await new Promise((resolve) => setTimeout(resolve, 100))
  const stopped = stop()
  await new Promise((resolve) => setTimeout(resolve, 100))
  socket.end(body.subarray(10))
  t.equal(await stopped, 0)
  t.match(Buffer.concat(heard).toString(), /^HTTP\/1\.1 200 /)
})

t.test('a head or a body that comes a byte at a time is cut off', { timeout: 60_000 }, async (t) => {
  const { data, logs } = await made(t)
  const { url } = await serve(t, data, logs)
  const slow = async (head: string) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(head)
    const drip = setInterval(() => socket.write('a'), 500)
    const began = performance.now()
    const [first] = (await once(socket, 'data')) as [Buffer]
    clearInterval(drip)
    socket.destroy()
    t.match(first.toString(), /^HTTP\/1\.1 408 /)
    return performance.now() - began
  }
  const times = await Promise.all([
    slow('POST /add-checkpoint HTTP/1.1\r\nX-Slow: '),
    slow('POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100000\r\n\r\n'),
  ])
  t.ok(times[0] < 8_000, `head after ${times[0]} ms`)
  t.ok(times[1] < 14_000, `body after ${times[1]} ms`)
})
