import { type Difference, difference, type PolicyChange } from '../../src/client/diff.ts'
import { requirePrefix } from '../../src/client/fork.ts'
import { AcceptedHeads } from '../../src/client/heads.ts'
import type { VerifiedLog } from '../../src/client/scan.ts'
import type { Transport } from '../../src/client/transport.ts'
import { stateFolder } from '../../src/client/trusted-log.ts'
import { equal, parseSize } from '../../src/core/bytes.ts'
import { sizeOf } from '../../src/core/checkpoint.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { verifyCheckpoint, type WitnessPolicy, withoutQuorum } from '../../src/core/witness-policy.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { progressBar } from '../progress.ts'
import { JSON_FLAG } from './common.ts'
import { COPY_FLAGS, SOURCE_FLAGS, sayHead, withVerifiedLog } from './verified-log.ts'

export const diffCommand: Command = {
  name: 'diff',
  operands: 'SIZE|CHECKPOINT SIZE|CHECKPOINT',
  summary:
    'Shows that one size of a log is a part of another, and what came between: types, signers, policies, redactions.',
  flags: [...SOURCE_FLAGS, ...COPY_FLAGS, JSON_FLAG],
  async run(options, operands) {
    const [first, second, ...rest] = operands
    if (first === undefined || second === undefined || rest.length > 0)
      throw usage('give two sizes, or files with checkpoints of the log')
    return withVerifiedLog(options, async (log, trust, transport) => {
      const [from = 0, to = 0] = [
        await sizeFrom(options, log, trust, transport, first),
        await sizeFrom(options, log, trust, transport, second),
      ].sort((a, b) => a - b)
      const bar = progressBar('reading')
      const found = await difference(log, from, to, bar.update).finally(() => bar.stop())
      console.log(options.is('json') ? JSON.stringify(found) : say(found).map(printable).join('\n'))
      console.error(`treeline: verified: both sizes are parts of what is ${sayHead(log, trust)}`)
      return EXIT.done
    })
  },
}

/** Of a checkpoint, once it is shown to be one of this history. Throws INVALID_LOG, with evidence where the log is there to give it. */
async function sizeFrom(
  options: Options,
  log: VerifiedLog,
  trust: WitnessPolicy,
  transport: Transport | undefined,
  operand: string,
): Promise<number> {
  const size = parseSize(operand)
  if (size !== undefined) {
    if (size > log.size) throw usage(`the log has ${log.size} entries, not ${size}`)
    return size
  }
  const { origin } = log
  const note = readInput(operand)
  const [named = ''] = new TextDecoder().decode(note).split('\n', 1)
  if (named !== origin)
    throw new TreelineError('UNVERIFIED_NOTE', `${operand} is a checkpoint of ${named}, not of ${origin}`)
  const { checkpoint } = verifyCheckpoint(note, withoutQuorum(trust))
  const wanted = sizeOf(checkpoint)
  if (wanted > log.size) throw usage(`the log has ${log.size} entries, and ${operand} is of size ${wanted}`)
  if (equal(await log.rootAt(wanted), checkpoint.root)) return wanted
  const { evidence } = new AcceptedHeads({ folder: stateFolder(options.need('state'), origin), origin, trust })
  if (transport !== undefined)
    await requirePrefix(transport, { note, checkpoint }, { note: log.note, checkpoint: log.head.checkpoint }, evidence)
  throw new TreelineError('INVALID_LOG', `the log contradicts itself: ${operand} is no part of what it is now`)
}

const day = (ms: number): string => new Date(ms).toISOString()
const counts = (all: Readonly<Record<string, number>>): string[] =>
  Object.entries(all).map(([name, count]) => `  ${String(count).padStart(8)}  ${name}`)

function say({ origin, from, to, began, ended, kinds, types, signers, policies, redactions }: Difference): string[] {
  const when = began === null || ended === null ? '' : `, accepted from ${day(began)} to ${day(ended)}`
  return [
    origin,
    `from size ${from.size}, root ${from.root}`,
    `to size   ${to.size}, root ${to.root}`,
    `${to.size - from.size} entries between${when}`,
    ...counts(kinds),
    ...(Object.keys(types).length > 0 ? ['of events', ...counts(types)] : []),
    ...(signers.length > 0
      ? [
          'by',
          ...signers.map(({ name, id, events }) => `  ${String(events).padStart(8)}  ${name} (${id.slice(0, 16)})`),
        ]
      : []),
    ...policies.map(sayPolicy),
    ...redactions.map(({ index, redacts, reason }) => `redaction at ${index}: of ${redacts.join(', ')}, ${reason}`),
  ]
}

function sayPolicy({ index, added, removed, suspended, resumed, rights }: PolicyChange): string {
  const parts = Object.entries({ added, removed, suspended, resumed }).flatMap(([what, names]) =>
    names.length > 0 ? [`${what} ${names.join(', ')}`] : [],
  )
  return `policy at ${index}: ${[...parts, ...(rights ? ['rights are other ones'] : [])].join('; ') || 'nothing that matters'}`
}
