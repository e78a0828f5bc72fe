/** A real log in this process, and the folder of a witness that copies it, to be run as a process. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { openState } from '../../witness/folder.ts'
import { Actor, event } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { runProgram, startProgram } from '../support/programs.ts'
import { makeEventLog, ORIGIN, startServer, temporaryFolder } from '../support/server.ts'
import { wormFolder } from './worm-files.ts'

const WITNESS = 'cmd/treeline-witness.ts'
export const admins = [new Actor()]
export const signer = new Actor()

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** A log in this process and the folder of its witness, which is not running yet. */
export async function copiedLog(t: Test) {
  const folder = temporaryFolder(t)
  const [data, trust, list] = ['witness', 'trust.txt', 'logs.json'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const worm = wormFolder(t)
  const run = (...args: string[]) => runProgram(t, WITNESS, args)
  const init = await run('init', '--data', data, '--name', 'witness.example/p', '--retention', '30')
  t.equal(init.code, 0, init.errors)
  const logData = temporaryFolder(t)
  const { vkey } = await makeEventLog(logData, admins, [{ actor: signer }])
  const port = await freePort()
  writeFileSync(trust, `log ${vkey}\nwitness w ${init.output.trim()} http://127.0.0.1:${port}\nquorum w\n`)
  const server = await startServer(logData, { witnesses: parseWitnessPolicy(readFileSync(trust)), publishInterval: 20 })
  t.teardown(() => server.close())
  const [{ genesis }] = json(await ask(server.url, '/v1/logs')) as unknown as [{ genesis: string }]
  const url = `${server.url}/test`
  writeFileSync(list, JSON.stringify({ logs: [{ vkeys: [vkey], url, genesis, keeper: true }] }))
  const flags = ['run', '--data', data, '--logs', list, '--listen', `127.0.0.1:${port}`, '--log-level', 'error']
  const often = ['--audit-interval', '50', '--snapshot-interval', '100', '--worm', worm]
  return {
    ...{ data, trust, worm, logData, vkey, server, run, flags },
    async start(...more: string[]) {
      const child = startProgram(t, WITNESS, [...flags, ...often, ...more])
      child.stderr!.pipe(process.stderr)
      const closed = once(child, 'close') as Promise<[number | null]>
      const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
      await lines.next()
      const { value: said } = await lines.next()
      return {
        said: String(said),
        metrics: async () => (await ask(`http://127.0.0.1:${port}`, '/metrics')).body.toString(),
        async stop(signal: NodeJS.Signals = 'SIGTERM') {
          child.kill(signal)
          return (await closed)[0]
        },
      }
    },
    async submit(subject: string) {
      const { status, body } = await post(server.url, '/test/v1/events', event(signer, subject))
      if (status !== 201) throw new Error(body.toString())
    },
    /** Until a snapshot of that size is known. */
    async copied(size: number) {
      const state = openState(data)
      for (let i = 0; i < 500 && (state.copies.snapshot(ORIGIN)?.size ?? 0) < size; i++)
        await new Promise((resolve) => setTimeout(resolve, 20))
      const found = state.copies.snapshot(ORIGIN)?.size
      state.close()
      return found
    },
    verify: () => run('verify', '--data', data, '--worm', worm),
  }
}
