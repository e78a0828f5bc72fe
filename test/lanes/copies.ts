/** Copies of a log on a real S3 server, made by a witness process that is killed again and again; verified, made longer, and restored from. */
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { equal } from '../../src/core/bytes.ts'
import { logFiles } from '../../src/store/folder.ts'
import { loadSnapshotSigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { parseLogList } from '../../witness/log-list.ts'
import { LogReader } from '../../witness/log-reader.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { findNewest } from '../../witness/worm/reader.ts'
import { Snapshotter } from '../../witness/worm/snapshot.ts'
import { Actor, event, redactionRequest } from '../support/actors.ts'
import { makeEventLog, ORIGIN } from '../support/server.ts'
import { check, eventually, lane, must, run, SERVER, startProgram, startServer, tempFolder } from './lane.ts'
import { type Ceph, makeBucket, rawClient, startCeph, useServer } from './s3-servers.ts'

const WITNESS = 'cmd/treeline-witness.ts'
const ROUNDS = 8
const JSON_TYPE = { 'content-type': 'application/json' }

async function copies(ceph: Ceph, bucket: string): Promise<void> {
  useServer(ceph.url)
  const worm = `s3://${bucket}/copies`
  const [admins, signer] = [[new Actor()], new Actor()]
  const [data, witnessData, folder] = [tempFolder(), tempFolder(), tempFolder()]
  const { vkey } = await makeEventLog(data, admins, [{ actor: signer }])
  const port = await freePort()
  const init = ['init', '--data', witnessData, '--name', 'witness.example/lane', '--retention', '2']
  const witnessVkey = (await must(process.execPath, [WITNESS, ...init])).trim()
  const trust = join(folder, 'trust')
  writeFileSync(trust, `log ${vkey}\nwitness w ${witnessVkey} http://127.0.0.1:${port}\nquorum w\n`)
  let server = await startServer(data, ['--witness-policy', trust, '--publish-interval', '50'])
  const [{ genesis }] = (await (await fetch(`${server.url}/v1/logs`)).json()) as [{ genesis: string }]
  const list = JSON.stringify({ logs: [{ vkeys: [vkey], url: `${server.url}/test`, genesis, keeper: true }] })
  const logs = join(folder, 'logs.json')
  writeFileSync(logs, list)
  const flags = ['--data', witnessData, '--logs', logs, '--listen', `127.0.0.1:${port}`, '--log-level', 'fatal']
  const often = ['--audit-interval', '100', '--snapshot-interval', '200', '--worm', worm]
  const start = () => startProgram(WITNESS, ['run', ...flags, ...often])
  const verify = () => run(process.execPath, [WITNESS, 'verify', '--data', witnessData, '--worm', worm])
  let size = 1
  const submit = async (count: number): Promise<void> => {
    const bodies = Array.from({ length: count }, (_, i) => event(signer, `model/${size + i}`))
    for (const body of bodies) {
      const { status } = await fetch(`${server.url}/test/v1/events`, { method: 'POST', headers: JSON_TYPE, body })
      if (status !== 201) throw new Error(`an event was answered with ${status}`)
      size++
    }
  }
  const copied = (seconds = 30) =>
    eventually(
      `a copy of ${size} entries`,
      async () => {
        const state = openState(witnessData)
        const { size: now = 0 } = state.copies.snapshot(ORIGIN) ?? {}
        state.close()
        return now === size ? true : undefined
      },
      seconds,
    )

  let witness = await start()
  await submit(300)
  await copied()
  const first = await verify()
  check(
    'a copy on S3 is read back whole',
    first.code === 0 && /documents: 1 clear, 300 opened/.test(first.output),
    first.output,
  )
  const { leafHash } = (await (await fetch(`${server.url}/test/v1/events/7`)).json()) as { leafHash: string }
  const body = redactionRequest(ORIGIN, [{ index: 7, leafHash }], admins)
  const redacted = await fetch(`${server.url}/test/v1/redactions`, { method: 'POST', headers: JSON_TYPE, body })
  size++
  check('a redaction is taken', redacted.status === 201, await redacted.text())
  await copied()
  const erased = await verify()
  check(
    'and its payload can be opened no more, all others can',
    /299 opened, 1 erased/.test(erased.output),
    erased.output,
  )

  await witness.kill()
  const before = size
  let reported = before
  for (let round = 0; round < ROUNDS; round++) {
    witness = await start()
    await submit(5)
    await new Promise((resolve) => setTimeout(resolve, 200 + 300 * round))
    await witness.kill()
    const state = openState(witnessData)
    const now = state.copies.snapshot(ORIGIN)!.size
    state.close()
    const { code, output } = await verify()
    check(`killed in round ${round}: the snapshot of ${now} is whole`, code === 0 && now >= reported, output)
    reported = now
  }
  check('and they go on between the kills', reported > before, `${before} and ${reported}`)
  witness = await start()
  await copied()

  await ceph.killGateway()
  await submit(3)
  const alerts = join(witnessData, 'alerts.ndjson')
  const alerted = () =>
    eventually(
      'an alert',
      async () => (existsSync(alerts) && /"kind":"no-snapshot"/.test(readFileSync(alerts, 'utf8')) ? true : undefined),
      60,
    )
  await alerted()
  check('a store that is away is an alert', true)
  await ceph.startGateway()
  await copied(60)
  check('and once it is back the copy is brought up to date', true)
  check('SIGTERM ends it', (await witness.stop()) === 0)

  await ceph.killGateway()
  rmSync(alerts)
  witness = await start()
  await submit(2)
  await eventually('the cosignature of a witness whose store is away', async () => {
    const head = Buffer.from(await bytesOf(`${server.url}/test/checkpoint`)).toString()
    return head.split('\n')[1] === `${size}` ? true : undefined
  })
  check('a store that is away at the start keeps no witness from cosigning', true)
  await alerted()
  check('and is an alert', true)
  await ceph.startGateway()
  await copied(60)
  check('and is probed before it gets a copy', (await witness.stop()) === 0)

  await longer(witnessData, worm, list)
  const good = await verify()
  check('what was made longer is whole', good.code === 0, good.output)
  const stranger = ['verify', '--worm', worm, '--vkey', join(witnessData, 'snapshot.vkey'), '--trust', trust]
  const foreign = await run(process.execPath, [WITNESS, ...stranger, '--origin', ORIGIN])
  check('whoever has no keys verifies it too', foreign.code === 0 && /sealed/.test(foreign.output), foreign.output)

  const bundle = await bytesOf(`${server.url}/test/tile/entries/000`)
  const checkpoint = await bytesOf(`${server.url}/test/checkpoint`)
  await server.stop()
  const blinding = logFiles(data, 'test').blinding
  const target = tempFolder()
  const from = ['--from', worm, '--trust', trust, '--vkey', join(witnessData, 'snapshot.vkey')]
  const keys = ['--keys', join(witnessData, 'keys.db'), '--blinding-key', blinding]
  const restore = ['restore', '--data', target, '--name', 'test', ...from, ...keys]
  const restored = await run(process.execPath, [SERVER, ...restore])
  check('a log is restored from it', restored.code === 0, restored.output)
  rmSync(join(data, 'logs'), { recursive: true })
  const checked = await run(process.execPath, [SERVER, 'check', '--data', target])
  check('its tree is the one that was cosigned', /all agree \(restored\)/.test(checked.output), checked.output)
  server = await startServer(target)
  check('it serves the same bundle', equal(await bytesOf(`${server.url}/test/tile/entries/000`), bundle))
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString().split('\n\n')[0]
  check('and the same head', text(await bytesOf(`${server.url}/test/checkpoint`)) === text(checkpoint))
  const refused = await fetch(`${server.url}/test/v1/events`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: event(signer, 'model/later'),
  })
  check('and takes nothing', refused.status === 503, await refused.text())
  await server.stop()

  const store = await openStore(worm)
  const signerOf = loadSnapshotSigner(witnessData, 'witness.example/lane')
  const { manifest } = (await findNewest(store, ORIGIN, logVerifier(signerOf.key)))!
  await store.close()
  const key = `copies/${manifest.objects[0]!.key}`
  await rawClient(ceph).send(
    new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'another', ChecksumAlgorithm: 'SHA256' }),
  )
  const alarmed = await verify()
  check(
    'a second version with other bytes is an alarm',
    alarmed.code === 1 && /of it has other bytes/.test(alarmed.output),
    alarmed.output,
  )
  const again = ['restore', '--data', tempFolder(), '--name', 'test', ...from]
  check('and restores nothing else', (await run(process.execPath, [SERVER, ...again])).code === 0)
}

