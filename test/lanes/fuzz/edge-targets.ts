/** Parsers beyond the core: of the client, which reads what a log answers, and of the witness, which reads its store and its callers. */

import { parseAnswer } from '../../../src/client/answer.ts'
import { parseLineage } from '../../../src/client/lineage-answer.ts'
import { parseQuery } from '../../../src/client/query.ts'
import { parseReceipt } from '../../../src/client/receipts.ts'
import { parseReport } from '../../../src/client/report-document.ts'
import { formatAddCheckpoint } from '../../../src/core/add-checkpoint.ts'
import { concat, equal, fromUtf8, toHex, toUtf8 } from '../../../src/core/bytes.ts'
import { parseCheckpoint } from '../../../src/core/checkpoint.ts'
import { ed25519NoteVerifier } from '../../../src/core/ed25519.ts'
import { TreelineError } from '../../../src/core/errors.ts'
import { leafHash } from '../../../src/core/merkle.ts'
import { verifyReceipt } from '../../../src/core/receipt.ts'
import { parseVkey } from '../../../src/core/vkey.ts'
import { readSubmission } from '../../../witness/decide.ts'
import { parseLogList } from '../../../witness/log-list.ts'
import { open, type SealContext, seal } from '../../../witness/seal/seal.ts'
import {
  formatDocumentFrame,
  formatEntryFrame,
  parseDocumentFrames,
  parseEntryFrames,
} from '../../../witness/worm/frames.ts'
import { formatManifest, parseManifest, snapshotFolder } from '../../../witness/worm/manifest.ts'
import { poisonJson } from './json.ts'
import { log, receiptOf, single, utf8 } from './samples.ts'
import type { Target } from './target.ts'

const json = (bytes: Uint8Array): unknown => parseAnswer<object>(bytes)
const size = log.entries.length
const { root } = parseCheckpoint(`${log.note().split('\n\n')[0]!}\n`)
const context: SealContext = {
  leaf: new Uint8Array(32).fill(1),
  origin: log.origin,
  index: 3,
  digest: new Uint8Array(32),
  leafHash: new Uint8Array(32),
}
const verifier = ed25519NoteVerifier(parseVkey(log.vkey))

const LINEAGE = {
  start: [`sha256:${'ab'.repeat(32)}`],
  direction: 'both',
  depth: 64,
  truncated: false,
  artifacts: [{ id: `sha256:${'ab'.repeat(32)}`, distance: 0, producers: 1, names: ['model'] }],
  events: [],
  edges: [],
  logs: [{ log: 'test', origin: log.origin, completeTo: size, checkpoint: log.note() }],
}

const objectOf = (kind: 'entries' | 'documents' | 'checkpoint', from: number, to: number) => ({
  kind,
  from,
  to,
  key: `${snapshotFolder(log.origin, size)}0123456789abcdef-${{ entries: 'entries', documents: 'sealed', checkpoint: 'checkpoint' }[kind]}`,
  version: 'v1',
  length: 10,
  sha256: '0123456789abcdef'.repeat(4),
  retainUntil: 2_000_000_000_000,
})
const manifest = formatManifest({
  ...{ origin: log.origin, size, audited: size, root, time: 1_700_000_000_000, packs: [] },
  subtrees: [...(size.toString(2).match(/1/g) ?? [])].map(() => leafHash(new Uint8Array(1))),
  objects: [objectOf('entries', 0, size), objectOf('documents', 0, size), objectOf('checkpoint', size, size)],
} as Parameters<typeof formatManifest>[0])

