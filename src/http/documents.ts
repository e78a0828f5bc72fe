/** The JSON documents of the service. */
import type { CanonicalEnvelope, Event, Receipt } from '../../schemas/types.ts'
import { splitAddendum } from '../core/addendum.ts'
import { artifactDocument } from '../core/artifact.ts'
import { fromUtf8, toBase64, toHex } from '../core/bytes.ts'
import { BATCH, decodeEntry, EVENT, type EventEntry, KIND_NAMES, REDACTION } from '../core/entry.ts'
import { eventPayload } from '../core/event-payload.ts'
import { leafHash } from '../core/merkle.ts'
import type { Admitted } from '../log/events.ts'
import type { ReadableLog } from '../log/log.ts'
import type { PublishedHead } from '../log/published-heads.ts'

/** For a published head that covers it, or for the committed one, which covers everything that was ever answered. */
export async function receiptDocument(
  log: ReadableLog,
  { index, entry, salt }: Admitted,
  published?: PublishedHead,
): Promise<Receipt> {
  const { tree } = log.head
  const { size, note, witnessed } = published ?? { size: tree.size, note: log.head.note, witnessed: false }
  const hashes = await log.prover.inclusion(tree, index, size)
  return {
    origin: log.origin,
    index,
    entry: toBase64(entry),
    ...(salt && { salt: toBase64(salt) }),
    hashes: hashes.map(toBase64),
    checkpoint: note,
    witnessed,
  }
}

/** `withPayload` decides whether the signed envelope is in it. */
export async function eventDocument(
  log: ReadableLog,
  index: number,
  bytes: Uint8Array,
  withPayload: boolean,
): Promise<Event> {
  const entry = decodeEntry(bytes)
  const signed = entry.kind === EVENT || entry.kind === BATCH ? entry : undefined
  const event = entry.kind === EVENT ? entry : undefined
  const by = await log.store.redactedBy(index)
  return {
    index,
    kind: KIND_NAMES[entry.kind],
    time: entry.time,
    keys: signed?.keys.map(toHex) ?? [],
    payloadType: signed?.payloadType ?? null,
    type: event?.type ?? null,
    artifacts: event?.artifacts.map(artifactDocument) ?? [],
    hidden: event?.hidden ?? 0,
    leafHash: toHex(leafHash(bytes)),
    entry: toBase64(bytes),
    addendum: toHex(entry.addendum),
    ...(event?.batch === undefined
      ? { envelope: withPayload ? await envelopeOf(log, index, entry.kind === EVENT) : null }
      : { envelope: null, batch: event.batch, ...(withPayload && (await payloadOf(log, index, event))) }),
    redacted: by === undefined ? null : { index: by, reason: await reasonOf(log, by) },
    ...(by === undefined && (await isMissing(log, index)) && { missing: true as const }),
  }
}

/** Of an item of a signed batch. */
async function payloadOf(log: ReadableLog, index: number, entry: EventEntry): Promise<{ payload?: string }> {
  const addendum = await log.store.addendum(index)
  return addendum === undefined ? {} : { payload: toBase64(eventPayload(entry, addendum).payload) }
}

export async function envelopeOf(log: ReadableLog, index: number, blinded: boolean): Promise<CanonicalEnvelope | null> {
  const addendum = await log.store.addendum(index)
  if (addendum === undefined) return null
  // The log wrote it in canonical form, so it is JSON.
  return JSON.parse(fromUtf8(blinded ? splitAddendum(addendum).document : addendum)!) as CanonicalEnvelope
}

/** Whether the document of an entry that nobody redacted is not there: a restored log has what the copies had. */
const isMissing = async (log: ReadableLog, index: number): Promise<boolean> =>
  log.restored && (await log.store.addendum(index)) === undefined

async function reasonOf(log: ReadableLog, by: number): Promise<string> {
  const entry = decodeEntry((await log.store.entry(by))!)
  return entry.kind === REDACTION ? entry.reason : ''
}
