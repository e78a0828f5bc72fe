/** What /metrics says. Labels are our own codes and the origins of the state, so that no client can make series. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Code } from '../src/core/errors.ts'
import type { WitnessState } from './state.ts'

export class Metrics {
  readonly registry = new Registry()
  readonly #answers: Counter<'code'>
  readonly #durations: Histogram
  readonly #forks: Counter
  readonly #alerts: Counter<'origin' | 'kind'>
  readonly #snapshots: Gauge<'origin'>

  constructor(state: WitnessState) {
    const registers = [this.registry]
    this.#answers = new Counter({
      name: 'treeline_witness_add_checkpoint_total',
      help: 'Answers to add-checkpoint: OK, or the code of the refusal.',
      labelNames: ['code'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'treeline_witness_cosign_duration_seconds',
      help: 'From a whole request to durable cosignatures.',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    })
    this.#forks = new Counter({
      name: 'treeline_witness_contradictions_total',
      help: 'Checkpoints that a log signed and that have another root at a cosigned size: both notes are in the log of the witness.',
      registers,
    })
    this.#alerts = new Counter({
      name: 'treeline_witness_alerts_total',
      help: 'Alerts, by kind: stale, unverifiable, no-snapshot, worm-broken, missing, back-dated, invalid-entry, fork.',
      labelNames: ['origin', 'kind'],
      registers,
    })
    this.#snapshots = new Gauge({
      name: 'treeline_witness_snapshot_timestamp_seconds',
      help: 'When the copy of a log was last brought up to date.',
      labelNames: ['origin'],
      registers,
    })
    const gauge = (name: string, help: string, read: (origin: string, size: bigint, time: number) => number) =>
      new Gauge({
        name: `treeline_witness_${name}`,
        help,
        labelNames: ['origin'],
        registers,
        collect() {
          for (const { origin, size, time } of state.all()) this.set({ origin }, read(origin, size, time))
        },
      })
    gauge('cosigned_size', 'Latest cosigned size.', (_origin, size) => Number(size))
    gauge('cosigned_timestamp_seconds', 'Time of the latest cosignatures.', (_origin, _size, time) => time)
    gauge('audited_size', 'Entries that were audited.', (origin) => state.audited(origin)?.size ?? 0)
    gauge(
      'snapshot_size',
      'Entries that are in the newest snapshot.',
      (origin) => state.copies.snapshot(origin)?.size ?? 0,
    )
    gauge(
      'snapshot_locked_until_seconds',
      'When the first lock of the newest snapshot ends; 0 without one.',
      (origin) => (state.copies.snapshot(origin)?.locked ?? 0) / 1000,
    )
    gauge('frozen', '1 while cosigning is stopped until a person clears it.', (origin) =>
      state.frozen(origin) ? 1 : 0,
    )
  }

  /** Also measures the process. */
  withProcess(): this {
    collectDefaultMetrics({ register: this.registry, prefix: 'treeline_witness_' })
    return this
  }

  answered(code: Code | 'OK' | 'BUG'): void {
    this.#answers.inc({ code })
  }

  cosigned(seconds: number): void {
    this.#durations.observe(seconds)
  }

  alerted(origin: string, kind: string): void {
    this.#alerts.inc({ origin, kind })
  }

  snapshotted(origin: string, seconds: number): void {
    this.#snapshots.set({ origin }, seconds)
  }

  contradicted(): void {
    this.#forks.inc()
  }
}
