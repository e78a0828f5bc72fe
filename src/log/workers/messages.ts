/** What the thread that writes and the threads that serve tell each other. */
import { type Code, TreelineError } from '../../core/errors.ts'
import type { JudgedBatch, JudgedEvent } from '../events.ts'
import type { PublishedHead } from '../published-heads.ts'
import { PackReader, type PackWriter } from './packed.ts'

/** One log as a serving thread begins with it. */
export interface LogState {
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly database: string
  readonly restored: boolean
  /** Whether there are witnesses to wait for. */
  readonly witnessed: boolean
  readonly head: { readonly size: number; readonly root: Uint8Array; readonly note: string }
  readonly published: PublishedHead | undefined
  readonly frozen: Problem | undefined
  /** Of a log with events. */
  readonly events?: PolicyState & {
    /** Secret of the log; a restored one may have lost it. */
    readonly blinding: Uint8Array | undefined
    /** Whether it goes on from other logs. */
    readonly succeeds: boolean
  }
}

export interface PolicyState {
  readonly index: number
  /** Key 7 of its entry. */
  readonly sha256: Uint8Array
  readonly document: Uint8Array
}

/** A TreelineError between threads, where errors lose all but their text. */
export interface Problem {
  readonly code: Code
  readonly message: string
  readonly facts: Readonly<Record<string, unknown>>
}

export const problemOf = ({ code, message, facts }: TreelineError): Problem => ({ code, message, facts })
export const errorOf = ({ code, message, facts }: Problem): TreelineError => new TreelineError(code, message, facts)

/** To a serving thread. Whatever it is answered about is covered by a head that it has heard of before. */
export type ToWorker =
  | { readonly kind: 'logs'; readonly logs: readonly LogState[] }
  /** `added`: the leaf hashes since the head before, one after the other. */
  | {
      readonly kind: 'head'
      readonly log: string
      readonly added: Uint8Array
      readonly root: Uint8Array
      readonly note: string
    }
  | { readonly kind: 'published'; readonly log: string; readonly head: PublishedHead }
  | { readonly kind: 'frozen'; readonly log: string; readonly why: Problem }
  | { readonly kind: 'policy'; readonly log: string; readonly policy: PolicyState }
  | { readonly kind: 'outcomes'; readonly packed: ArrayBuffer }
  | { readonly kind: 'found'; readonly id: number; readonly indexes: readonly number[] }

/** From a serving thread. */
export type FromWorker =
  | { readonly kind: 'submissions'; readonly packed: ArrayBuffer }
  | {
      readonly kind: 'find'
      readonly id: number
      readonly log: string
      readonly what: 'addendum' | 'leaf'
      readonly hash: Uint8Array
    }

export type Submission = { readonly id: number; readonly log: string } & (
  | { readonly kind: 'raw'; readonly entry: Uint8Array }
  | { readonly kind: 'event'; readonly event: JudgedEvent }
  | { readonly kind: 'batch'; readonly batch: JudgedBatch }
)

export type Outcome = { readonly id: number } & (
  | {
      readonly kind: 'admitted'
      readonly index: number
      readonly created: boolean
      readonly entry: Uint8Array
      readonly salt?: Uint8Array
      /** Name of the log of before that has it. */
      readonly elsewhere?: string
    }
  /** Of an event without an entry that is not known. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'refused'; readonly problem: Problem }
  /** A bug of the thread that writes. */
  | { readonly kind: 'failed'; readonly message: string }
)

const RAW = 0
const EVENT = 1
const BATCH = 2

export function packSubmission(to: PackWriter, submission: Submission): void {
  to.number(submission.id)
  to.text(submission.log)
  if (submission.kind === 'raw') {
    to.byte(RAW)
    to.bytes(submission.entry)
    return
  }
  if (submission.kind === 'batch') {
    to.byte(BATCH)
    packBatch(to, submission.batch)
    return
  }
  const { policy, keys, addendum, digest, entry, body } = submission.event
  to.byte(EVENT)
  to.number(policy)
  packKeys(to, keys)
  to.bytes(addendum)
  to.bytes(digest)
  to.maybe(entry)
  to.maybe(body)
}

function packBatch(to: PackWriter, { policy, keys, document, digest, body, items }: JudgedBatch): void {
  to.number(policy)
  packKeys(to, keys)
  to.bytes(document)
  to.bytes(digest)
  to.maybe(body)
  to.number(items?.length ?? -1)
  for (const { addendum, entry } of items ?? []) {
    to.bytes(addendum)
    to.bytes(entry)
  }
}

function unpackBatch(from: PackReader): JudgedBatch {
  const policy = from.number()
  const keys = unpackKeys(from)
  const [document, digest, body, count] = [from.bytes(), from.bytes(), from.maybe(), from.number()]
  const common = { policy, keys, document, digest, ...(body && { body }) }
  if (count < 0) return common
  return { ...common, items: Array.from({ length: count }, () => ({ addendum: from.bytes(), entry: from.bytes() })) }
}

function packKeys(to: PackWriter, keys: readonly Uint8Array[]): void {
  to.byte(keys.length)
  for (const key of keys) to.bytes(key)
}

const unpackKeys = (from: PackReader): Uint8Array[] => Array.from({ length: from.byte() }, () => from.bytes())

/** Bytes are views of the buffer. */
export function* unpackSubmissions(buffer: ArrayBuffer): Generator<Submission> {
  const from = new PackReader(buffer)
  while (!from.atEnd) {
    const common = { id: from.number(), log: from.text() }
    const kind = from.byte()
    if (kind === RAW) {
      yield { ...common, kind: 'raw', entry: from.bytes() }
      continue
    }
    if (kind === BATCH) {
      yield { ...common, kind: 'batch', batch: unpackBatch(from) }
      continue
    }
    const policy = from.number()
    const keys = unpackKeys(from)
    const [addendum, digest, entry, body] = [from.bytes(), from.bytes(), from.maybe(), from.maybe()]
    const event = { policy, keys, addendum, digest, ...(entry && { entry }), ...(body && { body }) }
    yield { ...common, kind: 'event', event }
  }
}

const KINDS = ['admitted', 'unknown', 'refused', 'failed'] as const

export function packOutcome(to: PackWriter, outcome: Outcome): void {
  to.number(outcome.id)
  to.byte(KINDS.indexOf(outcome.kind))
  if (outcome.kind === 'admitted') {
    to.number(outcome.index)
    to.byte(outcome.created ? 1 : 0)
    to.bytes(outcome.entry)
    to.maybe(outcome.salt)
    to.text(outcome.elsewhere ?? '')
  } else if (outcome.kind === 'refused') to.text(JSON.stringify(outcome.problem))
  else if (outcome.kind === 'failed') to.text(outcome.message)
}

export function* unpackOutcomes(buffer: ArrayBuffer): Generator<Outcome> {
  const from = new PackReader(buffer)
  while (!from.atEnd) {
    const id = from.number()
    const kind = KINDS[from.byte()]!
    if (kind === 'refused') yield { id, kind, problem: JSON.parse(from.text()) as Problem }
    else if (kind === 'failed') yield { id, kind, message: from.text() }
    else if (kind === 'unknown') yield { id, kind }
    else {
      const [index, created, entry] = [from.number(), from.byte() === 1, from.bytes()]
      const [salt, elsewhere] = [from.maybe(), from.text()]
      yield { id, kind, index, created, entry, ...(salt && { salt }), ...(elsewhere !== '' && { elsewhere }) }
    }
  }
}