export const EDGE: readonly Target[] = [
  { name: 'receipt of a log', corpus: [1, 5].map(receiptOf), parse: (bytes) => parseReceipt(json(bytes)) },
  {
    name: 'verified receipt',
    corpus: [receiptOf(1)],
    parse: (bytes) => {
      const receipt = parseReceipt(json(bytes))
      verifyReceipt(receipt, single, log.trust())
      return receipt
    },
    law: (value) => {
      const { index, entry } = value as ReturnType<typeof parseReceipt>
      return index === 1 && equal(entry, log.entries[1]!) ? undefined : 'verifies for what is not there'
    },
  },
  {
    name: 'answer about lineage',
    corpus: [toUtf8(JSON.stringify(LINEAGE))],
    parse: (bytes) => parseLineage(json(bytes)),
  },
  {
    name: 'report',
    corpus: [
      toUtf8(
        JSON.stringify({
          format: 'treeline.report@v1',
          question: { artifact: LINEAGE.start[0], direction: 'both', depth: 64, limit: 1000 },
          made: 1,
          logs: [],
          lineage: LINEAGE,
          evidence: [],
          faults: [],
          notices: ['x'],
        }),
      ),
    ],
    parse: parseReport,
    poison: poisonJson,
  },
  {
    name: 'query of a person',
    corpus: utf8(
      `signer=${'ab'.repeat(32)}`,
      `artifact=sha256:${'cd'.repeat(32)}`,
      'since=2026-01-31T12:00:00.5Z&until=1800000000000',
      'kind=policy&role=produced&type=urn:*&text=a',
    ),
    parse: (bytes) => parseQuery(Object.fromEntries(new URLSearchParams(fromUtf8(bytes) ?? 'x'))),
  },
  {
    name: 'submission to a witness',
    corpus: [0, 2, 5].map((old) =>
      formatAddCheckpoint({ old: BigInt(old), proof: log.consistency(old), note: toUtf8(log.note()) }),
    ),
    parse: (bytes) => readSubmission(bytes, (origin) => (origin === log.origin ? [verifier] : undefined)),
    law: (value) => {
      const { checkpoint } = value as ReturnType<typeof readSubmission>
      const mine = parseCheckpoint(`${log.note(Number(checkpoint.size)).split('\n\n')[0]!}\n`)
      return equal(mine.root, checkpoint.root) ? undefined : 'is taken for what the log did not sign'
    },
  },
  {
    name: 'list of logs',
    corpus: [
      toUtf8(
        JSON.stringify({
          logs: [
            {
              vkeys: [log.vkey],
              url: 'https://log.example/test',
              keeper: true,
              genesis: toHex(leafHash(log.entries[0]!)),
            },
          ],
        }),
      ),
    ],
    parse: (bytes) => parseLogList(bytes, []),
    poison: poisonJson,
  },
  {
    name: 'manifest of a snapshot',
    corpus: utf8(manifest),
    parse: (bytes) => parseManifest(textOf(bytes)),
    law: (value, bytes) =>
      formatManifest(value as ReturnType<typeof parseManifest>) === fromUtf8(bytes)
        ? undefined
        : 'is accepted in another spelling',
  },
  {
    name: 'entries of a snapshot',
    corpus: [concat(...log.entries.flatMap(formatEntryFrame))],
    parse: (bytes) => parseEntryFrames(bytes, size),
    law: (value, bytes) =>
      equal(concat(...(value as Uint8Array[]).flatMap(formatEntryFrame)), bytes)
        ? undefined
        : 'is accepted in another spelling',
  },
  {
    name: 'documents of a snapshot',
    corpus: [
      concat(
        ...[0, 1, 2].flatMap((kind) =>
          formatDocumentFrame({ kind, bytes: kind === 0 ? new Uint8Array(0) : log.addenda[1]! } as Parameters<
            typeof formatDocumentFrame
          >[0]),
        ),
      ),
    ],
    parse: (bytes) => parseDocumentFrames(bytes, 3),
    law: (value, bytes) =>
      equal(concat(...(value as ReturnType<typeof parseDocumentFrames>).flatMap(formatDocumentFrame)), bytes)
        ? undefined
        : 'is accepted in another spelling',
  },
  {
    name: 'sealed document',
    corpus: [seal(log.addenda[1]!, context)],
    parse: (bytes) => open(bytes, context),
    law: (value) => (equal(value as Uint8Array, log.addenda[1]!) ? undefined : 'opens as another document'),
  },
]

function textOf(bytes: Uint8Array): string {
  const found = fromUtf8(bytes)
  if (found === undefined) throw new TreelineError('MALFORMED_SNAPSHOT', 'not UTF-8')
  return found
}
