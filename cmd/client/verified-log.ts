/** The log that a command reads whole: from its server, or from a copy with the server gone. */
import { AcceptedHeads } from '../../src/client/heads.ts'
import { HttpSource } from '../../src/client/http-source.ts'
import { Policies } from '../../src/client/policies.ts'
import { parseQuery, type Query } from '../../src/client/query.ts'
import { isEventLog, VerifiedLog } from '../../src/client/scan.ts'
import type { Transport } from '../../src/client/transport.ts'
import { pinnedLogs, policyFor, stateFolder, trustedLog } from '../../src/client/trusted-log.ts'
import { seenStillAt } from '../../src/client/witness-times.ts'
import { equal, fromUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import type { WitnessPolicy } from '../../src/core/witness-policy.ts'
import { type Flag, type Options, printable, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { LOG_FLAGS, readTrusts, STATE_FLAG, TRUSTS_FLAG, withTransport } from './common.ts'

/** Filters, by the names that the server has for them. */
export const QUERY_FLAGS: readonly Flag[] = [
  { name: 'signer', value: 'ID', help: 'signed by the key with this id' },
  { name: 'type', value: 'TYPE', help: 'of this predicate or event type; TYPE* for all that begin with it' },
  { name: 'artifact', value: 'ALG:HEX', help: 'naming this digest; hex alone is of any algorithm' },
  { name: 'role', value: 'ROLE', help: 'naming it as produced, consumed, examined, or as file of a manifest' },
  { name: 'kind', value: 'KIND', help: 'genesis, event, policy, redaction or batch' },
  { name: 'since', value: 'TIME', help: 'accepted by the log then or later, RFC 3339 or ms' },
  { name: 'until', value: 'TIME', help: 'accepted before then' },
  {
    name: 'text',
    value: 'TEXT',
    help: 'with this text in the payload, in whatever case; search without --complete looks for its words',
  },
]

export const readQuery = (options: Options): Query =>
  parseQuery(Object.fromEntries(QUERY_FLAGS.map(({ name }) => [name, options.get(name)])))

/** `--log` is not required: `--from-worm` may stand in its place. */
export const SOURCE_FLAGS: readonly Flag[] = [
  ...LOG_FLAGS.map((flag) => (flag.name === 'log' ? { ...flag, required: false } : flag)),
  TRUSTS_FLAG,
  { ...STATE_FLAG, help: 'where the newest checkpoint that was seen of each log is kept: an older one is noticed' },
]

export const COPY_FLAGS: readonly Flag[] = [
  { name: 'from-worm', value: 'STORE', help: 'read a copy instead of a server: s3://BUCKET[/PREFIX] or a folder' },
  { name: 'vkey', value: 'FILE', help: 'of --from-worm: the snapshot.vkey of the witness that made the copy' },
  { name: 'origin', value: 'ORIGIN', help: 'of --from-worm: which log, where the trust file has several' },
  { name: 'keys', value: 'FILE', help: 'of --from-worm: keys.db of that witness, opens the sealed payloads' },
  { name: 'keys-backup', value: 'FILE', help: 'the same from a backup (treeline-witness keys export)' },
  { name: 'passphrase-file', value: 'FILE', help: 'of the backup' },
]

/** Runs `work` with a log whose head satisfies the trust policy and is not a contradiction of one that was seen before. */
export async function withVerifiedLog<T>(
  options: Options,
  work: (log: VerifiedLog, trust: WitnessPolicy, transport: Transport | undefined) => Promise<T>,
): Promise<T> {
  const trusts = readTrusts(options)
  const [url, store] = [options.get('log'), options.get('from-worm')]
  if (store !== undefined) return withCopy(options, store, trusts, (log, trust) => work(log, trust, undefined))
  if (url === undefined) throw usage('--log URL is missing')
  const { origin, trust } = trustedLog(trusts, url)
  return withTransport(options, async (transport) => {
    const source = new HttpSource(transport)
    const heads = new AcceptedHeads({ folder: stateFolder(options.need('state'), origin), origin, trust })
    const { head, shown } = await heads.advance(transport, await source.checkpoint())
    if (shown.checkpoint.size < head.checkpoint.size)
      console.error(`treeline: ${sayOldHead(shown.checkpoint, head.checkpoint)}`)
    return work(await VerifiedLog.open(source, { trust, origin, note: head.note }), trust, transport)
  })
}

interface Size {
  readonly size: bigint
}
export const sayOldHead = (shown: Size, head: Size): string =>
  `the log shows an old head, of size ${shown.size}: it has shown ${head.size} before, which is what is read`

async function withCopy<T>(
  options: Options,
  store: string,
  trusts: readonly WitnessPolicy[],
  work: (log: VerifiedLog, trust: WitnessPolicy) => Promise<T>,
): Promise<T> {
  // Only those who read a copy pay for the modules that can.
  const { logOf, openCopyKeys } = await import('../copy-keys.ts')
  const { CopySource } = await import('./copy-source.ts')
  const { logVerifier } = await import('../../witness/native-verify.ts')
  const origin = logOf({ logs: pinnedLogs(trusts) }, options.get('origin')).key.name
  const trust = policyFor(trusts, origin)!
  const verifier = logVerifier(parseVkey(fromUtf8(readInput(options.need('vkey')))?.trim() ?? ''))
  const keys = openCopyKeys(options, origin)
  try {
    const source = await CopySource.open({ store, origin, verifier, leaves: keys?.leaves })
    try {
      const log = await VerifiedLog.open(source, { trust, origin })
      await compareWithSeen(options, log, trust)
      return await work(log, trust)
    } finally {
      await source.close()
    }
  } finally {
    keys?.close()
  }
}

/** A copy has no proofs of consistency, and needs none: all entries are there. */
async function compareWithSeen(options: Options, log: VerifiedLog, trust: WitnessPolicy): Promise<void> {
  const { origin } = log
  const seen = new AcceptedHeads({ folder: stateFolder(options.need('state'), origin), origin, trust }).newest()
  if (seen === undefined) return
  const size = Number(seen.checkpoint.size)
  if (size > log.size) console.error(`treeline: the copy ends at ${log.size} of at least ${size} entries`)
  else if (!equal(await log.rootAt(size), seen.checkpoint.root))
    throw new TreelineError(
      'INVALID_LOG',
      `the copy is of another history than the checkpoint of size ${size} that was seen`,
    )
}

/** Where the history before this one is, as the log's administrators have signed it. Undefined for a log that succeeds none, and for a raw one. */
export async function sayPredecessor(log: VerifiedLog): Promise<string | undefined> {
  if (log.size === 0 || !(await isEventLog(log))) return undefined
  const { successorOf } = await new Policies(log).at(0)
  if (successorOf === null) return undefined
  const { origin, size } = successorOf
  return printable(`${log.origin} goes on from ${origin} at size ${size}: what was before is in that log`)
}

/** Under what the entries are proved, as one line. */
export function sayHead({ size, origin, head }: VerifiedLog, trust: WitnessPolicy): string {
  const seen = seenStillAt(head, trust)
  const names = head.cosigners.map(({ witness }) => witness.name)
  const by = names.length === 0 ? 'the log alone vouches for it' : `cosigned by ${names.join(', ')}`
  const when = seen === undefined ? '' : `, last seen by a quorum at ${new Date(seen).toISOString()}`
  return printable(`under the checkpoint of size ${size} of ${origin}, ${by}${when}`)
}
