/** Where an artifact came from, and what an artifact or a key reached: asked of a server, proved from evidence. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Question } from '../../src/client/lineage-answer.ts'
import { formatDot, formatProv, formatTable } from '../../src/client/lineage-formats.ts'
import { parseTime } from '../../src/client/query.ts'
import { fetchPolicyIndex } from '../../src/client/reads.ts'
import { formatReport } from '../../src/client/report.ts'
import { hashFile } from '../../src/client/statement.ts'
import { isClosedLog, type Trace, trace } from '../../src/client/trace.ts'
import { Transport } from '../../src/client/transport.ts'
import { pinnedLogs, trustedOrigin } from '../../src/client/trusted-log.ts'
import { verifyFile } from '../../src/client/verify.ts'
import { fromUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { Signer } from '../../src/core/write-policy.ts'
import { type Command, EXIT, type Flag, type Options, printable, usage } from '../cli.ts'
import { progressBar } from '../progress.ts'
import {
  JSON_FLAG,
  LOG_FLAGS,
  oneOperand,
  readPublicKey,
  readTrusts,
  STATE_FLAG,
  TRUSTS_FLAG,
  transportOptions,
} from './common.ts'

const TRACE_FLAGS: readonly Flag[] = [
  ...LOG_FLAGS,
  TRUSTS_FLAG,
  { ...STATE_FLAG, help: 'where the newest checkpoint that was seen of each log is kept: an older one is noticed' },
  { name: 'depth', value: 'N', help: 'the most steps from the start', default: '64' },
  { name: 'limit', value: 'N', help: 'the most artifacts and events', default: '1000' },
  { name: 'complete', help: 'read the logs whole, so that the server can leave nothing out' },
  { name: 'report', value: 'FOLDER', help: 'write a report with all evidence: see treeline verify FOLDER' },
  JSON_FLAG,
  { name: 'dot', help: 'print a graph for Graphviz' },
  { name: 'prov', help: 'print W3C PROV-JSON' },
]

export const traceCommand: Command = {
  name: 'trace',
  operands: 'DIGEST|FILE',
  summary: 'Shows what an artifact came from (--up) or what it reached (--down), every step proved by its evidence.',
  flags: [
    { name: 'up', help: 'what it came from: taken when neither is given' },
    { name: 'down', help: 'what it reached' },
    ...TRACE_FLAGS,
  ],
  async run(options, operands) {
    const [up, down] = [options.is('up') || !options.is('down'), options.is('down')]
    const artifact = await artifactOf(oneOperand(operands, 'DIGEST or FILE'))
    return answer(options, { artifact, direction: up && down ? 'both' : up ? 'up' : 'down', ...limitsOf(options) })
  },
}

export const blastRadiusCommand: Command = {
  name: 'blast-radius',
  summary: 'Shows everything that a leaked key signed, or a poisoned artifact was used for, and what came of it.',
  flags: [
    { name: 'key', value: 'ID|FILE.pub|NAME', help: 'a signer of the log' },
    { name: 'artifact', value: 'DIGEST|FILE', help: 'a digest such as sha256:…, or the file itself' },
    { name: 'since', value: 'TIME', help: 'of --key: from when on it is doubted; else what the write policy says' },
    { name: 'until', value: 'TIME', help: 'up to when' },
    ...TRACE_FLAGS,
  ],
  async run(options, operands) {
    const [key, artifact] = [options.get('key'), options.get('artifact')]
    if (operands.length > 0 || (key === undefined) === (artifact === undefined))
      throw usage('give either --key or --artifact')
    const until = options.get('until')
    const times = {
      ...(options.get('since') !== undefined && { since: parseTime('since', options.need('since')) }),
      ...(until !== undefined && { until: parseTime('until', until) }),
    }
    const common = { direction: 'down', ...limitsOf(options), ...times } as const
    if (artifact !== undefined) return answer(options, { artifact: await artifactOf(artifact), ...common })
    const { id, compromisedSince } = await signerOf(options, key!)
    if (common.since !== undefined || compromisedSince === null) return answer(options, { signer: id, ...common })
    console.error(`treeline: the write policy doubts the key since ${new Date(compromisedSince).toISOString()}`)
    return answer(options, { signer: id, ...common, since: compromisedSince })
  },
}

const limitsOf = (options: Options) => ({
  depth: options.integer('depth', 0, 1_000),
  limit: options.integer('limit', 1, 20_000),
})

/** `algorithm:hex`, hex alone for SHA-256, or a file that is hashed. */
async function artifactOf(text: string): Promise<string> {
  if (existsSync(text)) return `sha256:${await hashFile(text)}`
  const hex = text.toLowerCase()
  if (/^[0-9a-f]{64}$/.test(hex)) return `sha256:${hex}`
  const [, algorithm = '', digest = ''] = /^([A-Za-z0-9._+-]{1,64}):((?:[0-9a-fA-F]{2}){1,64})$/.exec(text) ?? []
  if (algorithm === '') throw usage(`${text} is neither a file nor a digest such as sha256:…`)
  return `${algorithm}:${digest.toLowerCase()}`
}

