/**
 * Clients that want a server to fall: requests that can be cut in two ways, thousands in one packet, slow ones, bombs, and more than it can hold.
 * A pipeline that does nothing wrong goes on meanwhile; in the end memory and files are what they were, and the log agrees with itself. The same
 * shapes of requests against the witness, and against a server that reads HTTP loosely, which must be found out.
 */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { formatFrame } from '../../src/core/batch.ts'
import { concat, toUtf8 } from '../../src/core/bytes.ts'
import { Actor, event, statement } from '../support/actors.ts'
import { bodyOf, signedBatch } from '../support/batch.ts'
import { makeEventLog, ORIGIN } from '../support/server.ts'
import { survivesBombs } from './hostile/bombs.ts'
import { Bystander } from './hostile/bystander.ts'
import { answersPipelines } from './hostile/pipeline.ts'
import { refusesShapes } from './hostile/shapes.ts'
import { SlowClients } from './hostile/slow.ts'
import { dial, exchangeBytes } from './hostile/socket.ts'
import {
  check,
  eventually,
  lane,
  must,
  type Server,
  startProgram,
  startServer,
  tempFolder,
  treelineServer,
  treeSize,
} from './lane.ts'

const MIB = 2 ** 20
const signer = new Actor()
const bystander = new Actor()

async function attack(name: string, flags: readonly string[], most: number): Promise<void> {
  const data = `${tempFolder()}/data`
  await makeEventLog(data, [new Actor()], [{ actor: signer }, { actor: bystander }])
  const server = await startServer(data, ['--log-level', 'fatal', ...flags])
  const folder = `/proc/${server.process.pid}/fd`
  const files = () => readdirSync(folder).filter((name) => isSocket(`${folder}/${name}`)).length
  const before = files()
  const innocent = new Bystander(server.url, bystander)
  const begun = signedBatch(ORIGIN, [statement('model/never')], [signer])
  const slow = await SlowClients.open(server.url, formatFrame(toUtf8(begun.header)))
  await refusesShapes(name, server.url)
  await answersPipelines(
    server.url,
    Array.from({ length: 40 }, (_, i) => event(signer, `model/pipelined-${i}`)),
  )
  await survivesBombs(server.url)
  await moreBatchesThanFit(name, server)
  await slow.judge(70)
  const logged = await innocent.judge(name)
  slow.close()
  const peak = memoryOf(server, 'VmHWM')
  check(`${name}: its memory stays below ${most} MiB (at most ${peak.toFixed(0)})`, peak < most)
  const after = await eventually('open files', async () => (files() <= before + 4 ? files() : undefined), 20).catch(
    () => files(),
  )
  check(`${name}: it has as many sockets open as before (${before}, ${after})`, after <= before + 4)
  const size = await treeSize(server.url)
  // The genesis, what was pipelined, the one batch that was sent to its end.
  check(`${name}: nothing else was logged (${size})`, size === 1 + logged + 40 + 2)
  check(`${name}: it ends well`, (await server.stop()) === 0)
  const { code, output } = await treelineServer('check', '--data', data)
  check(`${name}: the log agrees with itself`, code === 0, output)
}

function isSocket(file: string): boolean {
  try {
    return readlinkSync(file).startsWith('socket:')
  } catch {
    // Closed meanwhile.
    return false
  }
}

/** Batches that are sent to all but their end, until they are more than a log may hold. */
async function moreBatchesThanFit(name: string, { url }: Server): Promise<void> {
  const item = statement('model/large', { padding: 'x'.repeat(MIB) })
  const payloads = Array.from({ length: 30 }, () => item)
  const held: Awaited<ReturnType<typeof dial>>[] = []
  const answers: string[] = []
  for (let i = 0; i < 12; i++) {
    const { header, addenda } = signedBatch(ORIGIN, payloads, [signer], {
      origin: ORIGIN,
      size: 31,
      root: Buffer.alloc(32, i).toString('base64'),
    })
    const socket = await dial(url)
    held.push(socket)
    socket.on('data', (part) => answers.push(part.toString('latin1')))
    const body = bodyOf(header, addenda)
    socket.write(
      `POST /test/v1/events/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.treeline.batch\r\nContent-Length: ${body.length + 100}\r\n\r\n`,
    )
    await new Promise((resolve) => socket.write(body, resolve))
    await pause(150)
  }
  // The last bytes are never sent: who is refused is told before.
  for (let i = 0; i < 50 && !answers.join('').includes('QUEUE_FULL'); i++) await pause(100)
  const refused = answers.join('')
  check(
    `${name}: of ${held.length} batches of 30 MiB those beyond 256 are refused`,
    / 503 [\s\S]*QUEUE_FULL/.test(refused),
    refused.slice(0, 600),
  )
  check(`${name}: and told when to come again`, /retry-after: [0-9]/i.test(refused))
  for (const socket of held) socket.destroy()
  const { body } = signedBatch(ORIGIN, [statement('model/small')], [signer])
  const status = await eventually('a batch after them', async () => {
    const headers = { 'content-type': 'application/vnd.treeline.batch' }
    const answer = await fetch(`${url}/test/v1/events/batch`, {
      method: 'POST',
      headers,
      body: concat(body) as BodyInit,
    })
    return answer.status === 503 ? undefined : answer.status
  })
  check(`${name}: once they are gone there is room again`, status === 201)
}

const memoryOf = ({ process }: Server, field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${process.pid}/status`, 'utf8'))?.[1]) / 1024

async function witness(): Promise<void> {
  const folder = `${tempFolder()}/witness`
  const program = 'cmd/treeline-witness.ts'
  await must(process.execPath, [program, 'init', '--data', folder, '--name', 'hostile.example/w'])
  const logs = `${folder}/logs.json`
  writeFileSync(logs, '{"logs":[]}')
  const server = await startProgram(program, [
    'run',
    '--data',
    folder,
    '--logs',
    logs,
    '--listen',
    '127.0.0.1:0',
    '--log-level',
    'fatal',
  ])
  await refusesShapes('witness', server.url)
  const huge = await exchangeBytes(
    server.url,
    `POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: ${64 * MIB}\r\n\r\n${'x'.repeat(MIB)}`,
  )
  check(
    `witness: a checkpoint of 64 MiB: ${huge.statuses.join()}`,
    huge.statuses.join() === '413' || huge.statuses.join() === '400',
  )
  check('witness: it ends well', (await server.stop()) === 0)
}

/** Node as it is when told to take what browsers once sent: the judge of shapes must see the difference. */
async function looseServer(): Promise<void> {
  const loose = createServer({ insecureHTTPParser: true, requireHostHeader: false }, (request, response) => {
    request.resume()
    request.on('end', () => response.end('yes'))
  })
  await new Promise<void>((resolve) => loose.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(loose.address() as AddressInfo).port}`
  const both =
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n'
  const { statuses } = await exchangeBytes(url, both)
  check(`a server that reads loosely is found out (${statuses.join()})`, statuses.length === 2)
  loose.closeAllConnections()
  loose.close()
}

await lane(async () => {
  // MiB: what a log may hold of batches (256), and the process itself.
  await attack('one thread', [], 1_000)
  await attack('threads', ['--workers', '2'], 1_400)
  await witness()
  await looseServer()
})