/** As a witness would a good while later. */
async function longer(witnessData: string, worm: string, list: string): Promise<void> {
  const state = openState(witnessData)
  const keys = new KeyStore(join(witnessData, 'keys.db'))
  const store = await openStore(worm)
  const signer = loadSnapshotSigner(witnessData, state.name)
  const [log] = parseLogList(Buffer.from(list), [])
  const reader = new LogReader(log!.url!)
  const now = () => Date.now() + state.retention / 2
  const before = state.copies.snapshot(ORIGIN)!.locked
  const parts = { log: log!, reader, state, store, signer, verifier: logVerifier(signer.key), keys, now }
  await new Snapshotter({ ...parts, logger: { info: () => {} } }).step()
  const { manifest, at } = (await findNewest(store, ORIGIN, parts.verifier))!
  const locks = await Promise.all([...manifest.objects, at].map((object) => store.lockOf(object)))
  const soonest = Math.min(...locks.map(({ until }) => until))
  check(
    'locks are made longer before they end',
    soonest >= before + state.retention / 2 - 60_000,
    `${before} ${soonest}`,
  )
  check(
    'all in COMPLIANCE mode',
    locks.every(({ mode }) => mode === 'COMPLIANCE'),
  )
  await Promise.all([store.close(), reader.close()])
  keys.close()
  state.close()
}

const bytesOf = async (url: string): Promise<Uint8Array> => new Uint8Array(await (await fetch(url)).arrayBuffer())

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  return port
}

await lane(async () => {
  const ceph = await startCeph()
  await copies(ceph, await makeBucket(rawClient(ceph)))
  await ceph.stop()
})