/**
 * A key, and from when on write policies in force doubt it: proved, not the word of the server. The policies of all logs of the server that are
 * trusted are read: a restored log takes no suspension any more, its successor does.
 */
async function signerOf(
  options: Options,
  text: string,
): Promise<{ readonly id: string; readonly compromisedSince: number | null }> {
  const wanted = existsSync(text) ? readPublicKey(text).id : text
  const logs = await signersOf(options)
  const named = logs.flatMap(({ log, signers }) =>
    signers
      .filter(({ key, name }) => key.id === wanted.toLowerCase() || name === wanted)
      .map(({ key }) => ({ log, key })),
  )
  const id = named[0]?.key.id ?? wanted.toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(id))
    throw usage(`${text} is neither the id of a key, nor its file, nor a signer of a write policy in force`)
  for (const { log, key } of named)
    if (key.id !== id)
      console.error(`treeline: in ${log} ${printable(text)} is another key, ${key.id}: ask for that too`)
  const doubts = logs.flatMap(({ log, signers }) =>
    signers.flatMap(({ key, suspended }) => {
      const since = suspended?.compromisedSince ?? null
      return key.id === id && since !== null ? [{ log, since }] : []
    }),
  )
  const [first] = doubts.sort((a, b) => a.since - b.since)
  if (doubts.length > 1)
    for (const { log, since } of doubts)
      console.error(`treeline: the write policy of ${log} doubts the key since ${new Date(since).toISOString()}`)
  return { id, compromisedSince: first?.since ?? null }
}

/** By the policies in force, the log that is asked first. */
async function signersOf(
  options: Options,
): Promise<readonly { readonly log: string; readonly signers: readonly Signer[] }[]> {
  const { base, name, known, trust, connection } = serverOf(options)
  const found: { log: string; signers: readonly Signer[] }[] = []
  for (const log of [name, ...[...known.keys()].filter((other) => other !== name)]) {
    const transport = new Transport({ ...connection, url: `${base}/${log}` })
    try {
      const index = await fetchPolicyIndex(transport)
      const verified = verifyFile({ file: await transport.get(`v1/evidence/${index}`), trust })
      if (verified.kind !== 'evidence')
        throw new TreelineError('INVALID_PROOF', 'the log gives no evidence of its policy')
      found.push({ log, signers: verified.evidence.policy.policy.signers })
    } catch (error) {
      // A raw log has no policy; what may not be read is said when the lineage is asked for.
      if (log === name || !(error instanceof TreelineError) || !isClosedLog(error)) throw error
    } finally {
      await transport.close()
    }
  }
  return found
}

