import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { findingsOf, sayFindings } from '../../src/client/findings.ts'
import { verifyReport } from '../../src/client/report.ts'
import type { Report } from '../../src/client/report-document.ts'
import { sayQuestion } from '../../src/client/report-instructions.ts'
import { canonicalOf } from '../../src/client/signing-key.ts'
import { hashFile } from '../../src/client/statement.ts'
import { policyFor } from '../../src/client/trusted-log.ts'
import { requireArtifact, verifyFile } from '../../src/client/verify.ts'
import { fromHex } from '../../src/core/bytes.ts'
import { originOf, type ProvedEvent } from '../../src/core/proved-lineage.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { JSON_FLAG, oneOperand, readPublicKey, readTrusts, TRUSTS_FLAG } from './common.ts'

export const verifyCommand: Command = {
  name: 'verify',
  operands: 'FILE|FOLDER',
  summary: 'Verifies an evidence file, a tlog-proof, a receipt, evidence that a log is at fault, or a report, offline.',
  flags: [
    TRUSTS_FLAG,
    { name: 'genesis', value: 'HEX', help: "leaf hash of the log's first entry, as treeline trust showed it" },
    { name: 'artifact', value: 'FILE', help: 'the event must name the digest of this file', multiple: true },
    { name: 'entry', value: 'FILE', help: 'the entry, for a proof that does not carry it' },
    { name: 'envelope', value: 'FILE', help: 'the envelope that was sent, for a receipt' },
    { name: 'public-key', value: 'FILE.pub', help: 'who signed --envelope, where others wrote it', multiple: true },
    JSON_FLAG,
  ],
  async run(options, operands) {
    const operand = oneOperand(operands, 'FILE or FOLDER')
    if (statSync(operand, { throwIfNoEntry: false })?.isDirectory()) return verifyFolder(options, operand)
    const file = readInput(operand)
    const entry = options.get('entry')
    const genesis = genesisOf(options.get('genesis'))
    const trust = readTrusts(options)
    const envelope = envelopeOf(options)
    const verified = verifyFile({
      file,
      trust,
      ...(genesis && { genesis }),
      ...(entry && { entry: readInput(entry) }),
      ...(envelope && { envelope }),
    })
    const artifacts = options.all('artifact')
    if (verified.kind === 'fault') {
      const { kind, origin, what } = verified.fault
      console.log(
        options.is('json')
          ? JSON.stringify({ fault: kind, origin, what })
          : `a fault is proved: ${printable(what)}. Whoever trusts the key of this log can check it: keep the file, and show it to others`,
      )
      return EXIT.done
    }
    if (verified.kind !== 'evidence') {
      if (artifacts.length > 0) throw usage('--artifact needs an evidence file')
      const { kind, index, checkpoint } = verified
      const { origin, size } = checkpoint.checkpoint
      console.log(
        options.is('json')
          ? JSON.stringify({ origin, index: Number(index), size: Number(size), kind })
          : `verified: entry ${index} of ${printable(origin)}, under its checkpoint of size ${size}`,
      )
      return EXIT.done
    }
    for (const artifact of artifacts) requireArtifact(verified.evidence, await hashFile(artifact))
    const { evidence } = verified
    const found = findingsOf(evidence, policyFor(trust, originOf(evidence))!)
    if (options.is('json')) console.log(JSON.stringify(found))
    else
      console.log(
        ['verified:', ...sayFindings(found), ...artifacts.map((artifact) => `it names ${artifact}`)]
          .map(printable)
          .join('\n  '),
      )
    return EXIT.done
  },
}

/** A report: see src/client/report.ts. */
function verifyFolder(options: Options, folder: string): number {
  for (const flag of ['genesis', 'artifact', 'entry', 'envelope', 'public-key'])
    if (options.get(flag) !== undefined) throw usage(`--${flag} goes with a file, not with the folder of a report`)
  const { report, events } = verifyReport(readFolder(folder), readTrusts(options))
  const { lineage, faults, logs, made } = report
  if (options.is('json')) console.log(JSON.stringify({ report: report.question, made, events: events.length, faults }))
  else
    console.log(
      [
        `verified: a report of ${lineage.events.length} events and ${lineage.artifacts.length} artifacts, made ${new Date(made).toISOString()}`,
        sayQuestion(report),
        ...logs.map(({ log, origin, scanned }) =>
          scanned === null
            ? `${log} (${origin}): what its server told of`
            : `${log} (${origin}): whoever made it says that all ${scanned} entries were read`,
        ),
        ...successions(report, events),
        ...faults.map((fault) => `whoever made it says: ${fault}`),
      ]
        .map(printable)
        .join('\n  '),
    )
  return EXIT.done
}

/** Which of the logs go on from which: what the later one goes on from was shown to be a part of the earlier. */
function successions({ logs }: Report, events: readonly ProvedEvent[]): string[] {
  const origins = new Set(logs.map(({ origin }) => origin))
  return logs.flatMap(({ log }) => {
    const old = events.find((event) => event.log === log)?.evidence.successorOf ?? undefined
    if (old === undefined) return []
    const shown = origins.has(old.origin)
      ? 'which is shown to have held the same then'
      : 'which this report says nothing of'
    return `${log} goes on from ${old.origin} at size ${old.size}, ${shown}`
  })
}

/** Far more than a report has. */
const MAX_FILES = 1_000_000

function readFolder(folder: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue
    const file = join(entry.parentPath, entry.name)
    // What is no plain file (a link out of the folder, a pipe) is no part of a report.
    if (!entry.isFile() || files.size >= MAX_FILES) throw usage(`${file} is no file of a report`)
    files.set(relative(folder, file), new Uint8Array(readFileSync(file)))
  }
  return files
}

function genesisOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined
  const hash = fromHex(text)
  if (hash?.length !== 32) throw usage('--genesis takes 64 hex digits')
  return hash
}

function envelopeOf(options: Options): Uint8Array | undefined {
  const file = options.get('envelope')
  const keys = options.all('public-key').map(readPublicKey)
  if (file === undefined) return undefined
  return keys.length > 0 ? canonicalOf(readInput(file), keys) : readInput(file)
}
