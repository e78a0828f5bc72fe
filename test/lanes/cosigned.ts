/**
 * A log of ours, a witness of ours and one of others (litewitness), as processes: nothing is published without both, everything is soon after
 * it was taken, and evidence says between which two cosignatures. A witness whose key is not the one in the policy must not be enough.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toUtf8 } from '../../src/core/bytes.ts'
import { parseWitnessPolicy, verifyCheckpoint } from '../../src/core/witness-policy.ts'
import { Actor, event } from '../support/actors.ts'
import { makeEventLog } from '../support/server.ts'
import { check, eventually, lane, must, type Server, startProgram, startServer, tempFolder } from './lane.ts'
import { freePort, type Party, startLitewitness } from './litewitness.ts'

const NAME = 'test'
const ORIGIN = 'lane.example/cosigned'
const INTERVAL = 1_000
const WITNESS = 'cmd/treeline-witness.ts'

async function startOurs(vkey: string, url: string, genesis: string): Promise<Party & { server: Server }> {
  const data = tempFolder()
  const output = await must(process.execPath, [WITNESS, 'init', '--data', data, '--name', 'ours.example/w'])
  const logs = join(data, 'logs.json')
  writeFileSync(logs, JSON.stringify({ logs: [{ vkeys: [vkey], url, genesis, keeper: true }] }))
  const flags = ['run', '--data', data, '--logs', logs, '--listen', '127.0.0.1:0', '--log-level', 'warn']
  const server = await startProgram(WITNESS, [...flags, '--audit-interval', '200'])
  return { url: server.url, vkey: output.trim(), server }
}

async function cosigned(): Promise<void> {
  const data = tempFolder()
  const signer = new Actor()
  const { vkey } = await makeEventLog(data, [new Actor()], [{ actor: signer }], { name: NAME, origin: ORIGIN })
  const port = await freePort()
  const base = `http://127.0.0.1:${port}/${NAME}`
  const first = await startServer(data)
  const [{ genesis }] = (await (await fetch(`${first.url}/v1/logs`)).json()) as [{ genesis: string }]
  await first.stop()
  const lite = await startLitewitness([vkey])
  const ours = await startOurs(vkey, base, genesis)

  const policyFile = join(tempFolder(), 'policy')
  const write = (liteKey: string): string => {
    const text = `log ${vkey} ${base}\nwitness lite ${liteKey} ${lite.url}\nwitness ours ${ours.vkey} ${ours.url}\ngroup both all lite ours\nquorum both\n`
    writeFileSync(policyFile, text)
    return text
  }
  const policy = parseWitnessPolicy(toUtf8(write(lite.vkey)))
  const serve = () =>
    startServer(data, [
      '--listen',
      `127.0.0.1:${port}`,
      '--witness-policy',
      policyFile,
      '--publish-interval',
      String(INTERVAL),
    ])
  const submit = async (subject: string, query = '') => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${base}/v1/events${query}`, { method: 'POST', headers, body: event(signer, subject) })
    return { status: answer.status, receipt: (await answer.json()) as { index: number; witnessed: boolean } }
  }
  const published = async () => {
    const answer = await fetch(`${base}/checkpoint`)
    return answer.ok ? verifyCheckpoint(new Uint8Array(await answer.arrayBuffer()), policy) : undefined
  }

  let server = await serve()
  const begun = await eventually('a first quorum', published)
  check('both witnesses cosigned the genesis', begun.cosigners.length === 2 && begun.checkpoint.size === 1n)
  const waits: number[] = []
  let witnessed = true
  for (let i = 0; i < 20; i++) {
    const began = performance.now()
    const { status, receipt } = await submit(`model/${i}`, '?wait=witnessed')
    waits.push(performance.now() - began)
    witnessed &&= status === 201 && receipt.witnessed
  }
  waits.sort((a, b) => a - b)
  check('each of 20 receipts was held until both had cosigned', witnessed)
  check(
    `accept to witnessed took ${Math.round(waits.at(-1)!)} ms at most, at an interval of ${INTERVAL} ms`,
    waits.at(-1)! < 1_500,
  )
  console.log(`  median ${Math.round(waits[10]!)} ms`)

  const key = join(tempFolder(), 'key.pem')
  writeFileSync(key, signer.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  const submission = ['submit', '--log', base, '--trust', policyFile, '--key', key, '--state', tempFolder(), '--wait']
  const waited = await must(process.execPath, [
    ...['cmd/treeline.ts', ...submission, '--type', 'urn:treeline:lane:v1', '--produced', 'LICENSE'],
  ])
  check(
    'treeline submit --wait has a receipt that both cosigned',
    /at index 21 .* witnesses have cosigned it/.test(waited),
    waited,
  )

  const evidence = join(tempFolder(), 'event.tlog-proof')
  writeFileSync(evidence, new Uint8Array(await (await fetch(`${base}/v1/evidence/15`)).arrayBuffer()))
  const said = await must(process.execPath, ['cmd/treeline.ts', 'verify', '--trust', policyFile, evidence])
  check(
    'its evidence says between which two cosignatures it was logged',
    /logged between \S+ and \S+ \(witnesses\)/.test(said),
    said,
  )

  const hash = createHash('sha256').update(ORIGIN).digest('hex')
  const audited = await eventually('an audit', async () => {
    const state = (await (await fetch(`${ours.url}/${hash}/audited`)).json()) as { cosigned: number; audited: number }
    return state.audited === 22 ? state : undefined
  })
  check('our witness has audited all that it cosigned', audited.cosigned === 22)

  lite.stop()
  const { status, receipt } = await submit('model/alone')
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  check('with one of two away appending goes on', status === 201)
  check('and nothing is published', (await published())?.checkpoint.size === 22n, `index ${receipt.index}`)
  check('the server stops when told to', (await server.stop()) === 0)

  // Another key than that of the witness that answers: ours for lite's URL.
  writeFileSync(policyFile, readFileSync(policyFile, 'utf8').replace(lite.url, ours.url))
  server = await serve()
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  check('a cosignature of another key than the policy has is not enough', (await published())?.checkpoint.size === 22n)
  const ready = await (await fetch(`http://127.0.0.1:${port}/readyz`)).text()
  check('and readyz says which witness', /"name":"lite"[^}]*"why":"its answer has no cosignature/.test(ready), ready)
  check('the server stops again', (await server.stop()) === 0)
  check('our witness stops when told to', (await ours.server.stop()) === 0)
}

await lane(cosigned)
