/** Every parser of the core: what anyone can send, and what a log can make an auditor read. */
import { isDeepStrictEqual } from 'node:util'
import { formatAddCheckpoint, parseAddCheckpoint } from '../../../src/core/add-checkpoint.ts'
import { addendumPath, formatAddenda, parseAddenda, parseAddendumPath } from '../../../src/core/addenda.ts'
import { addendumHash, joinAddendum, splitAddendum } from '../../../src/core/addendum.ts'
import { FrameReader, formatBatchHeader, formatFrame, parseBatchHeader } from '../../../src/core/batch.ts'
import { concat, equal, fromBase64, fromHex, fromUtf8, toBase64, toHex, toUtf8 } from '../../../src/core/bytes.ts'
import { decodeCbor, encodeCbor } from '../../../src/core/cbor.ts'
import { CborReader } from '../../../src/core/cbor-reader.ts'
import { formatCheckpoint, parseCheckpoint } from '../../../src/core/checkpoint.ts'
import { formatCosignature, parseCosignature } from '../../../src/core/cosignature.ts'
import { describe, parsePayload } from '../../../src/core/describe.ts'
import { formatEnvelope, parseEnvelope, verifyEnvelope } from '../../../src/core/dsse.ts'
import { decodeEntry, EVENT, encodeEntry } from '../../../src/core/entry.ts'
import { TreelineError } from '../../../src/core/errors.ts'
import { formatEvidence, parseEvidence, verifyEvidence } from '../../../src/core/evidence.ts'
import { formatFault, parseFault } from '../../../src/core/fault.ts'
import {
  formatPublicKeyBase64,
  formatPublicKeyPem,
  parsePublicKeyBase64,
  parsePublicKeyPem,
} from '../../../src/core/keys.ts'
import {
  COSIGNATURE_ED25519,
  formatNote,
  formatSignatureLine,
  parseNote,
  parseSignatureLine,
} from '../../../src/core/note.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../../src/core/payload.ts'
import { artifactsBeyond, markOf, namesIn, textOf } from '../../../src/core/payload-facts.ts'
import { formatProof, parseProof } from '../../../src/core/proof-file.ts'
import { parseRedactionRequest, REDACTION_REQUEST } from '../../../src/core/redaction.ts'
import { verifySignature } from '../../../src/core/signature.ts'
import { parseJson } from '../../../src/core/strict-json.ts'
import { formatBundle, formatTilePath, parseBundle, parseTilePath } from '../../../src/core/tile.ts'
import { verifyFault } from '../../../src/core/verify-fault.ts'
import { formatVkey, parseVkey } from '../../../src/core/vkey.ts'
import { parseWitnessPolicy, verifyCheckpoint } from '../../../src/core/witness-policy.ts'
import { parseWritePolicy } from '../../../src/core/write-policy.ts'
import { nativeVerify } from '../../../src/log/native-verify.ts'
import { poisonJson } from './json.ts'
import { documents, envelopes, fork, framed, log, payloadsOf, utf8, vectorTexts } from './samples.ts'
import type { Target } from './target.ts'

const text = (bytes: Uint8Array, code: 'MALFORMED_NOTE' | 'MALFORMED_PAYLOAD' = 'MALFORMED_NOTE'): string => {
  const found = fromUtf8(bytes)
  if (found === undefined) throw new TreelineError(code, 'not UTF-8')
  return found
}

/** What was accepted formats to the very bytes: there is one spelling of each value. */
const oneSpelling =
  <T>(format: (value: T) => Uint8Array | string): NonNullable<Target['law']> =>
  (value, bytes) => {
    const again = format(value as T)
    return equal(typeof again === 'string' ? toUtf8(again) : again, bytes)
      ? undefined
      : 'is accepted in another spelling'
  }

const strict = <T>(
  name: string,
  corpus: readonly Uint8Array[],
  parse: (bytes: Uint8Array) => T,
  format: (value: T) => Uint8Array | string,
): Target => ({ name, corpus, parse, law: oneSpelling(format) })

const index = 5
const trust = log.trust('w')
const evidence = [1, index, 7, log.entries.length - 1].map((at) => formatEvidence(log.evidence(at)))
const notes = [
  utf8(log.note(), log.note(3), fork.forged(fork.twin, 2)),
  vectorTexts(/^[^\n]+\n[0-9]+\n[\s\S]*\n\n— /),
].flat()
const keys = [parseVkey(log.vkey)]
const payloads = [...payloadsOf(IN_TOTO), ...payloadsOf(CLOUDEVENTS)]
const RULES = { produces: ['urn:*'], private: ['urn:secret:*'] }
const ring = log.current.policy.signers.map(({ key }) => key)

