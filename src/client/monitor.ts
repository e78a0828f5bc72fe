/**
 * One look at a log by somebody who looks again and again: that it only grew, that kept receipts are in it, and what is new of what is watched.
 * Between two looks nothing is remembered but the newest head and how far the entries were looked at.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TreelineError } from '../core/errors.ts'
import type { WitnessPolicy } from '../core/witness-policy.ts'
import { writeDurably } from './durable-file.ts'
import { AcceptedHeads } from './heads.ts'
import { HttpSource } from './http-source.ts'
import { Policies } from './policies.ts'
import type { Query } from './query.ts'
import { Receipts, type Settled } from './receipts.ts'
import { VerifiedLog } from './scan.ts'
import { search } from './search.ts'
import { type EntryLine, entryLine } from './timeline.ts'
import type { Transport } from './transport.ts'

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
}

export type News =
  /** A verified entry that matches these watches. */
  | { readonly news: 'entry'; readonly watches: readonly string[]; readonly entry: EntryLine }
  /** The log shows a smaller head than it has shown before. */
  | { readonly news: 'old-head'; readonly origin: string; readonly shown: number; readonly known: number }
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
  if (seen < known) news.push({ news: 'old-head', origin, shown: seen, known })
  const receipts = await new Receipts({ folder, origin, trust }).settle(transport, Number.POSITIVE_INFINITY)
  if (receipts.foreign > 0) news.push({ news: 'foreign-receipts', origin, count: receipts.foreign })

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
  return { news, size: log.size, from, to, receipts, remember }
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
