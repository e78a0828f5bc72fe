/**
 * What /metrics says. Labels come from closed sets (routes as they are declared, names of logs, our own codes), so that no client can
 * make series.
 */
import type { FastifyInstance } from 'fastify'
import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type MetricObject,
  Registry,
} from 'prom-client'
import type { Code } from '../core/errors.ts'
import type { WitnessState } from '../log/cosigners.ts'
import type { Projections } from '../log/projections.ts'
import { operations } from './operations.ts'
import { RequestSeries, registerSeries } from './request-series.ts'
import type { ServedLog, ServedLogs } from './served-log.ts'

export class Metrics {
  readonly registry = new Registry()
  readonly #series: RequestSeries[] = []
  readonly #dropped: Counter
  readonly #rejected: Counter<'log' | 'code'>
  readonly #commits: Histogram<'log'>
  readonly #batches: Histogram<'log'>
  readonly #appended: Counter<'log'>
  readonly #failures: Counter<'log'>
  /** What the other threads of the process have counted. */
  #others: () => Promise<readonly MetricObject[][]> = async () => []

  constructor() {
    const registers = [this.registry]
    registerSeries(this.registry, this.#series)
    this.#dropped = new Counter({
      name: 'treeline_http_connections_dropped_total',
      help: 'Connections refused because there were too many.',
      registers,
    })
    this.#rejected = new Counter({
      name: 'treeline_rejected_total',
      help: 'Submissions refused, lines of batches one by one.',
      labelNames: ['log', 'code'],
      registers,
    })
    this.#commits = new Histogram({
      name: 'treeline_log_commit_duration_seconds',
      help: 'Transactions that made entries durable.',
      labelNames: ['log'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    })
    this.#batches = new Histogram({
      name: 'treeline_log_commit_entries',
      help: 'Entries in one commit.',
      labelNames: ['log'],
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
      registers,
    })
    this.#appended = new Counter({
      name: 'treeline_log_entries_appended_total',
      help: 'Entries made durable by this process.',
      labelNames: ['log'],
      registers,
    })
    this.#failures = new Counter({
      name: 'treeline_log_failures_total',
      help: 'Failures of the disk or of the housekeeping: each is in the log of the server.',
      labelNames: ['log'],
      registers,
    })
  }

  /** Also measures the process: event loop, memory, collections. */
  withProcess(): this {
    collectDefaultMetrics({ register: this.registry, prefix: 'treeline_' })
    return this
  }

  /** Adds what other threads have counted, whenever somebody asks. */
  withOthers(others: () => Promise<readonly MetricObject[][]>): this {
    this.#others = others
    return this
  }

  /** As a thread tells it to another. */
  async count(): Promise<MetricObject[]> {
    return this.registry.getMetricsAsJSON() as unknown as Promise<MetricObject[]>
  }

  /** In the text format of Prometheus. */
  async text(): Promise<string> {
    const others = await this.#others()
    if (others.length === 0) return this.registry.metrics()
    const shared = new Set(others.flat().map(({ name }) => name))
    const own = await this.count()
    const all = [own.filter(({ name }) => shared.has(name)), ...others]
    const alone = await Promise.all(
      own.filter(({ name }) => !shared.has(name)).map(({ name }) => this.registry.getSingleMetricAsString(name)),
    )
    return `${alone.join('\n\n')}\n\n${await AggregatorRegistry.aggregate(all as unknown as object[]).metrics()}`
  }

  /** Where the answers of one route are counted. Called once for each as it is declared. */
  ofRoute(method: string, route: string): RequestSeries {
    const series = new RequestSeries(method, route)
    this.#series.push(series)
    return series
  }

  dropped(): void {
    this.#dropped.inc()
  }

  rejected(log: string, code: Code): void {
    this.#rejected.inc({ log, code })
  }

  committed(log: string, entries: number, seconds: number): void {
    this.#commits.observe({ log }, seconds)
    this.#batches.observe({ log }, entries)
    this.#appended.inc({ log }, entries)
  }

  failed(log: string): void {
    this.#failures.inc({ log })
  }

  /** What is read off the logs when somebody asks. */
  watch(logs: ServedLogs, projections?: Projections): void {
    const gauge = (name: string, help: string, read: (served: ServedLog) => number) =>
      new Gauge({
        name: `treeline_log_${name}`,
        help,
        labelNames: ['log'],
        registers: [this.registry],
        collect() {
          for (const [log, served] of logs) this.set({ log }, read(served))
        },
      })
    gauge('size', 'Entries committed.', ({ log }) => log.head.tree.size)
    new Gauge({
      name: 'treeline_log_index_size',
      help: 'Entries that search and lineage know.',
      labelNames: ['log'],
      registers: [this.registry],
      collect() {
        for (const [log, { events }] of logs) if (events && projections) this.set({ log }, projections.size(log))
      },
    })
    gauge('published_size', 'Entries that the published checkpoint covers.', ({ log }) => log.published?.size ?? 0)
    gauge('publish_lag_seconds', 'How long a commit has been waiting to be published.', ({ log }) => log.publishLag)
    gauge('queue_entries', 'Submissions that wait for a commit.', ({ log }) => log.queued.entries)
    gauge('queue_bytes', 'Memory that they hold.', ({ log }) => log.queued.bytes)
    const ofWitness = (name: string, help: string, read: (state: WitnessState) => number) =>
      new Gauge({
        name: `treeline_log_witness_${name}`,
        help,
        labelNames: ['log', 'witness'],
        registers: [this.registry],
        collect() {
          for (const [log, served] of logs)
            for (const state of served.log.witnesses) this.set({ log, witness: state.name }, read(state))
        },
      })
    ofWitness('size', 'Entries that its last cosignature covers.', ({ size }) => size)
    ofWitness('late_seconds', 'Since when it fails to cosign; 0 while it does.', ({ late }) => late)
    // Nobody is to be woken for a log that was restored, and is as it should be.
    gauge('ready', '1 while the log takes entries, or is restored and takes none: /readyz says why not.', ({ log }) =>
      log.refusal && !log.restored ? 0 : 1,
    )
  }
}

export function metricsRoute(app: FastifyInstance, metrics: Metrics): void {
  app.get('/metrics', { config: { scope: 'metrics' }, schema: operations.getMetrics }, async (_request, reply) =>
    reply
      .type(metrics.registry.contentType)
      .header('cache-control', 'no-store')
      .send(await metrics.text()),
  )
}
