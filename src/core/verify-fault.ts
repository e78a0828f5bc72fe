/** Whether evidence of a fault proves one: to a reader who has the log's keys, and believes nothing else. */
import { addendumHash } from './addendum.ts'
import { BatchRoot } from './batch.ts'
import {
  batchIn,
  cutBy,
  judgeBatchHeader,
  judgeClaim,
  judgeMember,
  judgeRoot,
  type PlacedBatch,
  spans,
} from './batch-rules.ts'
import { equal, toUtf8 } from './bytes.ts'
import { type Checkpoint, parseCheckpoint, sizeOf } from './checkpoint.ts'
import { cosignatureVerifier } from './cosignature.ts'
import { parseEnvelope } from './dsse.ts'
import { ed25519NoteVerifier } from './ed25519.ts'
import { BATCH, decodeEntry, type Entry, EVENT, GENESIS, POLICY } from './entry.ts'
import {
  BrokenRule,
  type Item,
  judgeBy,
  judgeBytes,
  judgeItem,
  judgePolicyEntry,
  judgeTime,
  policyIn,
  type Rule,
  requireDocument,
} from './entry-rules.ts'
import { TreelineError } from './errors.ts'
import type { Fault, Fork, InvalidEntry } from './fault.ts'
import { leafHash, verifyConsistency, verifyInclusion } from './merkle.ts'
import { ED25519, parseNote, type VerifierKey, verifyNote } from './note.ts'
import type { PolicyInForce } from './policy-fold.ts'
import type { VerifySignature } from './signature.ts'
import { parseWritePolicy } from './write-policy.ts'

export interface ProvedFault {
  readonly kind: Fault['kind']
  readonly origin: string
  /** One sentence for people. */
  readonly what: string
}

/** What the note says of the tree that the entries are in. */
interface Head {
  readonly origin: string
  readonly size: number
}

const unproved = (why: string): TreelineError =>
  new TreelineError('INVALID_PROOF', `the evidence proves no fault: ${why}`)

/** `keys` are those that the reader trusts to be the log's. Throws UNVERIFIED_NOTE, INVALID_PROOF, MALFORMED_…. */
export function verifyFault(fault: Fault, keys: readonly VerifierKey[], verify: VerifySignature): ProvedFault {
  return fault.kind === 'fork' ? verifyFork(fault, keys) : verifyInvalidEntry(fault, keys, verify)
}

/** A checkpoint that one of the keys signed under its own name. */
function signedCheckpoint(note: string, keys: readonly VerifierKey[]): Checkpoint {
  const parsed = parseNote(toUtf8(note))
  const signers = verifyNote(
    parsed,
    keys.map((key) => (key.type === ED25519 ? ed25519NoteVerifier(key) : cosignatureVerifier(key))),
  )
  const checkpoint = parseCheckpoint(parsed.text)
  if (!signers.some(({ key }) => key.name === checkpoint.origin))
    throw new TreelineError('UNVERIFIED_NOTE', `no key of ${checkpoint.origin} signed its checkpoint`)
  return checkpoint
}

function verifyFork({ notes, prefix }: Fork, keys: readonly VerifierKey[]): ProvedFault {
  const [first, second] = notes.map((note) => signedCheckpoint(note, keys)) as [Checkpoint, Checkpoint]
  const { origin, size } = first
  if (second.origin !== origin) throw unproved('the checkpoints are of two logs')
  if (size > second.size) throw unproved('the larger checkpoint stands first')
  if (size === second.size) {
    if (equal(first.root, second.root)) throw unproved('the two checkpoints are the same')
    return { kind: 'fork', origin, what: `${origin} signed two trees of size ${size} with different roots` }
  }
  if (prefix === undefined) throw unproved('it lacks the root of the second tree at the size of the first')
  if (equal(prefix.root, first.root)) throw unproved('the second tree is an extension of the first')
  if (!verifyConsistency(size, second.size, prefix.root, second.root, prefix.proof))
    throw unproved('the root at the smaller size is not that of the second tree')
  return {
    kind: 'fork',
    origin,
    what: `what ${origin} signed at size ${size} is no part of what it signed at size ${second.size}`,
  }
}

