/**
 * The client of a benchmark, in a process of its own: raw sockets, requests made before the clock starts, one request at a time on each
 * connection. Reads one job from its parent, answers one result.
 */
import { Answers, open } from './connection.ts'
import type { Job, Result } from './job.ts'
import { requestsOf } from './requests.ts'

process.once('message', async (job: Job) => {
  const requests = requestsOf(job)
  process.send!('ready')
  process.once('message', async () => {
    const result = await run(job, requests)
    process.send!(result, () => process.exit(0))
  })
})

async function run({ host, port, connections, seconds, rate }: Job, requests: readonly Buffer[]): Promise<Result> {
  const latencies: number[] = []
  const statuses: Record<string, number> = {}
  let next = 0
  let bytes = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  const deadline = start + seconds * 1000

  const lane = async (): Promise<void> => {
    const socket = await open(host, port)
    const answers = new Answers(socket)
    while (next < requests.length && performance.now() < deadline) {
      const turn = next++
      const request = requests[turn]!
      const early = rate === undefined ? 0 : start + (turn * 1000) / rate - performance.now()
      if (early >= 1) await new Promise((resolve) => setTimeout(resolve, early))
      const sent = performance.now()
      socket.write(request)
      const { status, length } = await answers.next()
      latencies.push(performance.now() - sent)
      statuses[status] = (statuses[status] ?? 0) + 1
      bytes += length
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: connections }, lane))

  const elapsed = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
  return {
    count: latencies.length,
    seconds: elapsed,
    p50: at(0.5),
    p99: at(0.99),
    max: at(1),
    statuses,
    bytes,
    cpu: (user + system) / 1e6,
    exhausted: next >= requests.length,
  }
}
