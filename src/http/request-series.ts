/**
 * Counts and durations of requests. An answer costs a few additions here, where a labelled counter and histogram of prom-client cost
 * a tenth of a small GET; they are spelled out when somebody asks.
 */
import { Counter, type Metric, type Registry } from 'prom-client'

const COUNT = 'treeline_http_requests_total'
const DURATION = 'treeline_http_request_duration_seconds'
/** Upper bounds, seconds. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30] as const

/** The requests of one method and route. */
export class RequestSeries {
  readonly method: string
  readonly route: string
  readonly statuses = new Map<number, number>()
  /** Answers that took at most BOUNDS[i] and longer than the bound before; the last is for all above. */
  readonly buckets = new Float64Array(BOUNDS.length + 1)
  sum = 0

  constructor(method: string, route: string) {
    this.method = method
    this.route = route
  }

  add(status: number, seconds: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    let bucket = 0
    while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]!) bucket++
    this.buckets[bucket]!++
    this.sum += seconds
  }
}

/** Registers both metrics over the series; a series may be added to the list at any time. */
export function registerSeries(registry: Registry, all: readonly RequestSeries[]): void {
  new Counter({
    name: COUNT,
    help: 'Requests answered.',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { method, route, statuses } of all)
        for (const [status, count] of statuses) this.inc({ method, route, status }, count)
    },
  })
  const histogram = {
    name: DURATION,
    help: 'From the head of a request to the end of its answer.',
    type: 'histogram',
    get: async () => ({
      ...{ name: DURATION, help: histogram.help, type: 'histogram', aggregator: 'sum' },
      values: all.filter(({ statuses }) => statuses.size > 0).flatMap(valuesOf),
    }),
  }
  registry.registerMetric(histogram as unknown as Metric)
}

function valuesOf({ method, route, buckets, sum }: RequestSeries): object[] {
  const labels = { method, route }
  let count = 0
  return [
    ...[...BOUNDS, '+Inf'].map((le, i) => {
      count += buckets[i]!
      return { metricName: `${DURATION}_bucket`, labels: { le, ...labels }, value: count }
    }),
    { metricName: `${DURATION}_sum`, labels, value: sum },
    { metricName: `${DURATION}_count`, labels, value: count },
  ]
}