function verifyInvalidEntry(
  { note, rule, items }: InvalidEntry,
  keys: readonly VerifierKey[],
  verify: VerifySignature,
): ProvedFault {
  const checkpoint = signedCheckpoint(note, keys)
  const size = sizeOf(checkpoint)
  const found = new Map<number, Item>()
  for (const { proof, ...item } of items) {
    if (!verifyInclusion(BigInt(item.index), checkpoint.size, leafHash(item.bytes), proof, checkpoint.root))
      throw unproved(`entry ${item.index} is not in the tree`)
    if (found.has(item.index)) throw unproved(`entry ${item.index} stands twice`)
    if (item.document !== undefined && !isDocumentOf(item))
      throw unproved(`the document of entry ${item.index} is another one`)
    found.set(item.index, item)
  }
  const { origin } = checkpoint
  requireGenesis(found.get(0), origin, verify)
  const [accused] = items
  const why = broken(rule, () => judgeAgain(rule, accused, found, { origin, size }, verify))
  return {
    kind: 'invalid-entry',
    origin,
    what: `entry ${accused.index} of ${origin} breaks the rule "${rule}": ${why}`,
  }
}

/**
 * Nothing has an event's meaning unless the log begins with a genesis of its own: without one, these may be the leaves of a raw log. So an
 * accusation of entry 0 proves nothing; who has pinned the genesis of a log is not deceived by another one.
 */
function requireGenesis(item: Item | undefined, origin: string, verify: VerifySignature): void {
  if (item === undefined) throw unproved('without entry 0 it is not shown to be about a log of events')
  try {
    judgePolicyEntry(item, judgeBytes(item), undefined, origin, verify)
  } catch (error) {
    if (error instanceof BrokenRule) throw unproved(`entry 0 is no genesis of ${origin}: ${error.message}`)
    if (error instanceof TreelineError && error.code === 'UNVERIFIABLE') throw unproved(error.message)
    throw error
  }
}

/** What is no entry has no document. */
function isDocumentOf(item: Item): boolean {
  try {
    requireDocument(item, judgeBytes(item))
    return true
  } catch (error) {
    if (error instanceof BrokenRule)
      return error.rule !== 'malformed' && equal(addendumHash(item.document!), decodeEntry(item.bytes).addendum)
    if (error instanceof TreelineError) return false
    throw error
  }
}

/** What the rule says against the entry. Throws INVALID_PROOF when it says nothing, or another rule is broken. */
function broken(rule: Rule, judge: () => void): string {
  try {
    judge()
  } catch (error) {
    if (error instanceof BrokenRule && error.rule === rule) return error.message
    if (error instanceof BrokenRule || (error instanceof TreelineError && error.code === 'UNVERIFIABLE'))
      throw unproved(error.message)
    throw error
  }
  throw unproved(`the entry keeps the rule "${rule}"`)
}

/**
 * The judgement of an auditor, from the items alone. It must not be possible to accuse an honest log by leaving items out: so an event is judged by
 * the policy that it names itself, whose item must be there, and only a policy that is shown to be later says that it named the wrong one.
 */
function judgeAgain(
  rule: Rule,
  accused: Item,
  items: ReadonlyMap<number, Item>,
  head: Head,
  verify: VerifySignature,
): void {
  const entry = judgeBytes(accused)
  if (rule === 'time') {
    const before = need(items, accused.index - 1)
    judgeTime(entry, { index: before.index, time: judgeBytes(before).time })
  } else if (rule === 'policy-index') judgeNamedPolicy(accused, entry, items)
  else if (rule === 'policy-change')
    judgePolicyEntry(accused, entry, predecessor(accused, entry, items), head.origin, verify)
  else if (rule === 'batch') judgeBatch(accused, entry, items, head)
  else if (entry.kind === BATCH) judgeBatchHeader(accused, entry, judgeBy(policyAt(items, entry.policy)), verify)
  else if ('policy' in entry)
    judgeItem(accused, entry, judgeBy(policyAt(items, entry.policy)), (index) => items.get(index)?.bytes, verify)
  else throw unproved('it is not judged by a policy')
}

/**
 * By what is shown of the batch that it stands in or names. A header is taken for right here, whoever signed it: in an honest log its items follow it.
 * Whether the header itself can be read is judged where it is the accused.
 */
