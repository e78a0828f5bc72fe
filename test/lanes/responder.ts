/**
 * What a responder does after the worst has happened: a log is gone and read from its copies, restored, succeeded by another with another witness;
 * lineage leads through both, with tokens that open different things. What comes out is judged by programs of others.
 */
import { lane } from './lane.ts'
import { acrossLogs, doubted, fromCopies, impostor } from './responder-chain.ts'
import { judges, manifests } from './responder-judges.ts'
import { monitors } from './responder-monitor.ts'
import { tokens } from './responder-tokens.ts'
import { Client, lostLog, succeed } from './responder-world.ts'

await lane(async () => {
  const client = new Client()
  const lost = await lostLog(client)
  await fromCopies(client, lost)
  const next = await succeed(client, lost)
  await lost.s3.stop()
  const server = await next.serve()
  const cosigner = await next.cosigner.start(next.at, 'next')
  await acrossLogs(client, lost, next)
  await manifests(client, lost, next)
  await judges(client, lost, next)
  await doubted(client, lost, next)
  await impostor(client, lost, next)
  await tokens(client, lost, next)
  await Promise.all([server.stop(), cosigner.stop()])
  await monitors()
})
