/** Dropped files, verified with what the reader trusts and nothing else: nothing here asks anybody. */
import { toHex, toUtf8 } from '../core/bytes.ts'
import { parseCheckpoint } from '../core/checkpoint.ts'
import { parsePayload } from '../core/describe.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { EVENT } from '../core/entry.ts'
import { type Code, TreelineError } from '../core/errors.ts'
import { parseEvidence, type VerifiedEvidence, verifyEvidence } from '../core/evidence.ts'
import { parseFault } from '../core/fault.ts'
import { leafHash } from '../core/merkle.ts'
import { parseNote } from '../core/note.ts'
import { parseProof, verifyProof } from '../core/proof-file.ts'
import { verifySignature } from '../core/signature.ts'
import { verifyFault } from '../core/verify-fault.ts'
import { parseVkey } from '../core/vkey.ts'
import { type VerifiedCheckpoint, verifyCheckpoint, withoutQuorum } from '../core/witness-policy.ts'
import { parseWritePolicy } from '../core/write-policy.ts'
import { evidenceSteps } from './event-check.ts'
import type { KnownFile } from './file-kind.ts'
import { type FileReport, type NamedKeys, noKey, signedBy } from './file-report.ts'
import { checkWitnesses } from './head.ts'
import { checkReceipt } from './receipt-check.ts'
import type { Trust } from './trust.ts'
import { type Step, sentenceOf } from './verdict.ts'

export interface Beside {
  /** Everything that was dropped together. */
  readonly files: readonly KnownFile[]
  /** Hex SHA-256 of those that are no evidence, by name. */
  readonly digests: ReadonlyMap<string, string>
}

export function checkFile(file: KnownFile, trust: Trust, named: NamedKeys, beside: Beside): FileReport | undefined {
  const { name, kind, bytes } = file
  try {
    if (kind === 'evidence') return checkProofFile(name, bytes, trust, named, beside)
    if (kind === 'receipt') return checkReceipt(file, trust, named, beside.files)
    if (kind === 'checkpoint') return checkNote(name, bytes, trust, named)
    if (kind === 'fault') return checkFault(name, bytes, trust)
  } catch (error) {
    return { name, what: 'File', facts: [], steps: [failure(error)] }
  }
  return undefined
}

/** Codes that say that the file is no proof, rather than that the log is at fault. */
const NO_PROOF: readonly Code[] = [
  'MALFORMED_PROOF',
  'MALFORMED_NOTE',
  'MALFORMED_CHECKPOINT',
  'MALFORMED_ENTRY',
  'MALFORMED_CBOR',
  'INVALID_PROOF',
]

function failure(error: unknown): Step {
  const code = error instanceof TreelineError ? error.code : undefined
  const detail = sentenceOf(error)
  if (code === 'UNVERIFIED_NOTE') return { title: 'The head in it is signed by the log', state: 'failed', detail }
  if (code !== undefined && NO_PROOF.includes(code)) return { title: 'It proves what it says', state: 'failed', detail }
  return { title: 'The log holds only what its policy allows', state: 'failed', detail }
}

function checkProofFile(name: string, bytes: Uint8Array, trust: Trust, named: NamedKeys, beside: Beside): FileReport {
  const proof = parseProof(bytes)
  if (proof.extra === undefined) return checkBareProof(name, bytes, trust, named, beside)
  const parsed = parseEvidence(bytes)
  const { origin } = parseCheckpoint(parseNote(toUtf8(parsed.checkpoint)).text)
  const { logKeys } = parseWritePolicy(parseEnvelope(parsed.policies.at(-1)!.document).payload)
  const pinned = trust.of(origin, logKeys)
  const evidence = verifyEvidence(parsed, withoutQuorum(pinned.policy), verifySignature)
  return {
    name,
    what: `Evidence for entry ${evidence.index} of ${origin}`,
    evidence,
    steps: [
      {
        title: 'Its entry is in the tree',
        state: 'verified',
        detail: `Its bytes lead over ${parsed.hashes.length} hashes to the root of a head of ${evidence.checkpoint.checkpoint.size} entries.`,
      },
      signedBy(pinned, origin, 'the file itself'),
      checkWitnesses(pinned, evidence.checkpoint),
      ...evidenceSteps(evidence),
      ...[...beside.digests].map(([file, digest]) => namesFile(evidence, file, digest)),
    ],
    facts: factsOf(evidence),
  }
}