function judgeBatch(accused: Item, entry: Entry, items: ReadonlyMap<number, Item>, { origin, size }: Head): void {
  const { index } = accused
  if (entry.kind === BATCH) {
    requireDocument(accused, entry)
    const batch = batchIn(accused, entry)
    if (batch?.header.origin !== origin)
      throw new BrokenRule('batch', `its document is not the header of a batch for ${origin}`)
    const cut = cutBy(batch, size)
    if (cut !== undefined) throw cut
  }
  for (const item of items.values()) {
    const batch = item.index < index ? batchIn(item, judgeBytes(item)) : undefined
    if (batch === undefined || !spans(batch, index)) continue
    judgeMember(batch, index, entry)
    if (index === batch.index + batch.header.size) judgeRoot(batch, rootOf(batch, items))
  }
  if (entry.kind !== EVENT || entry.batch === undefined) throw unproved('it is of no batch, and in none that is shown')
  const { header, position } = entry.batch
  const stands = index === header + 1 + position ? need(items, header) : undefined
  const placed = stands && batchIn(stands, judgeBytes(stands))
  // Without its document a header says nothing of its size.
  if (stands !== undefined && placed === undefined && judgeBytes(stands).kind === BATCH)
    throw unproved(`entry ${header} is a header, and its document is not shown`)
  judgeClaim(index, entry, placed)
}

function rootOf({ index, header }: PlacedBatch, items: ReadonlyMap<number, Item>): BatchRoot {
  const root = BatchRoot.empty()
  for (let at = index + 1; at <= index + header.size; at++) root.add(judgeBytes(need(items, at)).addendum)
  return root
}

function need(items: ReadonlyMap<number, Item>, index: number): Item {
  const item = items.get(index)
  if (item === undefined) throw unproved(`it needs entry ${index}`)
  return item
}

function policyAt(items: ReadonlyMap<number, Item>, index: number): PolicyInForce {
  const policy = policyIn(need(items, index))
  if (policy === undefined) throw unproved(`entry ${index} comes without the policy that it carries`)
  return policy
}

const carriesPolicy = (item: Item): boolean => {
  const { kind } = judgeBytes(item)
  return kind === GENESIS || kind === POLICY
}

function judgeNamedPolicy(accused: Item, entry: Entry, items: ReadonlyMap<number, Item>): void {
  if (!('policy' in entry)) throw unproved('it names no policy')
  const accuse = (why: string): never => {
    throw new BrokenRule('policy-index', why)
  }
  if (entry.policy >= accused.index) accuse(`it names the policy at ${entry.policy}, which comes after it`)
  const named = items.get(entry.policy)
  if (named !== undefined && !carriesPolicy(named)) accuse(`it names entry ${entry.policy}, which is no policy`)
  for (const item of items.values())
    if (item.index > entry.policy && item.index < accused.index && carriesPolicy(item))
      accuse(`it names the policy at ${entry.policy}, and ${item.index} is a later one`)
}

/** The policy that a policy entry says it replaces, or undefined for a genesis. Throws BrokenRule when it cannot be that. */
function predecessor(accused: Item, entry: Entry, items: ReadonlyMap<number, Item>): PolicyInForce | undefined {
  if (entry.kind === GENESIS) return undefined
  if (entry.kind !== POLICY) throw unproved('it carries no policy')
  const previous = previousOf(requireDocument(accused, entry))
  // What cannot be read, or names nothing, breaks the rule whatever it should have replaced.
  if (previous === undefined) return policyAt(items, newest(accused, items))
  const accuse = (why: string): never => {
    throw new BrokenRule('policy-change', why)
  }
  if (previous >= accused.index) accuse(`it replaces the policy at ${previous}, which comes after it`)
  const named = items.get(previous)
  if (named !== undefined && !carriesPolicy(named)) accuse(`it replaces entry ${previous}, which is no policy`)
  for (const { index } of [...items.values()].filter(carriesPolicy))
    if (index > previous && index < accused.index)
      accuse(`it replaces the policy at ${previous}, and ${index} is a later one`)
  return policyAt(items, previous)
}

function previousOf(document: Uint8Array): number | undefined {
  try {
    return parseWritePolicy(parseEnvelope(document).payload).previous?.index
  } catch (error) {
    if (error instanceof TreelineError) return undefined
    throw error
  }
}

/** Any policy before it: a document that no policy could accept is judged by it. */
function newest(accused: Item, items: ReadonlyMap<number, Item>): number {
  const before = [...items.values()].filter((item) => item.index < accused.index && carriesPolicy(item))
  const last = before.sort((a, b) => b.index - a.index)[0]
  if (last === undefined) throw unproved('it comes without a policy before it')
  return last.index
}
