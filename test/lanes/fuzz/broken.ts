/** Parsers with the mistakes that people make: a search that finds none of them is worth nothing. */
import { fromUtf8, toUtf8 } from '../../../src/core/bytes.ts'
import { TreelineError } from '../../../src/core/errors.ts'
import { poisonJson } from './json.ts'
import { envelopes, log, utf8 } from './samples.ts'
import type { Target } from './target.ts'

const refuse = (): never => {
  throw new TreelineError('MALFORMED_PAYLOAD', 'refused')
}

export const BROKEN: readonly Target[] = [
  {
    name: 'JSON in which a member may stand twice',
    corpus: envelopes.slice(0, 3),
    parse: (bytes) => {
      try {
        return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
      } catch {
        return refuse()
      }
    },
    poison: poisonJson,
  },
  {
    name: 'an envelope without a check of its types',
    corpus: envelopes.slice(0, 3),
    parse: (bytes) => {
      let envelope: { payload: string; signatures: { sig: string }[] }
      try {
        envelope = JSON.parse(fromUtf8(bytes) ?? '')
      } catch {
        return refuse()
      }
      return envelope.signatures.map(({ sig }) => sig.length + envelope.payload.length)
    },
  },
  {
    name: 'a size with leading zeros',
    corpus: utf8(log.note().split('\n\n')[0]!),
    parse: (bytes) => {
      const lines = (fromUtf8(bytes) ?? refuse()).split('\n')
      if (lines.length !== 3 || !/^[0-9]{1,9}$/.test(lines[1]!)) return refuse()
      return [lines[0], Number(lines[1]), lines[2]]
    },
    law: (value, bytes) =>
      toUtf8((value as unknown[]).join('\n')).length === bytes.length ? undefined : 'is accepted in another spelling',
  },
  {
    name: 'a frame whose length is believed',
    corpus: [Uint8Array.of(0, 3, 1, 2, 3, 0, 1, 9)],
    parse: (bytes) => {
      const found: Uint8Array[] = []
      for (let at = 0; at + 2 <= bytes.length; ) {
        const length = (bytes[at]! << 8) | bytes[at + 1]!
        found.push(new Uint8Array(bytes.buffer, bytes.byteOffset + at + 2, length))
        at += 2 + length
      }
      return found
    },
  },
  {
    name: 'a number of steps that grows with the square',
    corpus: utf8('a,b,c,d'),
    parse: (bytes) => {
      const checksums: number[] = []
      for (let from = bytes.indexOf(0x2c); from >= 0; from = bytes.indexOf(0x2c, from + 1)) {
        let sum = 1
        for (let at = from; at < bytes.length; at++) sum = (31 * sum + bytes[at]!) % 65_521
        checksums.push(sum)
      }
      return checksums
    },
  },
]
