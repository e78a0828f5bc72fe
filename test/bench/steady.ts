/**
 * The client of the soak, in a process of its own: signs events as it goes, so that it holds none, and tells its parent of each window. With a
 * rate every request has its time, and its latency counts from then: a server that stands still is late for all that came due meanwhile.
 */
import { Answers, open } from './connection.ts'
import { envelope, signerOf } from './requests.ts'

export interface SteadyJob {
  readonly host: string
  readonly port: number
  readonly connections: number
  readonly seconds: number
  /** Events a second that are offered; without one, as many as go. */
  readonly rate?: number
  readonly keys: readonly string[]
  /** Of an event. */
  readonly bytes: number
  readonly seed: string
  /** Of a window, s. */
  readonly window: number
}

export interface Window {
  /** Seconds since the start, at its end. */
  readonly at: number
  readonly answered: number
  /** Latencies, ms. */
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly statuses: Readonly<Record<string, number>>
}

process.once('message', async (job: SteadyJob) => {
  await run(job, (window) => process.send!(window))
  process.send!('end', () => process.exit(0))
})

async function run(job: SteadyJob, tell: (window: Window) => void): Promise<void> {
  const { host, port, connections, seconds, rate, keys, bytes, seed } = job
  const signers = keys.map(signerOf)
  const head = `POST /test/v1/events HTTP/1.1\r\nhost: ${host}:${port}\r\ncontent-length: `
  let latencies: number[] = []
  let statuses: Record<string, number> = {}
  let next = 0
  const start = performance.now()
  const deadline = start + seconds * 1000
  const timer = setInterval(() => {
    const sorted = latencies.sort((a, b) => a - b)
    const share = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
    const at = (performance.now() - start) / 1000
    tell({ at, answered: sorted.length, p50: share(0.5), p99: share(0.99), max: share(1), statuses })
    latencies = []
    statuses = {}
  }, job.window * 1000)

  const lane = async (): Promise<void> => {
    const socket = await open(host, port)
    const answers = new Answers(socket)
    while (performance.now() < deadline) {
      const turn = next++
      const due = rate === undefined ? performance.now() : start + (turn * 1000) / rate
      const body = envelope(signers[turn % signers.length]!, `${seed}-${turn}`, bytes)
      const early = due - performance.now()
      if (early >= 1) await new Promise((resolve) => setTimeout(resolve, early))
      socket.write(`${head}${body.length}\r\n\r\n${body}`)
      const { status } = await answers.next()
      latencies.push(performance.now() - due)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: connections }, lane))
  clearInterval(timer)
}
