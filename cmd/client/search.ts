import { type ListedEvent, type Listing, listEvents, requireSame } from '../../src/client/listing.ts'
import { Policies } from '../../src/client/policies.ts'
import type { Query } from '../../src/client/query.ts'
import { search } from '../../src/client/search.ts'
import { type EntryLine, sayEntry } from '../../src/client/timeline.ts'
import type { Transport } from '../../src/client/transport.ts'
import { Unread } from '../../src/client/unread.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { progressBar } from '../progress.ts'
import { JSON_FLAG, withTransport } from './common.ts'
import { lineOf, sayUnread, write } from './replay.ts'
import { QUERY_FLAGS, readQuery, SOURCE_FLAGS, sayHead, sayPredecessor, withVerifiedLog } from './verified-log.ts'

export const searchCommand: Command = {
  name: 'search',
  summary:
    'Lists the entries that match all filters, as the server tells it; with --complete proved, and shown to be all of them.',
  flags: [
    ...SOURCE_FLAGS.map((flag) => (flag.name === 'trust' ? { ...flag, required: false } : flag)),
    ...QUERY_FLAGS,
    { name: 'limit', value: 'N', help: 'at most so many, without --complete', default: '1000' },
    {
      name: 'complete',
      help: 'read the whole log, verify it, print what matches, and hold the answer of the server against it (not with --text, for which every payload is read); takes --trust',
    },
    { ...JSON_FLAG, help: 'a JSON document on each line' },
  ],
  async run(options, operands) {
    if (operands.length > 0) throw usage(`search takes no ${operands[0]}`)
    const query = readQuery(options)
    if (!options.is('complete')) return withTransport(options, (transport) => asTold(options, transport, query))
    return complete(options, query)
  },
}

async function asTold(options: Options, transport: Transport, query: Query): Promise<number> {
  const { events, completeTo, more } = await listEvents(transport, query, { most: options.integer('limit', 1, 1e6) })
  for (const event of events)
    await write(options.is('json') ? JSON.stringify(event) : sayListed(event).map(printable).join('\n'))
  console.error(
    `treeline: ${events.length} entries${more ? ' and more' : ''}, as the server tells it, whose index is complete to ${completeTo}; --complete proves it`,
  )
  return EXIT.done
}

/** Whoever answers may leave out what makes a line. */
function sayListed(event: ListedEvent): string[] {
  const { keys, time, artifacts, ...rest } = event as unknown as EntryLine
  const signers = Array.isArray(keys) ? keys.map((key) => String(key).slice(0, 16)) : []
  const told = { time: Number.isSafeInteger(time) ? time : 0, artifacts: Array.isArray(artifacts) ? artifacts : [] }
  return sayEntry({ ...rest, keys, ...told, signers, redacts: [], reason: null, sure: true })
}

function complete(options: Options, query: Query): Promise<number> {
  return withVerifiedLog(options, async (log, trust, transport) => {
    const policies = new Policies(log)
    const [found, unread]: [number[], Unread] = [[], new Unread()]
    const unsure: number[] = []
    const bar = progressBar('reading')
    try {
      for await (const one of search(log, [query], { policies, progress: bar.update })) {
        const line = await lineOf(log, policies, one, false)
        await write(options.is('json') ? JSON.stringify(line) : sayEntry(line).map(printable).join('\n'))
        ;(one.sure ? found : unsure).push(one.index)
        if (one.unread !== undefined) unread.add(one.index, one.unread)
      }
    } finally {
      bar.stop()
    }
    console.error(
      `treeline: verified: these ${found.length + unsure.length} entries, and no other, ${sayHead(log, trust)}`,
    )
    const before = await sayPredecessor(log)
    if (before !== undefined) console.error(`treeline: ${before}`)
    for (const line of await sayUnread(log, unread, false)) console.error(`treeline: ${line}`)
    if (query.text !== undefined) {
      // It looks for words, each by itself, and we for a text: what it should have found is not ours to say.
      console.error('treeline: the server looks for words, not for a text: there is no answer of its own to compare')
      return EXIT.done
    }
    const listing = await answerOf(transport!, query)
    if (listing === undefined) {
      console.error('treeline: the server does not know these filters, so there is no answer of its own to compare')
      return EXIT.done
    }
    requireSame(listing, { found, unsure, size: log.size })
    const behind = listing.completeTo < log.size ? `, whose index is at ${listing.completeTo} of ${log.size},` : ''
    console.error(`treeline: the answer of the server${behind} is the same`)
    return EXIT.done
  })
}

/** Undefined for a server of before, which knows no filters. */
async function answerOf(transport: Transport, query: Query): Promise<Listing | undefined> {
  try {
    return await listEvents(transport, query)
  } catch (error) {
    if (error instanceof TreelineError && error.code === 'UNKNOWN_PARAMETER') return undefined
    throw error
  }
}
