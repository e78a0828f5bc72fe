/**
 * One look at a log by somebody who looks again and again: that it only grew, that kept receipts are in it, and what is new of what is watched.
 * Between two looks nothing is remembered but the newest head and how far the entries were looked at.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { originHash, sizeOf } from '../core/checkpoint.ts'
import { TreelineError } from '../core/errors.ts'
import { verifyCheckpoint, type WitnessPolicy, withoutQuorum } from '../core/witness-policy.ts'
import { writeDurably } from './durable-file.ts'
import { requirePrefix, type SignedHead } from './fork.ts'
import { AcceptedHeads, signedHead } from './heads.ts'
import { HttpSource } from './http-source.ts'
import { Policies } from './policies.ts'
import type { Query } from './query.ts'
import { Receipts, type Settled } from './receipts.ts'
import { VerifiedLog } from './scan.ts'
import { search } from './search.ts'
import { type EntryLine, entryLine } from './timeline.ts'
import { Transport } from './transport.ts'

/** What somebody wants to hear of, and what they call it. */
export interface Watch {
  readonly name: string
  readonly query: Query
}

export interface MonitorParts {
  readonly transport: Transport
  readonly trust: WitnessPolicy
  readonly origin: string
  /** Where the client keeps what it knows of this log. */
  readonly folder: string
  readonly watches: readonly Watch[]
  /** Where to begin when nothing was looked at before; without it, at the end: only what comes is new. */
  readonly from?: number
  /** Monitoring prefixes of witnesses (C2SP tlog-witness): what they have seen of the log is compared with what it shows here. */
  readonly witnesses?: readonly string[]
}

export type News =
  /** A verified entry that matches these watches. */
  | { readonly news: 'entry'; readonly watches: readonly string[]; readonly entry: EntryLine }
  /** The log shows a smaller head than it has shown before, or, with `by`, than that witness has seen. */
  | {
      readonly news: 'old-head'
      readonly origin: string
      readonly shown: number
      readonly known: number
      readonly by: string | null
    }
  /** Receipts of a key that the trust policy does not list; they are set aside. */
  | { readonly news: 'foreign-receipts'; readonly origin: string; readonly count: number }
  /** What the log answers is not what it signed, or not what it signed before. */
  | {
      readonly news: 'fault'
      readonly origin: string
      readonly code: string
      readonly why: string
      readonly file: string | null
    }

export interface Look {
  readonly news: readonly News[]
  /** Of the log. */
  readonly size: number
  /** The entries [from, to) were looked at; when `to` is not the size, another look goes on. */
  readonly from: number
  readonly to: number
  readonly receipts: Settled
  /** Witnesses that did not answer. */
  readonly away: readonly string[]
  /** To be called when the news has been told: a look that was never told is made again. */
  remember(): Promise<void>
}

/** Entries in one look: what is new is held in memory until it is told. */
const MOST = 10_000

/** Throws UNREACHABLE and the like; what the log does wrong is news. */
export async function look(parts: MonitorParts): Promise<Look> {
  const { transport, trust, origin, folder, watches } = parts
  const file = join(folder, 'monitor.json')
  const news: News[] = []
  const heads = new AcceptedHeads({ folder, origin, trust })
  const source = new HttpSource(transport)
  const { head, shown } = await heads.advance(transport, await source.checkpoint())
  const [known, seen] = [Number(head.checkpoint.size), Number(shown.checkpoint.size)]
  if (seen < known) news.push({ news: 'old-head', origin, shown: seen, known, by: null })
  const receipts = await new Receipts({ folder, origin, trust }).settle(transport, Number.POSITIVE_INFINITY)
  if (receipts.foreign > 0) news.push({ news: 'foreign-receipts', origin, count: receipts.foreign })

  const away: string[] = []
  for (const witness of parts.witnesses ?? []) {
    const late = await compareWith(witness, head, parts, heads.evidence).catch((error: unknown) => {
      if (!(error instanceof TreelineError) || error.code !== 'UNREACHABLE') throw error
      away.push(witness)
    })
    if (late) news.push(late)
  }
  const log = await VerifiedLog.open(source, { trust, origin, note: head.note })
  const from = Math.min(readNext(file) ?? parts.from ?? log.size, log.size)
  let to = log.size
  if (watches.length > 0 && from < to) {
    const policies = new Policies(log)
    const queries = watches.map(({ query }) => query)
    for await (const found of search(log, queries, { from, to, policies })) {
      const signers = await policies.signersOf(found.entry)
      const entry = entryLine(found, { origin, signers, sure: found.sure })
      news.push({ news: 'entry', watches: found.queries.map((i) => watches[i]!.name), entry })
      // The rest comes with the next look, which follows at once.
      if (news.length < MOST) continue
      to = found.index + 1
      break
    }
  }
  const remember = (): Promise<void> => writeDurably(file, `${JSON.stringify({ origin, next: to })}\n`)
  return { news, size: log.size, from, to, receipts, away, remember }
}

/**
 * Throws INVALID_LOG, with evidence written, when the witness has seen another history; INVALID_PROOF when the log does not prove that it has seen a
 * part of this one. News when it has seen a larger one that the log goes on hiding. UNREACHABLE when the witness does not answer.
 */
async function compareWith(
  witness: string,
  head: SignedHead,
  { trust, origin, transport }: MonitorParts,
  evidence: AcceptedHeads['evidence'],
): Promise<News | undefined> {
  const note = await witnessedNote(witness, origin, transport.patience)
  if (note === undefined) return undefined
  const seen = signedHead(note, withoutQuorum(trust))
  if (seen?.checkpoint.origin !== origin)
    throw new TreelineError('UNVERIFIED_NOTE', `the witness ${witness} shows no checkpoint that ${origin} has signed`)
  if (seen.checkpoint.size <= head.checkpoint.size) return void (await requirePrefix(transport, seen, head, evidence))
  await requirePrefix(transport, head, seen, evidence)
  // A witness has a checkpoint a moment before the log publishes it.
  for (const end = performance.now() + transport.patience; ; await sleep(LOOK)) {
    const shown = sizeOf(verifyCheckpoint(await transport.get('checkpoint'), trust).checkpoint)
    const known = Number(seen.checkpoint.size)
    if (shown >= known) return undefined
    if (performance.now() > end) return { news: 'old-head', origin, shown, known, by: witness }
  }
}

/** How often to look whether the log has published what a witness has seen, ms. */
const LOOK = 250

/** Undefined when the witness never cosigned the log. */
async function witnessedNote(url: string, origin: string, patience: number): Promise<Uint8Array | undefined> {
  const transport = new Transport({ url, patience })
  try {
    return await transport.get(`${originHash(origin)}/checkpoint`)
  } catch (error) {
    if (error instanceof TreelineError && error.code === 'NOT_FOUND') return undefined
    throw error
  } finally {
    await transport.close()
  }
}

function readNext(file: string): number | undefined {
  if (!existsSync(file)) return undefined
  try {
    const { next } = JSON.parse(readFileSync(file, 'utf8')) as { next?: unknown }
    if (Number.isSafeInteger(next) && (next as number) >= 0) return next as number
  } catch {
    // Said below.
  }
  throw new TreelineError('USAGE', `${file} is not what a monitor remembers: remove it, and give --from`)
}