/** Both readers of JSON, of which one is JavaScript's own. */
const asJavaScript: Target['law'] = (value, bytes) =>
  isDeepStrictEqual(value, JSON.parse(new TextDecoder().decode(bytes)))
    ? undefined
    : 'is read as another value than JSON.parse reads'

const described = (payloadType: string): Target => ({
  name: `describe, ${payloadType}`,
  corpus: payloadsOf(payloadType),
  parse: (payload) => describe({ keys: [], payloadType, payload }, RULES),
  poison: poisonJson,
  law: (value, payload) => {
    const { artifacts, type } = value as ReturnType<typeof describe>
    if (artifacts.length > 64) return 'has more than 64 artifacts'
    // Whatever it says must go into an entry, and come out as it was.
    const entry = {
      kind: EVENT,
      time: 1_700_000_000_000,
      ...(value as ReturnType<typeof describe>),
      keys: [new Uint8Array(32)],
      addendum: new Uint8Array(32),
      policy: 0,
    } as const
    try {
      if (!isDeepStrictEqual(decodeEntry(encodeEntry(entry)), entry)) return 'is another entry when it is read again'
    } catch (error) {
      if (!(error instanceof TreelineError && error.code === 'ENTRY_TOO_LARGE')) throw error
    }
    artifactsBeyond({ type, payloadType, artifacts, hidden: 1 }, payload, RULES.produces)
    return undefined
  },
})

