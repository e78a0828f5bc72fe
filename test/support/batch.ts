/** Signed batches as a client sends them. */
import { addendumHash, joinAddendum } from '../../src/core/addendum.ts'
import { BATCH_HEADER, BatchRoot, formatFrame } from '../../src/core/batch.ts'
import { concat, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { type Actor, envelope, statement } from './actors.ts'

export interface SignedBatch {
  readonly header: string
  readonly addenda: readonly Uint8Array[]
  readonly body: Uint8Array
}

export const statements = (count: number, name = 'item'): object[] =>
  Array.from({ length: count }, (_, i) => statement(`model/${name}-${i}`))

/** `change` replaces members of the header document before it is signed. */
export function signedBatch(
  origin: string,
  payloads: readonly unknown[],
  actors: readonly Actor[],
  change: object = {},
  salt: (position: number) => Uint8Array = (position) => new Uint8Array(16).fill(position % 256),
): SignedBatch {
  const addenda = payloads.map((payload, i) =>
    joinAddendum(salt(i), toUtf8(typeof payload === 'string' ? payload : JSON.stringify(payload))),
  )
  const items = BatchRoot.empty()
  for (const addendum of addenda) items.add(addendumHash(addendum))
  const document = { origin, payloadType: IN_TOTO, size: addenda.length, root: toBase64(items.root()), ...change }
  const header = envelope(BATCH_HEADER, document, actors)
  return { header, addenda, body: bodyOf(header, addenda) }
}

export const bodyOf = (header: string, addenda: readonly Uint8Array[]): Uint8Array =>
  concat(formatFrame(toUtf8(header)), ...addenda.map(formatFrame))
