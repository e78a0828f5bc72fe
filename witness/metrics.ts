/** What /metrics of a witness says. Labels come from configured origins and closed sets. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { WitnessState } from './state.ts'

export class WitnessMetrics {
  readonly registry = new Registry()
  readonly #asked: Counter<'status'>
  readonly #duration: Histogram
  readonly #alerts: Counter<'origin' | 'kind'>

  constructor(state: WitnessState, origins: readonly string[]) {
    const registers = [this.registry]
    this.#asked = new Counter({
      name: 'treeline_witness_add_checkpoint_total',
      help: 'Requests to cosign, by status.',
      labelNames: ['status'],
      registers,
    })
    this.#duration = new Histogram({
      name: 'treeline_witness_add_checkpoint_duration_seconds',
      help: 'From a request to its durable answer.',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1],
      registers,
    })
    this.#alerts = new Counter({
      name: 'treeline_witness_alerts_total',
      help: 'Alerts raised, by kind.',
      labelNames: ['origin', 'kind'],
      registers,
    })
    const gauge = (name: string, help: string, read: (origin: string) => number) =>
      new Gauge({
        name: `treeline_witness_${name}`,
        help,
        labelNames: ['origin'],
        registers,
        collect() {
          for (const origin of origins) this.set({ origin }, read(origin))
        },
      })
    gauge('cosigned_size', 'Entries that the latest cosignature covers.', (origin) =>
      Number(state.cosigned(origin)?.size ?? 0n),
    )
    gauge(
      'cosigned_time_seconds',
      'When it was made, Unix time; 0 for never.',
      (origin) => state.cosigned(origin)?.time ?? 0,
    )
    gauge('audited_size', 'Entries that were audited.', (origin) => state.audited(origin)?.size ?? 0)
    gauge('frozen', '1 while a fault of the log is not cleared.', (origin) => (state.frozen(origin) ? 1 : 0))
  }

  withProcess(): this {
    collectDefaultMetrics({ register: this.registry, prefix: 'treeline_witness_' })
    return this
  }

  asked(status: number, seconds: number): void {
    this.#asked.inc({ status })
    this.#duration.observe(seconds)
  }

  alerted(origin: string, kind: string): void {
    this.#alerts.inc({ origin, kind })
  }
}
