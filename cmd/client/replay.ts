import { Policies } from '../../src/client/policies.ts'
import { parseTime, type Query } from '../../src/client/query.ts'
import { decodeAt, type VerifiedLog } from '../../src/client/scan.ts'
import { type FoundEntry, payloadOf, search } from '../../src/client/search.ts'
import { entryLine, sayEntry } from '../../src/client/timeline.ts'
import { sayIndexes, Unread } from '../../src/client/unread.ts'
import { parseSize } from '../../src/core/bytes.ts'
import { EVENT, REDACTION } from '../../src/core/entry.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { progressBar } from '../progress.ts'
import { JSON_FLAG } from './common.ts'
import {
  COPY_FLAGS,
  QUERY_FLAGS,
  readQuery,
  SOURCE_FLAGS,
  sayHead,
  sayPredecessor,
  withVerifiedLog,
} from './verified-log.ts'

export const replayCommand: Command = {
  name: 'replay',
  summary:
    'Prints the history of a log, or what the filters leave of it. No line is printed that is not proved before.',
  flags: [
    ...SOURCE_FLAGS,
    ...COPY_FLAGS,
    ...QUERY_FLAGS,
    { name: 'from', value: 'INDEX', help: 'from this entry on', default: '0' },
    { name: 'to', value: 'SIZE|TIME', help: 'the log as of this size, or as of this moment (RFC 3339)' },
    {
      name: 'payloads',
      help: 'with the signed envelopes, and the payloads of items of signed batches (--json); takes the scope payload',
    },
    { ...JSON_FLAG, help: 'a JSON document on each line' },
  ],
  async run(options, operands) {
    if (operands.length > 0) throw usage(`replay takes no ${operands[0]}`)
    if (options.is('payloads') && !options.is('json')) throw usage('--payloads goes with --json')
    const query = readQuery(options)
    return withVerifiedLog(options, async (log, trust, transport) => {
      const to = await endOf(log, options.get('to'))
      const from = Math.min(options.integer('from', 0, Number.MAX_SAFE_INTEGER), to)
      const { found, unread } = await print(options, log, query, from, to)
      console.error(`treeline: verified: ${found} of the entries ${from} to ${to} ${sayHead(log, trust)}`)
      const before = await sayPredecessor(log)
      if (before !== undefined) console.error(`treeline: ${before}`)
      for (const line of await sayUnread(log, unread, transport === undefined)) console.error(`treeline: ${line}`)
      return EXIT.done
    })
  },
}

/** Which of what was printed may not belong here. A copy may have payloads that are sealed. */
export async function sayUnread(log: VerifiedLog, unread: Unread, copy: boolean): Promise<string[]> {
  if (unread.size === 0) return []
  for await (const { entry } of search(log, [{ kind: REDACTION }]))
    if (entry.kind === REDACTION) unread.redacted(entry.indexes)
  const { closed, redacted, missing } = unread.events()
  const say = (indexes: readonly number[], why: string): string[] =>
    indexes.length === 0
      ? []
      : [`of ${indexes.length} of them nobody can say whether they belong here (${sayIndexes(indexes)}): ${why}`]
  return [
    ...say(redacted, 'that stood in a payload which was redacted'),
    ...say(closed, 'that stands in a payload which the token does not open'),
    ...say(
      missing,
      copy
        ? 'that stands in a payload which the copy does not have, or has sealed (--keys)'
        : 'that stands in a payload which is not served, though no redaction of the log names it: it is lost, or the server hides it',
    ),
  ]
}

async function print(options: Options, log: VerifiedLog, query: Query, from: number, to: number) {
  const [asJson, payloads] = [options.is('json'), options.is('payloads')]
  const policies = new Policies(log)
  const bar = progressBar('reading')
  const unread = new Unread()
  let found = 0
  try {
    for await (const one of search(log, [query], { from, to, policies, progress: bar.update })) {
      const line = await lineOf(log, policies, one, payloads)
      await write(asJson ? JSON.stringify(line) : sayEntry(line).map(printable).join('\n'))
      found++
      if (one.unread !== undefined) unread.add(one.index, one.unread)
    }
  } finally {
    bar.stop()
  }
  return { found, unread }
}

export async function lineOf(log: VerifiedLog, policies: Policies, found: FoundEntry, payloads: boolean) {
  const { index, entry, sure } = found
  const document = payloads ? (entry.kind === EVENT && (await payloadOf(log, index, entry))) || null : undefined
  const signers = await policies.signersOf(entry)
  return entryLine(found, { origin: log.origin, signers, sure, ...(document !== undefined && { document }) })
}

/** Waits where whoever reads us is slower than the log. */
export async function write(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve))
}

/** A size, or the first entry that the log accepted at that time or later: times never decrease in a log that keeps its rules. */
async function endOf(log: VerifiedLog, text: string | undefined): Promise<number> {
  if (text === undefined) return log.size
  const size = parseSize(text)
  if (size !== undefined) {
    if (size > log.size) throw usage(`the log has ${log.size} entries, not ${size}`)
    return size
  }
  const moment = parseTime('--to', text)
  let [low, high] = [0, log.size]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (decodeAt(middle, await log.entry(middle)).time < moment) low = middle + 1
    else high = middle
  }
  return low
}
