/** Logs of millions of entries, by the product's own store and sequencer, every commit synced. */
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { BatchBody } from '../../src/log/batch-body.ts'
import { loadTree } from '../../src/log/prover.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { commitEntries } from '../support/bare-log.ts'
import { ORIGIN, startServer } from '../support/server.ts'
import type { BatchMakerData } from './batch-maker.ts'

const RAW_BYTES = 100
const COMMIT = 2_048
const ITEMS = 10_000

export type Progress = (size: number) => void

const pool = new Uint8Array(2 ** 20)
for (let at = 0; at < pool.length; at += 32) pool.set(Buffer.from(hash('sha256', String(at), 'hex'), 'hex'), at)

/** Bytes that do not compress and are told by their index. */
export function rawEntry(index: number): Uint8Array {
  const entry = new Uint8Array(RAW_BYTES)
  const from = (index * 97) % (pool.length - RAW_BYTES)
  entry.set(pool.subarray(from, from + RAW_BYTES))
  new DataView(entry.buffer).setFloat64(0, index)
  return entry
}

/** Until the raw log of a folder that no server has open is of this size. */
export async function fillRaw(data: string, target: number, progress: Progress): Promise<void> {
  const store = SqliteStore.open(join(data, 'logs/test/log.db'))
  try {
    let tree = await loadTree(store)
    while (tree.size < target) {
      const from = tree.size
      const entries = Array.from({ length: Math.min(COMMIT, target - from) }, (_, i) => rawEntry(from + i))
      tree = await commitEntries(store, tree, entries)
      // As the log does it: a step for each commit.
      await store.maintain()
      if (from % (COMMIT * 64) === 0) progress(tree.size)
    }
    while (await store.maintain());
  } finally {
    await store.close()
  }
}

/** Until the log of events is of about this size: signed batches through admission and sequencer, the index beside. Ends when the index has them all. */
export async function fillEvents(
  data: string,
  target: number,
  keys: readonly string[],
  bytes: number,
  progress: Progress,
): Promise<void> {
  const limits = { queueEntries: 16_384, queueBytes: 2 ** 28, batchEntries: 16_384, batchBytes: 2 ** 26 }
  const server = await startServer(data, { limits, publishInterval: 1_000 })
  const { events, log } = server.opened.logs.get('test')!
  const workerData: BatchMakerData = { origin: ORIGIN, keys, items: ITEMS, bytes }
  const maker = new Worker(new URL('./batch-maker.ts', import.meta.url), { workerData })
  try {
    const name = (): string => `fill ${log.head.tree.size} ${Math.random()}`
    maker.postMessage(name())
    while (log.head.tree.size < target) {
      const [body] = (await once(maker, 'message')) as [Uint8Array]
      maker.postMessage(name())
      await events!.submitBatch(new BatchBody(inOne(body)))
      progress(log.head.tree.size)
    }
    while (server.opened.projections!.size('test') < log.head.tree.size)
      await new Promise((resolve) => setTimeout(resolve, 250))
  } finally {
    await maker.terminate()
    await server.close()
  }
  if (server.failures.length > 0) throw server.failures[0]
}

async function* inOne(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body
}
