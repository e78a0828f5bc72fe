/** A thread that makes signed batches, so that whoever logs them need not. Each message asks for one, by its name. */
import { parentPort, workerData } from 'node:worker_threads'
import { batchBody, payloadOf, signerOf } from './requests.ts'

export interface BatchMakerData {
  readonly origin: string
  readonly keys: readonly string[]
  readonly items: number
  readonly bytes: number
}

const { origin, keys, items, bytes } = workerData as BatchMakerData
const signers = keys.map(signerOf)

let made = 0
parentPort!.on('message', (name: string) => {
  const payloads = Array.from({ length: items }, (_, i) => payloadOf(`${name}-${i}`, bytes))
  const body = batchBody(signers[made++ % signers.length]!, origin, payloads)
  parentPort!.postMessage(body, [body.buffer as ArrayBuffer])
})
