/** Valid bytes of every format, made by the product from one small log of each kind of entry. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromUtf8, toBase64, toUtf8 } from '../../../src/core/bytes.ts'
import { formatEnvelope, parseEnvelope } from '../../../src/core/dsse.ts'
import { forks, framings, honest } from '../../core/faulty-logs.ts'
import { Actor, event } from '../../support/actors.ts'
import { ROOT } from '../lane.ts'

export const log = honest()
export const fork = forks()
export const framed = Object.values(framings())
export const single = parseEnvelope(log.addenda[1]!.subarray(16))

export const utf8 = (...texts: readonly string[]): Uint8Array[] => texts.map(toUtf8)

/** Documents of all addenda, and the payloads in them. */
export const documents: readonly Uint8Array[] = log.addenda.map((addendum, index) =>
  addendum[0] === 0x7b ? addendum : index < log.addenda.length ? addendum.subarray(16) : addendum,
)
export const envelopes: readonly Uint8Array[] = [
  ...documents.filter((bytes) => fromUtf8(bytes)?.startsWith('{"payload"')),
  toUtf8(event(new Actor('p256'), 'model/x')),
  toUtf8(JSON.stringify(JSON.parse(fromUtf8(formatEnvelope(single))!), undefined, 2)),
]
export const payloadsOf = (type: string): Uint8Array[] => [
  ...envelopes
    .map(parseEnvelope)
    .filter((one) => one.payloadType === type)
    .map(({ payload }) => payload),
  ...attestations.filter((one) => one.payloadType === type).map(({ payload }) => payload),
]

/** Of other people's programs. */
const attestations = jsonFiles(join(ROOT, 'test/vectors/attestations')).flatMap((bytes) => {
  const document = JSON.parse(fromUtf8(bytes)!) as { payload?: unknown; dsseEnvelope?: unknown; _type?: unknown }
  const wrapped = document.dsseEnvelope ?? document
  if (typeof (wrapped as { payload?: unknown }).payload === 'string')
    return [parseEnvelope(toUtf8(JSON.stringify(wrapped)))]
  return document._type === undefined ? [] : [{ payloadType: 'application/vnd.in-toto+json', payload: bytes }]
})

function jsonFiles(folder: string): Uint8Array[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => new Uint8Array(readFileSync(join(folder, name))))
    .filter((bytes) => bytes.length < 16_384)
}

/** Texts in the vectors of C2SP that some format is in: notes, keys, policies, proofs. */
export function vectorTexts(pattern: RegExp): Uint8Array[] {
  const found = new Set<string>()
  const walk = (value: unknown): void => {
    if (typeof value === 'string' && value.length < 8_192 && pattern.test(value)) found.add(value)
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(walk)
  }
  const folder = join(ROOT, 'test/vectors')
  for (const name of readdirSync(folder))
    if (name.endsWith('.json')) walk(JSON.parse(readFileSync(join(folder, name), 'utf8')))
  return [...found].slice(0, 60).map(toUtf8)
}

export const receiptOf = (index: number): Uint8Array => {
  const { entry, salt, hashes, ...rest } = log.receipt(index)
  return toUtf8(JSON.stringify({ ...rest, entry: toBase64(entry), salt: toBase64(salt), hashes: hashes.map(toBase64) }))
}
