/**
 * What an event says, behind its entry: a single event has its signed envelope there, an item of a signed batch the payload itself, which the header of
 * the batch is the signature of.
 */
import { splitAddendum } from './addendum.ts'
import { type Envelope, parseEnvelope } from './dsse.ts'
import type { EventEntry } from './entry.ts'

export interface EventPayload {
  readonly payloadType: string
  readonly payload: Uint8Array
  /** Of a single event. */
  readonly envelope?: Envelope
}

/** Nothing of it is verified. Throws INVALID_LOG for an addendum that is none, and what `parseEnvelope` does. */
export function eventPayload(
  { batch, payloadType }: Pick<EventEntry, 'batch' | 'payloadType'>,
  addendum: Uint8Array,
): EventPayload {
  const { document } = splitAddendum(addendum)
  if (batch !== undefined) return { payloadType, payload: document }
  const envelope = parseEnvelope(document)
  return { payloadType: envelope.payloadType, payload: envelope.payload, envelope }
}
