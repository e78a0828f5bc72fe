/** The published head of a log, and what this page can say for it. */

import type { LogList } from '../../schemas/types.ts'
import { equal, toUtf8 } from '../core/bytes.ts'
import { type Checkpoint, parseCheckpoint, sizeOf } from '../core/checkpoint.ts'
import { type Fork, formatFault } from '../core/fault.ts'
import { verifyConsistency } from '../core/merkle.ts'
import { parseNote } from '../core/note.ts'
import { formatVkey, parseVkey } from '../core/vkey.ts'
import { quorumMet, type VerifiedCheckpoint, verifyCheckpoint, withoutQuorum } from '../core/witness-policy.ts'
import type { Api } from './api.ts'
import { TileReader } from './tile-reader.ts'
import type { LogTrust, Trust } from './trust.ts'
import { messageOf, type Step, sentenceOf } from './verdict.ts'

export type ListedLog = LogList[number]

export interface Head {
  readonly note: string
  readonly checkpoint: Checkpoint
  readonly size: number
  readonly trust: LogTrust
  /** Whether the log's key signed it; without that nothing under it is worth anything. */
  readonly signed: boolean
  readonly steps: readonly Step[]
  readonly cosigners: VerifiedCheckpoint['cosigners']
  /** Names of the other signatures on it. */
  readonly strangers: readonly string[]
  readonly tiles: TileReader
  /** Where it contradicts a head that was seen before: a file that proves it to others. */
  readonly fault?: Uint8Array
}

/** Throws ApiError, and TreelineError for a note that is none. */
export async function loadHead(api: Api, trust: Trust, log: ListedLog): Promise<Head> {
  const note = await api.text(`/${log.name}/checkpoint`)
  const parsed = parseNote(toUtf8(note))
  const checkpoint = parseCheckpoint(parsed.text)
  const size = sizeOf(checkpoint)
  const tiles = new TileReader(api, log.name, size)
  const logTrust = trust.of(log.origin, [parseVkey(log.vkey)])
  const base = { note, checkpoint, size, trust: logTrust, tiles }
  const strangers = (known: readonly string[]) =>
    parsed.signatures.map(({ name }) => name).filter((name) => !known.includes(name))
  const signature = checkSignature(note, log, logTrust)
  if (signature.verified === undefined)
    return { ...base, signed: false, steps: [signature.step], cosigners: [], strangers: strangers([log.origin]) }
  const { cosigners } = signature.verified
  const memory = await compareWithMemory({ trust, log, logTrust, note, checkpoint, tiles })
  return {
    ...base,
    signed: true,
    steps: [signature.step, checkWitnesses(logTrust, signature.verified), memory.step],
    cosigners,
    strangers: strangers([log.origin, ...cosigners.map(({ witness }) => witness.key.name)]),
    ...(memory.fault && { fault: memory.fault }),
  }
}

function checkSignature(
  note: string,
  log: ListedLog,
  { pinned, policy }: LogTrust,
): { step: Step; verified?: VerifiedCheckpoint } {
  const title = 'The head is signed by the log'
  try {
    const verified = verifyCheckpoint(toUtf8(note), withoutQuorum(policy))
    if (pinned !== 'no') {
      const whence = pinned === 'file' ? 'in your trust file' : 'that you confirmed'
      return { verified, step: { title, state: 'verified', detail: `Its signature verifies with the key ${whence}.` } }
    }
    const detail = `Its signature verifies with the key that this server names for ${log.origin}. That key is not pinned: a server that lies could have made one up.`
    return { verified, step: { title, state: 'unverified', detail } }
  } catch (error) {
    return { step: { title, state: 'failed', detail: sentenceOf(error) } }
  }
}

export function checkWitnesses({ policy }: LogTrust, { cosigners }: VerifiedCheckpoint): Step {
  const title = 'Witnesses have cosigned it'
  const names = cosigners.map(({ witness }) => witness.name).join(', ')
  if (policy.witnesses.length === 0) {
    const detail =
      'You named no witness, so this log could show you another history than others. A trust file names them.'
    return { title, state: 'unverified', detail }
  }
  if (!quorumMet(policy.quorum, new Set(cosigners.map(({ witness }) => witness))))
    return {
      title,
      state: 'failed',
      detail: `The quorum of your trust file is not met: ${names || 'nobody it lists'} cosigned.`,
    }
  if (cosigners.length === 0) {
    const detail = 'Your trust file asks for no witness, and none of those that it lists cosigned.'
    return { title, state: 'unverified', detail }
  }
  return { title, state: 'verified', detail: `The quorum of your trust file is met: ${names}.` }
}

interface Compared {
  readonly trust: Trust
  readonly log: ListedLog
  readonly logTrust: LogTrust
  readonly note: string
  readonly checkpoint: Checkpoint
  readonly tiles: TileReader
}

/** A head that was seen here before must be a part of this one. */
async function compareWithMemory(parts: Compared): Promise<{ step: Step; fault?: Uint8Array }> {
  const { trust, log, logTrust, note, checkpoint, tiles } = parts
  const title = 'It goes on from what this browser saw'
  const vkey = formatVkey(logTrust.policy.logs[0]!.key)
  const before = trust.head(log.origin, vkey)
  if (before === undefined) {
    trust.remember(log.origin, vkey, note)
    const detail = 'This is the first head of this log here. It is remembered, and later ones must contain it.'
    return { step: { title, state: 'absent', detail } }
  }
  const old = parseCheckpoint(parseNote(toUtf8(before)).text)
  if (checkpoint.size < old.size) {
    const detail = `This server shows a head of ${checkpoint.size} entries, and this browser has seen one of ${old.size}, signed by the same key. It is old, or entries were taken away.`
    return { step: { title, state: 'failed', detail } }
  }
  try {
    const proof = await tiles.consistency(Number(old.size))
    if (verifyConsistency(old.size, checkpoint.size, old.root, checkpoint.root, proof)) {
      if (checkpoint.size > old.size) trust.remember(log.origin, vkey, note)
      const detail =
        checkpoint.size === old.size
          ? `It is the head of ${old.size} entries that this browser saw before.`
          : `The ${old.size} entries that this browser saw before are the first of these, unchanged.`
      return { step: { title, state: 'verified', detail } }
    }
    const fork = await forkOf(parts, before, old)
    const detail = `Its first ${old.size} entries are not those that this browser saw before: the log has two histories${fork ? '' : ', or its tiles are not those of this head'}.`
    return { step: { title, state: 'failed', detail }, ...(fork && { fault: formatFault(fork) }) }
  } catch (error) {
    const detail = `The tiles that would show it could not be read: ${messageOf(error)}`
    return { step: { title, state: 'unverified', detail } }
  }
}

/** Both heads as evidence, where the tiles lead to the head that is shown now: without that they prove nothing about it. */
async function forkOf(
  { logTrust, note, checkpoint, tiles }: Compared,
  before: string,
  old: Checkpoint,
): Promise<Fork | undefined> {
  const keys = logTrust.policy.logs.map(({ key }) => formatVkey(key))
  if (old.size === checkpoint.size)
    return equal(old.root, checkpoint.root) ? undefined : { kind: 'fork', keys, notes: [before, note] }
  const from = Number(old.size)
  const root = await tiles.root(from)
  const proof = await tiles.consistency(from)
  if (!verifyConsistency(old.size, checkpoint.size, root, checkpoint.root, proof)) return undefined
  return { kind: 'fork', keys, notes: [before, note], prefix: { root, proof } }
}