function factsOf({ entry, checkpoint, earlier, signers, genesis }: VerifiedEvidence): FileReport['facts'] {
  const times = (one: VerifiedCheckpoint | undefined) =>
    one?.cosigners.map(({ timestamp }) => Number(timestamp) * 1000).filter((ms) => ms > 0) ?? []
  const iso = (ms: number) => new Date(ms).toISOString()
  const [after, before] = [times(earlier), times(checkpoint)]
  return [
    ...(entry.kind === EVENT
      ? ([
          ['Type', entry.type],
          ['Signed by', signers.join(', ')],
        ] as const)
      : []),
    ['Time of the log', iso(entry.time)],
    ...(after.length > 0 ? ([['Witnesses: after', iso(Math.min(...after))]] as const) : []),
    ...(before.length > 0 ? ([['Witnesses: not after', iso(Math.min(...before) + 999)]] as const) : []),
    ['Genesis', toHex(genesis)],
  ]
}

/** Artifacts past the limit of an entry, and private ones, stand in the signed payload only. */
function namesFile({ entry, payload: bytes }: VerifiedEvidence, file: string, sha256: string): Step {
  const title = `It is about ${file}`
  const inEntry =
    entry.kind === EVENT &&
    entry.artifacts.some(({ algorithm, digest }) => algorithm === 'sha256' && toHex(digest) === sha256)
  const payload = bytes && entry.kind === EVENT ? parsePayload(entry.payloadType, bytes) : undefined
  const all = payload ? [...payload.subjectDigests, ...payload.produced, ...payload.consumed, ...payload.examined] : []
  if (inEntry || all.some(({ algorithm, value }) => algorithm === 'sha256' && value.toLowerCase() === sha256))
    return { title, state: 'verified', detail: `The event names its SHA-256, ${sha256}.` }
  return { title, state: 'absent', detail: `The event does not name its SHA-256, ${sha256}.` }
}

/** The entry must be one of the files that came with it. */
function checkBareProof(
  name: string,
  bytes: Uint8Array,
  trust: Trust,
  named: NamedKeys,
  { files }: Beside,
): FileReport {
  const proof = parseProof(bytes)
  const { origin, size } = parseCheckpoint(parseNote(proof.checkpoint).text)
  const what = `Proof for entry ${proof.index} of ${origin}`
  const pinned = trust.of(origin, named(origin))
  if (pinned.policy.logs.length === 0) return { name, what, facts: [], steps: [noKey(origin)] }
  for (const other of files) {
    if (other.name === name) continue
    try {
      const checkpoint = verifyProof(proof, leafHash(other.bytes), withoutQuorum(pinned.policy))
      const detail = `The bytes of ${other.name} are entry ${proof.index} of ${size}.`
      return {
        name,
        what,
        facts: [],
        steps: [
          { title: 'The entry is in the tree', state: 'verified', detail },
          signedBy(pinned, origin, 'this server'),
          checkWitnesses(pinned, checkpoint),
        ],
      }
    } catch {
      // Not this file.
    }
  }
  const detail = 'A bare proof does not hold its entry: drop both files together.'
  return { name, what, facts: [], steps: [{ title: 'The entry is in the tree', state: 'unverified', detail }] }
}

function checkNote(name: string, bytes: Uint8Array, trust: Trust, named: NamedKeys): FileReport {
  const { origin, size } = parseCheckpoint(parseNote(bytes).text)
  const what = `Head of ${origin} with ${size} entries`
  const pinned = trust.of(origin, named(origin))
  if (pinned.policy.logs.length === 0) return { name, what, facts: [], steps: [noKey(origin)] }
  const checkpoint = verifyCheckpoint(bytes, withoutQuorum(pinned.policy))
  return { name, what, facts: [], steps: [signedBy(pinned, origin, 'this server'), checkWitnesses(pinned, checkpoint)] }
}

function checkFault(name: string, bytes: Uint8Array, trust: Trust): FileReport {
  const fault = parseFault(bytes)
  const title = 'It proves that the log is at fault'
  const keys = fault.keys.map(parseVkey)
  const pinned = keys.filter((key) => trust.isPinned(key))
  try {
    const { origin, what } = verifyFault(fault, pinned.length > 0 ? pinned : keys, verifySignature)
    const facts = [['What', what]] as const
    const step: Step =
      pinned.length > 0
        ? { title, state: 'verified', detail: `${what}. Signed by the key that you have pinned for ${origin}.` }
        : { title, state: 'unverified', detail: `${what}. But you have not pinned the key that it accuses.` }
    return { name, what: `Evidence of a fault of ${origin}`, facts, steps: [step] }
  } catch (error) {
    return {
      name,
      what: 'Evidence of a fault',
      facts: [],
      steps: [{ title, state: 'failed', detail: sentenceOf(error) }],
    }
  }
}
