/**
 * Runs tap over the test files (all, or those named), prints failures as they come, and ends with one line
 * `N passed, N failed`. Fails on any skip, any todo, on zero tests, and when docs/conformance.md or docs/threat-model.md names a test that did
 * not run.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

const { positionals } = parseArgs({ allowPositionals: true })
const tap = spawn('tap', ['run', '--reporter=tap', ...positionals], {
  stdio: ['ignore', 'pipe', 'inherit'],
  shell: false,
  // What files share, and the programs that they start, is compiled once for all.
  env: { NODE_COMPILE_CACHE: join(process.cwd(), 'node_modules/.cache/treeline-test'), ...process.env },
})

let passed = 0
let failed = 0
let unrun = 0
let inDiagnostics = 0
const ran = new Set<string>()
for await (const line of createInterface({ input: tap.stdout })) {
  const point = /^(\s*)(not )?ok \d+(?: - (.*?))?(?: # (time=|skip|todo)(.*))?(\s*\{)?$/i.exec(line)
  if (point) {
    const [, indent = '', not, name = '', directive = ''] = point
    inDiagnostics = not ? indent.length + 1 : 0
    if (/^(skip|todo)$/i.test(directive)) unrun++
    else if (not) failed++
    else passed++
    if (!not) ran.add(name.replace(/\s*\{$/, ''))
    if (not || /^(skip|todo)$/i.test(directive)) console.log(line)
    if (indent === '' && !not) console.log(line.replace(/ # time/, '  time'))
  } else if (inDiagnostics > 0 && line.trim() !== '') {
    console.log(line)
    if (line.trim() === '...') inDiagnostics = 0
  }
}
const exit = await new Promise<number>((resolve) => tap.on('close', (code) => resolve(code ?? 1)))

// A checklist entry is worth only as much as the test that it names, so each named test must have run.
if (positionals.length === 0) {
  for (const [, id = '', test = ''] of readFileSync('docs/conformance.md', 'utf8').matchAll(
    /^\| ([A-Z]{2}-\d+) \|.*\| test: ([^|]+?) \|$/gm,
  )) {
    for (const name of test.split(';').map((part) => part.trim())) {
      if (ran.has(name)) continue
      failed++
      console.log(`not ok - docs/conformance.md: ${id} names the test "${name}", which did not run`)
    }
  }
}
// A threat is held by what the test shows that its row names; a lane counts when .ci/run runs it.
if (positionals.length === 0) {
  const lanes = /^LANES="(.*)"$/m.exec(readFileSync('.ci/run', 'utf8'))?.[1]?.split(' ') ?? []
  const rows = readFileSync('docs/threat-model.md', 'utf8')
    .split('\n')
    .filter((line) => /^\| (?!threat|---)/.test(line))
  for (const row of rows) {
    const tests = [...row.matchAll(/`(test\/[\w/.-]+)`/g)].map(([, file = '']) => file)
    const unproved = tests.filter((file) => {
      const lane = /^test\/lanes\/(\w+)\.ts$/.exec(file)?.[1]
      return lane === undefined ? !ran.has(file) : !lanes.includes(lane)
    })
    if (tests.length > 0 && unproved.length === 0) continue
    failed++
    console.log(
      `not ok - docs/threat-model.md: ${tests.length === 0 ? 'no test' : unproved.join(', ')} for ${row.slice(0, 80)}`,
    )
  }
}
if (unrun > 0) console.log(`${unrun} tests were skipped or left to do: that is a failure`)
if (passed === 0) console.log('no test ran: that is a failure')
if (exit !== 0 && failed === 0) console.log(`tap exited with ${exit}`)
const ok = exit === 0 && failed === 0 && unrun === 0 && passed > 0
console.log(`${passed} passed, ${ok ? 0 : Math.max(1, failed + unrun)} failed`)
process.exitCode = ok ? 0 : 1
