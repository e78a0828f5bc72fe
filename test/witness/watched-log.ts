/** A real log of events whose witness audits it, in one process over real folders and real HTTP. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { BATCH_BODY } from '../../src/core/batch.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { type Entry, encodeEntry } from '../../src/core/entry.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Alerts } from '../../witness/alerts.ts'
import { Auditor } from '../../witness/auditor.ts'
import { initWitness, openState, vkeysOf } from '../../witness/folder.ts'
import { buildWitnessServer, closeWitnessServer } from '../../witness/http.ts'
import { parseLogList } from '../../witness/log-list.ts'
import { LogReader } from '../../witness/log-reader.ts'
import { Metrics } from '../../witness/metrics.ts'
import { logVerifier, nativeVerify } from '../../witness/native-verify.ts'
import type { KeyStore } from '../../witness/seal/key-store.ts'
import { Witness } from '../../witness/witness.ts'
import { Actor, event } from '../support/actors.ts'
import { signedBatch } from '../support/batch.ts'
import { json, post } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'

type Test = { teardown(f: () => unknown): unknown }
export const admins = [new Actor()]
export const signer = new Actor()
export const narrow = new Actor()
export const HOUR = 3_600_000

export type Spoil = (path: string, response: ServerResponse) => boolean

/** Passes requests on to whatever `target` says, unless `spoil` answers itself. */
async function proxy(t: Test, way: { target: string; spoil: Spoil }): Promise<string> {
  const server = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { method, headers, url: path = '/' } = incoming
    if (way.spoil(path, outgoing)) return
    const onward = request(new URL(way.target), { method, headers, path, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export async function setUp(
  t: Test,
  { patience = HOUR, elsewhere = '', keys }: { patience?: number; elsewhere?: string; keys?: KeyStore } = {},
) {
  const data = temporaryFolder(t)
  const rules = [{ actor: signer }, { actor: narrow, subjects: ['model/*'] }]
  const { vkey, document } = await makeEventLog(data, admins, rules)
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  const folder = temporaryFolder(t)
  const cosigner = initWitness(folder, { name: 'witness.example/w', mlDsa: false, newState: false, retention: 1e9 })
  const state = openState(folder)
  const way: { target: string; spoil: Spoil } = { target: '', spoil: () => false }
  const url = await proxy(t, way)
  const genesis = readGenesis(data)
  const listed = {
    vkeys: [vkey],
    url: `${url}/test`,
    keeper: true,
    genesis,
    ...(elsewhere && { witnesses: [elsewhere] }),
  }
  const [log] = parseLogList(toUtf8(JSON.stringify({ logs: [listed] })), cosigner.keys)
  const said: { kind: string; why: string }[] = []
  const write = (line: object) => void ('kind' in line && said.push(line as { kind: string; why: string }))
  const logger = {
    info: () => {},
    warn: write,
    error: (line: object) => said.push({ kind: 'error', why: JSON.stringify(line) }),
  }
  const metrics = new Metrics(state)
  const clock = { ahead: 0 }
  const now = () => Date.now() + clock.ahead
  const hooks: string[] = []
  const hook = createServer((request_, response) => {
    request_.on('data', (part) => hooks.push(String(part)))
    request_.on('end', () => response.end())
  })
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve))
  const webhook = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`
  const alerts = new Alerts({ file: join(folder, 'alerts.ndjson'), webhook, metrics, logger, now })
  const reader = new LogReader(log!.url!)
  const auditor = new Auditor({
    ...{ log: log!, reader, verifiers: log!.keys.map(logVerifier), state, alerts },
    ...{ verify: nativeVerify, now, patience },
    ...(keys && { erase: (indexes: readonly number[]) => void keys.puncture(ORIGIN, indexes) }),
  })
  const witness = new Witness({ state, logs: [log!], cosigner, now, hold: () => auditor.hold })
  const app = buildWitnessServer({ witness, state, metrics, logger })
  const witnessUrl = await app.listen({ host: '127.0.0.1', port: 0 })
  const policy = parseWitnessPolicy(
    toUtf8(`log ${vkey}\nwitness w ${vkeysOf(cosigner).trim()} ${witnessUrl}\nquorum w\n`),
  )
  const server = await startServer(data, { witnesses: policy, publishInterval: 10 })
  way.target = server.url
  t.teardown(async () => {
    await server.close()
    await closeWitnessServer(app, 100)
    await reader.close()
    await alerts.close()
    hook.closeAllConnections()
    hook.close()
    state.close()
  })
  const served = server.opened.logs.get('test')!
  const cosigned = () => Number(state.cosigned(ORIGIN)?.size ?? 0)
  return {
    ...{
      data,
      folder,
      vkey,
      trust,
      document,
      state,
      way,
      said,
      clock,
      hooks,
      auditor,
      server,
      served,
      witnessUrl,
      alerts,
      reader,
      metrics,
      now,
      log: log!,
    },
    audited: () => state.audited(ORIGIN)?.size ?? 0,
    cosigned,
    async submit(subject: string, actor = signer) {
      const answer = await post(server.url, '/test/v1/events', event(actor, subject))
      if (answer.status !== 201) throw new Error(answer.body.toString())
      return json(answer).index as number
    },
    /** Index of the header. */
    async batch(payloads: readonly unknown[], actor = signer) {
      const { body } = signedBatch(ORIGIN, payloads, [actor])
      const answer = await post(server.url, '/test/v1/events/batch', body, BATCH_BODY)
      if (answer.status !== 201) throw new Error(answer.body.toString())
      return json(answer).index as number
    },
    /** Past the log's own rules, as its operator could. */
    async force(entry: Entry, addendum?: Uint8Array, following: readonly Entry[] = []) {
      const items = following.map((one) => ({ entry: encodeEntry(one) }))
      const placed = { entry: encodeEntry(entry), ...(addendum && { addendum }), items }
      return (await served.log.append({ size: 1_000, place: () => placed })).index
    },
    /** Waits until all that was committed is cosigned, and audits. */
    async step() {
      const { size } = served.log.head.tree
      for (let i = 0; i < 400 && cosigned() < size; i++) await new Promise((resolve) => setTimeout(resolve, 20))
      await auditor.step()
    },
  }
}

function readGenesis(data: string): string {
  const db = new Database(join(data, 'logs/test/log.db'), { readonly: true })
  const { bundle } = db.prepare('SELECT bundle FROM entries WHERE first = 0').get() as { bundle: Buffer }
  db.close()
  return createHash('sha256')
    .update(Buffer.concat([Buffer.of(0), bundle.subarray(2)]))
    .digest('hex')
}
