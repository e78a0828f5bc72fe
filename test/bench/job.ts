/** What the benchmark and its client process tell each other. */

export interface Job {
  readonly host: string
  readonly port: number
  readonly connections: number
  /** The run ends after this, or when the requests are used up. */
  readonly seconds: number
  /** Requests a second that are offered, each at its own time; without one, each connection asks again as soon as it was answered. */
  readonly rate?: number
  readonly what: Work
}

export type Work =
  /** Signed events of about `bytes`, by 40 keys; `lines` to a request, as NDJSON when more than one. */
  | {
      readonly kind: 'events'
      readonly path: string
      readonly keys: readonly string[]
      readonly count: number
      readonly lines: number
      readonly bytes: number
      readonly seed: string
    }
  /** Signed batches of `items` payloads of `bytes` bytes each, with two artifacts; `origin` is that of the log. */
  | {
      readonly kind: 'batches'
      readonly path: string
      readonly origin: string
      readonly keys: readonly string[]
      readonly count: number
      readonly items: number
      readonly bytes: number
      readonly seed: string
    }
  /** POSTs of these bodies, each once and in their order. */
  | { readonly kind: 'post'; readonly path: string; readonly bodies: readonly string[] }
  /** GETs of these paths, in turn. */
  | { readonly kind: 'get'; readonly paths: readonly string[]; readonly count: number }

export interface Result {
  readonly count: number
  readonly seconds: number
  /** Latencies in ms. */
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly statuses: Readonly<Record<string, number>>
  readonly bytes: number
  /** Processor time of the client, in seconds. */
  readonly cpu: number
  /** Whether the run ended because the requests were used up. */
  readonly exhausted: boolean
}
