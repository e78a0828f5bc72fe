/**
 * Evidence of every kind of fault, judged by a script in another language that shares no code with us, and by `treeline verify`. Both must
 * accept what proves a fault, and refuse it once anything in it was changed, or for a reader who trusts another key.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { BATCH, decodeEntry } from '../../src/core/entry.ts'
import { type Fault, formatFault } from '../../src/core/fault.ts'
import { audit, CASES, evidenceOf, forks, framings, honest } from '../core/faulty-logs.ts'
import type { PaperLog } from '../core/paper-log.ts'
import { check, lane, must, ROOT, run, tempFolder } from './lane.ts'
import { needProgram } from './tools.ts'

const CRYPTOGRAPHY = '46.0.3'
/** Rules that the script leaves to `treeline verify`, having checked all but the judgement. */
const LEFT = ['policy-change', 'not-allowed', 'signature', 'description', 'redaction']

interface Sample {
  readonly name: string
  readonly log: PaperLog
  readonly fault: Fault
  /** How the script ends. */
  readonly code: number
}

function samples(): Sample[] {
  const { log, same, later } = forks()
  const found: Sample[] = [
    { name: 'a fork at one size', log, fault: same, code: 0 },
    { name: 'a fork at two sizes', log, fault: later, code: 0 },
  ]
  for (const [name, { rule, sin }] of Object.entries(CASES)) {
    const sinner = honest()
    const index = sin(sinner)
    const result = audit(sinner)
    if (result?.index !== index) throw new Error(`${name}: not found`)
    // What makes a header one is strict JSON, which the script leaves too.
    const left = LEFT.includes(rule) || (rule === 'batch' && decodeEntry(sinner.entries[index]!).kind === BATCH)
    found.push({ name, log: sinner, fault: evidenceOf(sinner, index, result.found), code: left ? 3 : 0 })
  }
  return found
}

/** Into a virtual environment of its own. */
async function python(): Promise<string> {
  const folder = join(ROOT, 'node_modules/.cache/verify-fault', CRYPTOGRAPHY)
  const program = join(folder, 'bin/python')
  if (!existsSync(join(folder, 'installed'))) {
    await needProgram('python3', 'install Python 3.9 or later, with venv (python3-venv on Debian)')
    await must('python3', ['-m', 'venv', '--clear', folder])
    await must(program, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      `cryptography==${CRYPTOGRAPHY}`,
    ])
    writeFileSync(join(folder, 'installed'), '')
  }
  return program
}

/** The file with its last two sections, `root` and `proof`, changed round. */
function rootLast(file: Uint8Array): Uint8Array {
  const text = fromUtf8(file)!
  const [root, proof] = ['\nroot ', '\nproof '].map((name) => text.indexOf(name) + 1) as [number, number]
  return toUtf8(text.slice(0, root) + text.slice(proof) + text.slice(root, proof))
}

async function judgeFaults(): Promise<void> {
  const interpreter = await python()
  const folder = tempFolder()
  const file = join(folder, 'fault.txt')
  const trust = join(folder, 'trust.txt')
  const stranger = honest().vkey
  const judge = async (bytes: Uint8Array, vkey: string) => {
    writeFileSync(file, bytes)
    writeFileSync(trust, `log ${vkey}\nquorum none\n`)
    const script = await run(interpreter, ['docs/verify-fault.py', file, vkey])
    const ours = await run(process.execPath, ['cmd/treeline.ts', 'verify', '--trust', trust, file])
    return { script: script.code, ours: ours.code, output: script.output + ours.output }
  }
  for (const { name, log, fault, code } of samples()) {
    const bytes = formatFault(fault)
    const good = await judge(bytes, log.vkey)
    check(`${name}: both accept the evidence`, good.script === code && good.ours === 0, good.output)
    const foreign = await judge(bytes, stranger)
    check(`${name}: not for who trusts another key`, foreign.script === 1 && foreign.ours === 1, foreign.output)
    // A byte in each section that counts; that of a rule is another rule.
    const text = Buffer.from(bytes).toString('latin1')
    const spoilt = ['note', 'entry', 'proof', 'root', 'document'].filter((section) => text.includes(`\n${section} `))
    const accepted: string[] = []
    for (const section of spoilt) {
      const at = text.indexOf('\n', text.indexOf(`\n${section} `) + 1) + 12
      if (text[at] === undefined || at >= text.length - 2) continue
      const other = new Uint8Array(bytes)
      other[at] = other[at] === 0x41 ? 0x42 : 0x41
      const verdict = await judge(other, log.vkey)
      if (verdict.script !== 1 || verdict.ours !== 1) accepted.push(`${section}: ${verdict.output}`)
    }
    check(`${name}: neither with a byte changed in ${spoilt.join(', ')}`, accepted.length === 0, accepted.join('\n'))
  }
  for (const [name, { log, fault }] of Object.entries(framings())) {
    const verdict = await judge(formatFault(fault), log.vkey)
    check(`an honest log is not framed by ${name}`, verdict.script === 1 && verdict.ours === 1, verdict.output)
  }
  const { log: forked, later } = forks()
  const verdict = await judge(rootLast(formatFault(later)), forked.vkey)
  check('two sections in the wrong order prove nothing', verdict.script === 1 && verdict.ours === 1, verdict.output)
  const lines = readFileSync(join(ROOT, 'docs/verify-fault.py'), 'utf8').split('\n').length
  check(`the script is short: ${lines} lines`, lines < 300)
}

await lane(judgeFaults)
