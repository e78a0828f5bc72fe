/**
 * The client of a benchmark, in a process of its own: raw sockets, requests made before the clock starts, one request at a time on each
 * connection. Reads one job from its parent, answers one result.
 */
import { connect, type Socket } from 'node:net'
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
    exhausted: next >= requests.length,
  }
}

function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

/** Reads one response after the other: just enough HTTP to find where one ends. */
class Answers {
  #held: Buffer = Buffer.alloc(0)
  #waiting: (() => void) | undefined
  #failed: Error | undefined

  constructor(socket: Socket) {
    socket.on('data', (chunk) => {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
      this.#waiting?.()
    })
    socket.on('close', () => {
      this.#failed ??= new Error('the server closed the connection')
      this.#waiting?.()
    })
    socket.on('error', (error) => {
      this.#failed = error
    })
  }

  async next(): Promise<{ status: string; length: number }> {
    for (;;) {
      const answer = this.#take()
      if (answer !== undefined) return answer
      if (this.#failed !== undefined) throw this.#failed
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }

  #take(): { status: string; length: number } | undefined {
    const end = this.#held.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const head = this.#held.toString('latin1', 0, end).toLowerCase()
    const status = head.slice(9, 12)
    const fixed = /content-length: (\d+)/.exec(head)
    let total: number
    if (fixed !== null) total = end + 4 + Number(fixed[1])
    else if (head.includes('transfer-encoding: chunked')) {
      // A chunk of NDJSON or gzip could hold these bytes too, but only the last one is followed by nothing.
      const last = this.#held.indexOf('\r\n0\r\n\r\n', end)
      if (last < 0 || last + 7 !== this.#held.length) return undefined
      total = last + 7
    } else total = end + 4
    if (this.#held.length < total) return undefined
    this.#held = this.#held.subarray(total)
    return { status, length: total }
  }
}