export const CORE: readonly Target[] = [
  {
    name: 'strict JSON',
    corpus: [...payloads, ...documents.slice(0, 8), ...utf8('[1,2,{"a":[]}]', '"x"', '1e3', '{"a":{"a":1}}')],
    parse: (bytes) => parseJson(bytes, 'MALFORMED_PAYLOAD'),
    poison: poisonJson,
    law: asJavaScript,
  },
  {
    name: 'DSSE envelope',
    corpus: envelopes,
    parse: parseEnvelope,
    poison: poisonJson,
    law: (value) => {
      const again = parseEnvelope(formatEnvelope(value as ReturnType<typeof parseEnvelope>))
      const sorted = (one: typeof again) => ({
        ...one,
        signatures: one.signatures.map(({ keyid, signature }) => `${keyid} ${toHex(signature)}`).sort(),
      })
      return isDeepStrictEqual(sorted(again), sorted(value as typeof again))
        ? undefined
        : 'its canonical form is another envelope'
    },
  },
  {
    name: 'verified envelope, by OpenSSL and by noble',
    corpus: envelopes.slice(0, 6),
    parse: (bytes) => {
      const envelope = parseEnvelope(bytes)
      const verdict = (verify: typeof nativeVerify) => {
        try {
          return verifyEnvelope(
            envelope,
            { find: (id) => ring.find((key) => key.id === id), all: () => ring },
            verify,
          ).map(({ key, signature }) => `${key.id} ${toHex(signature)}`)
        } catch (error) {
          if (error instanceof TreelineError) return error.code
          throw error
        }
      }
      return [verdict(nativeVerify), verdict(verifySignature)]
    },
    law: (value) =>
      isDeepStrictEqual((value as unknown[])[0], (value as unknown[])[1])
        ? undefined
        : `the two disagree: ${JSON.stringify(value)}`,
  },
  described(IN_TOTO),
  described(CLOUDEVENTS),
  {
    name: 'facts of payloads',
    corpus: payloads,
    parse: (bytes) => [
      namesIn(bytes),
      textOf(bytes),
      markOf('urn:treeline:quarantine:v1', bytes),
      artifactsBeyond(
        { type: 'https://model_signing/signature/v1.0', payloadType: IN_TOTO, artifacts: [], hidden: 3 },
        bytes,
        [],
      ),
    ],
  },
  {
    name: 'write policy',
    corpus: documents.filter((_, i) => log.policies.includes(i)).map((bytes) => parseEnvelope(bytes).payload),
    parse: parseWritePolicy,
    poison: poisonJson,
  },
  {
    name: 'redaction request',
    corpus: envelopes
      .map(parseEnvelope)
      .filter(({ payloadType }) => payloadType === REDACTION_REQUEST)
      .map(({ payload }) => payload),
    parse: (payload) => parseRedactionRequest({ payloadType: REDACTION_REQUEST, payload, signatures: [] }),
    poison: poisonJson,
  },
  {
    name: 'batch header',
    corpus: envelopes
      .map(parseEnvelope)
      .filter(({ payloadType }) => payloadType.includes('batch'))
      .map(({ payload }) => payload),
    parse: (payload) => parseBatchHeader({ payloadType: 'application/vnd.treeline.batch.v1+json', payload }),
    poison: poisonJson,
    law: (value) =>
      isDeepStrictEqual(
        parseBatchHeader({
          payloadType: 'application/vnd.treeline.batch.v1+json',
          payload: formatBatchHeader(value as ReturnType<typeof parseBatchHeader>),
        }),
        value,
      )
        ? undefined
        : 'is another header when it is written again',
  },
  {
    name: 'frames of a batch, in pieces',
    corpus: [concat(...documents.map(formatFrame)), concat(formatFrame(documents[0]!), formatFrame(new Uint8Array(0)))],
    parse: (bytes) => [1, 7, 1_000, bytes.length + 1].map((piece) => framesOf(bytes, piece)),
    law: (value) => (new Set(value as string[]).size === 1 ? undefined : 'depends on where the pieces are cut'),
  },
  strict('entry', log.entries, decodeEntry, encodeEntry),
  strict(
    'entry bundle',
    [formatBundle(log.entries), formatBundle([new Uint8Array(0), Uint8Array.of(1)])],
    parseBundle,
    formatBundle,
  ),
  strict('addenda trailer', log.entries, parseAddenda, formatAddenda),
  {
    name: 'addendum',
    corpus: log.addenda,
    parse: splitAddendum,
    law: (value, bytes) => {
      const { salt, document } = value as ReturnType<typeof splitAddendum>
      return equal(joinAddendum(salt, document), bytes) ? undefined : 'is another addendum when it is joined again'
    },
  },
  strict(
    'CBOR',
    [
      ...evidence.map((file) => parseProof(file).extra!),
      encodeCbor(
        new Map<number, string>([
          [1, 'a'],
          [2, 'b'],
        ]),
      ),
      encodeCbor([1, -1, 2 ** 40, true, null, 'ä']),
    ],
    decodeCbor,
    encodeCbor,
  ),
  {
    name: 'CBOR by hand',
    corpus: log.entries,
    parse: (bytes) => {
      const reader = new CborReader(bytes)
      const found: unknown[] = []
      for (let n = reader.array() % 64; n > 0; n--) found.push(reader.uint())
      return found
    },
  },
  strict(
    'note',
    notes,
    (bytes) => parseNote(bytes),
    (note) => formatNote(note),
  ),
  strict(
    'signature line',
    notes
      .flatMap((note) =>
        text(note)
          .split('\n')
          .filter((line) => line.startsWith('— ')),
      )
      .map(toUtf8),
    (bytes) => parseSignatureLine(text(bytes)),
    (line) => formatSignatureLine(line).replace(/\n$/, ''),
  ),
  strict(
    'checkpoint',
    notes.map((note) => toUtf8(`${text(note).split('\n\n')[0]!}\n`)),
    (bytes) => parseCheckpoint(text(bytes)),
    formatCheckpoint,
  ),
  strict(
    'cosignature',
    [new Uint8Array(72), concat(Uint8Array.of(0, 0, 0, 0, 101, 1, 2, 3), new Uint8Array(64).fill(7))],
    (bytes) => parseCosignature(COSIGNATURE_ED25519, bytes),
    formatCosignature,
  ),
  strict(
    'verifier key',
    [...utf8(log.vkey), ...vectorTexts(/^[^ +\n]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/)],
    (bytes) => parseVkey(text(bytes)),
    formatVkey,
  ),
  {
    name: 'witness policy',
    corpus: [
      ...utf8(`log ${log.vkey}\nwitness w ${log.vkey}\nquorum none\n`),
      ...vectorTexts(/^(?:#[^\n]*\n)*(?:log|witness|group|quorum) /m),
    ],
    parse: parseWitnessPolicy,
  },
  {
    name: 'checkpoint under a policy',
    corpus: notes.slice(0, 2),
    parse: (bytes) => verifyCheckpoint(bytes, trust),
    law: (value) => {
      const { checkpoint } = value as ReturnType<typeof verifyCheckpoint>
      const mine = verifyCheckpoint(toUtf8(log.note(Number(checkpoint.size))), trust).checkpoint
      return isDeepStrictEqual(checkpoint, mine) ? undefined : 'is not a checkpoint that the log signed'
    },
  },
  strict(
    'add-checkpoint',
    [2, 5, 9].map((old) =>
      formatAddCheckpoint({ old: BigInt(old), proof: log.consistency(old), note: toUtf8(log.note()) }),
    ),
    parseAddCheckpoint,
    formatAddCheckpoint,
  ),
  strict('tlog-proof', [...evidence, ...vectorTexts(/^c2sp\.org\/tlog-proof@v1\n/)], parseProof, formatProof),
  strict('evidence', evidence, parseEvidence, formatEvidence),
  {
    name: 'verified evidence',
    corpus: evidence,
    parse: (bytes) => verifyEvidence(parseEvidence(bytes), trust, nativeVerify) && parseEvidence(bytes),
    law: (value) => {
      const { index, entry, addendum } = value as ReturnType<typeof parseEvidence>
      if (!equal(entry, log.entries[index] ?? new Uint8Array(0))) return `verifies for an entry that is not at ${index}`
      return addendum !== undefined && !equal(addendum, log.addenda[index]!)
        ? 'verifies with another document'
        : undefined
    },
  },
  strict(
    'evidence of a fault',
    [fork.same, fork.later, ...framed.map(({ fault }) => fault)].map(formatFault),
    parseFault,
    formatFault,
  ),
  {
    name: 'accusations of honest logs',
    corpus: framed.filter(({ log: { vkey } }) => vkey === framed[0]!.log.vkey).map(({ fault }) => formatFault(fault)),
    parse: (bytes) => verifyFault(parseFault(bytes), [parseVkey(framed[0]!.log.vkey)], nativeVerify),
    law: () => 'an honest log is proved to lie',
  },
  {
    name: 'accusation of a log that lied',
    corpus: [fork.same, fork.later].map(formatFault),
    parse: (bytes) => verifyFault(parseFault(bytes), [...keys, parseVkey(fork.log.vkey)], nativeVerify),
  },
  strict(
    'tile path',
    utf8('tile/0/000', 'tile/entries/x001/x234/067.p/12', 'tile/63/x999/999'),
    (bytes) => parseTilePath(text(bytes)),
    formatTilePath,
  ),
  strict(
    'path of an addendum',
    [toUtf8(addendumPath(addendumHash(log.addenda[1]!)))],
    (bytes) => parseAddendumPath(text(bytes)),
    addendumPath,
  ),
  strict(
    'public key in base64',
    log.current.policy.signers.map(({ key }) => toUtf8(formatPublicKeyBase64(key))),
    (bytes) => parsePublicKeyBase64(text(bytes)),
    formatPublicKeyBase64,
  ),
  {
    name: 'public key in PEM',
    corpus: log.current.policy.signers.map(({ key }) => toUtf8(formatPublicKeyPem(key))),
    parse: (bytes) => parsePublicKeyPem(text(bytes)),
  },
  {
    name: 'base64 and hex',
    corpus: utf8('', 'AAAA', 'AAE=', 'AA==', '////', '00ff', 'abcd'),
    parse: (bytes) => text(bytes),
    law: (value) => {
      const [base64, hex] = [fromBase64(value as string), fromHex(value as string)]
      if (base64 !== undefined && toBase64(base64) !== value) return 'is base64 in another spelling'
      return hex !== undefined && toHex(hex) !== value ? 'is hex in another spelling' : undefined
    },
  },
  {
    name: 'payload of another type',
    corpus: payloads.slice(0, 4),
    parse: (bytes) => parsePayload('text/plain', bytes),
    law: () => 'is accepted',
  },
]

/** The frames as text, and how it ended. */
function framesOf(bytes: Uint8Array, piece: number): string {
  const reader = new FrameReader()
  const found: string[] = []
  for (let at = 0; at < bytes.length; at += piece) {
    reader.push(bytes.subarray(at, at + piece))
    try {
      for (let frame = next(reader); frame !== undefined; frame = next(reader)) found.push(toHex(frame))
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
      return `${found.join()} ${error.code}`
    }
  }
  return `${found.join()} ${reader.rest}`
}

const next = (reader: FrameReader): Uint8Array | undefined =>
  reader.next(65_536, (length) => new TreelineError('BODY_TOO_LARGE', `${length}`))