async function answer(options: Options, question: Question): Promise<number> {
  const [first, second] = ['json', 'dot', 'prov'].filter((name) => options.is(name))
  if (second !== undefined) throw usage(`--${first} or --${second}, not both`)
  const folder = options.get('report')
  if (folder !== undefined) requireEmpty(folder)
  const traced = await ask(options, question)
  const { lineage, logs, faults, gaps, notices } = traced
  if (folder !== undefined) writeReport(folder, traced)
  if (first === 'json')
    console.log(JSON.stringify({ question, logs: logs.map(describeLog), lineage, faults, gaps, notices }, null, 1))
  else if (first === 'dot') process.stdout.write(formatDot(lineage))
  else if (first === 'prov')
    console.log(JSON.stringify(formatProv(lineage, new Map(logs.map(({ log, origin }) => [log, origin]))), null, 1))
  else console.log(formatTable(lineage).map(printable).join('\n'))
  for (const fault of faults) console.error(`treeline: FAULT: ${printable(fault)}`)
  for (const gap of gaps) console.error(`treeline: NOT SHOWN: ${printable(gap)}`)
  for (const notice of notices) console.error(`treeline: ${printable(notice)}`)
  // One log is the one that was asked for.
  if (logs.length > 1) for (const log of logs) console.error(`treeline: ${printable(sayLog(log, traced))}`)
  console.error(`treeline: ${printable(sayProved(traced))}`)
  if (folder !== undefined)
    console.error(`treeline: the report is in ${folder}: treeline verify --trust FILE ${folder}`)
  return faults.length + gaps.length > 0 ? EXIT.unverified : EXIT.done
}

type TracedLog = Trace['logs'][number]

const describeLog = ({ log, origin, head, scanned }: TracedLog) => ({
  ...{ log, origin, scanned },
  size: Number(head.checkpoint.size),
  checkpoint: fromUtf8(head.note),
})

/** Which log is called so here, and what vouches for it. */
function sayLog({ log, origin, head }: TracedLog, { lineage }: Trace): string {
  const events = lineage.events.filter((event) => event.log === log).length
  const [, ...signers] = [...fromUtf8(head.note)!.matchAll(/^\u2014 (\S+) /gm)].map(([, name]) => name)
  const by = signers.length === 0 ? 'signed by the log alone' : `with signatures of ${signers.join(', ')}`
  return `${log} is ${origin}: ${events} events, under its checkpoint of size ${head.checkpoint.size}, ${by}`
}

function sayProved({ lineage: { events }, logs, faults, gaps }: Trace): string {
  const scanned = logs.filter(({ scanned }) => scanned !== null)
  const how =
    gaps.length > 0
      ? 'not all that was found is shown'
      : scanned.length > 0
        ? `nothing is left out of the ${scanned.map(({ log, scanned }) => `${scanned} entries of ${log}`).join(', ')}`
        : 'whether the server left something out only --complete can say'
  return `${faults.length + gaps.length > 0 ? 'what is shown is' : 'verified:'} ${events.length} events, each proved by its evidence; ${how}`
}

/** The server of `--log`, and the logs there that are trusted: their origins by their names. */
function serverOf(options: Options) {
  const url = options.need('log').replace(/\/$/, '')
  const [base, name] = [url.slice(0, url.lastIndexOf('/')), url.slice(url.lastIndexOf('/') + 1)]
  const connection = transportOptions(options, url)
  const trust = readTrusts(options)
  const known = new Map([
    ...pinnedLogs(trust).flatMap(({ key, url: at = '' }): [string, string][] =>
      at.startsWith(`${base}/`) ? [[at.slice(base.length + 1).replace(/\/$/, ''), key.name]] : [],
    ),
    [name, trustedOrigin(trust, url)],
  ])
  return { base, name, known, trust, connection }
}

async function ask(options: Options, question: Question): Promise<Trace> {
  const { base, name, known, trust, connection } = serverOf(options)
  const open = new Map<string, Transport>()
  const bar = progressBar('proving')
  try {
    return await trace({
      open: (log) => {
        const transport = open.get(log) ?? new Transport({ ...connection, url: `${base}/${log}` })
        open.set(log, transport)
        return transport
      },
      log: name,
      known,
      trust,
      state: options.need('state'),
      question,
      complete: options.is('complete'),
      progress: (_, done, total) => bar.update(done, total),
    })
  } finally {
    bar.stop()
    for (const transport of open.values()) await transport.close()
  }
}

/** Before anything is asked: what takes minutes must not end in "there is something already". */
function requireEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw usage(`${folder} is not empty: a report is a folder of its own`)
}

function writeReport(folder: string, traced: Trace): void {
  for (const [name, bytes] of formatReport(traced, Date.now())) {
    const file = join(folder, name)
    try {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, bytes)
    } catch (error) {
      throw usage(`${file} cannot be written: ${(error as Error).message}`)
    }
  }
}
