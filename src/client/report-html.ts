/**
 * A report as one page that needs nothing: no script, no network, readable on paper and in both colour schemes. All text in it is whatever signers
 * and servers wrote, and is escaped.
 */
import type { Lineage, LineageArtifact, LineageEvent } from '../core/lineage.ts'
import { parseCheckpointNote } from './checkpoint-text.ts'
import { formatDrawing } from './lineage-drawing.ts'
import { edgesOf, sayMarks, saySigners, shortId } from './lineage-formats.ts'
import { escapeText } from './markup.ts'
import { NOT_SHOWN, type Report } from './report-document.ts'
import { sayQuestion } from './report-instructions.ts'

const STYLE = `
:root { color-scheme: light dark; --line: #8888; --bad: #b00020; --soft: #8881; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; } ul { margin: .2rem 0; padding-left: 1.1rem; }
.bad { color: var(--bad); font-weight: 600; } .box { border: 1px solid var(--line); padding: .6rem .9rem; background: var(--soft); }
.scroll { overflow-x: auto; } svg { font: 11px system-ui, sans-serif; } svg text { fill: currentColor; }
svg rect, svg path { stroke: currentColor; fill: none; } svg .marked { stroke: var(--bad); stroke-width: 2; } svg .soft { stroke-dasharray: 3 3; }
@media print { svg { max-width: 100%; height: auto; } body { font-size: 11px; max-width: none; margin: 0; } h2 { break-after: avoid; } tr, .box { break-inside: avoid; } a { color: inherit; } }
`

export function formatHtml(report: Report): string {
  const { lineage, faults, notices, made } = report
  const question = sayQuestion(report)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeText(question)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeText(question)}</h1>
<p>Made ${day(made)} by <code>treeline</code>. ${count(lineage.events.length, 'event')} and ${count(lineage.artifacts.length, 'artifact')}, at most ${count(lineage.depth, 'step')} away, each event with its evidence in this folder. This page is a view of <code>report.json</code>: <code>VERIFY.md</code> says how to verify both.</p>
</header>
<main>
${standing(report)}
${list('What a server did not say as it is proved', faults, 'bad')}
${list('What may be missing', lineage.truncated ? ['Depth, limit or the index of the server cut the lineage off: there is more.', ...notices] : notices)}
<h2>How it hangs together</h2>
${formatDrawing(lineage)}
${artifactTable(lineage)}
${eventTable(report)}
${logTable(report)}
</main>
</body>
</html>
`
}

const day = (ms: number): string =>
  `<time datetime="${new Date(ms).toISOString()}">${new Date(ms).toISOString().replace('T', ' ').slice(0, 19)} UTC</time>`
const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
const code = (text: string): string => `<code>${escapeText(text)}</code>`

/** What may be relied on, in a box, before anything else. */
function standing({ logs, lineage, faults, notices }: Report): string {
  const shown = !notices.some((notice) => notice.startsWith(NOT_SHOWN))
  const whole = shown && logs.length > 0 && logs.every(({ scanned }) => scanned !== null)
  const marked = lineage.events.filter(({ marks }) => marks.length > 0).length
  const rivals = lineage.artifacts.filter(({ producers }) => producers > 1).length
  return `<div class="box"><ul>
<li>Everything listed here is proved by evidence under checkpoints that the trust policy of its maker accepted.</li>
<li>${
    whole
      ? `Whoever made it read ${logs.map(({ log, scanned }) => `all ${scanned} entries of ${escapeText(log)}`).join(', ')}: nothing that they hold was left out. This folder alone cannot prove that.`
      : !shown
        ? 'Not all that was found is listed: see what may be missing.'
        : 'It is what the server told of: the server may have left something out. Made with <code>--complete</code>, it would not.'
  }</li>
${marked > 0 ? `<li class="bad">${count(marked, 'event')} marked as quarantined or superseded.</li>\n` : ''}${
  rivals > 0 ? `<li class="bad">${count(rivals, 'artifact')} with more than one producer.</li>\n` : ''
}${faults.length > 0 ? `<li class="bad">A server did not say the truth ${count(faults.length, 'time')}.</li>\n` : ''}</ul></div>`
}

function list(title: string, items: readonly string[], className = ''): string {
  if (items.length === 0) return ''
  const rows = items.map((item) => `<li${className && ` class="${className}"`}>${escapeText(item)}</li>`).join('\n')
  return `<h2>${title}</h2>\n<ul>\n${rows}\n</ul>`
}

function artifactTable({ artifacts }: Lineage): string {
  const rows = artifacts.map(
    ({ id, names = [], distance, producers }) =>
      `<tr><td class="n">${distance}</td><td>${names.map(escapeText).join('<br>')}</td><td>${code(id)}</td><td class="n${producers > 1 ? ' bad' : ''}">${producers}</td></tr>`,
  )
  return `<h2>Artifacts</h2>
<div class="scroll"><table>
<caption>Names are what the signers called them. Producers are counted among the events of this report; more than one contradict each other.</caption>
<thead><tr><th class="n" scope="col">Steps away</th><th scope="col">Name</th><th scope="col">Digest</th><th class="n" scope="col">Producers</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`
}

function eventTable({ lineage, evidence }: Report): string {
  const artifacts = new Map(lineage.artifacts.map((artifact) => [artifact.id, artifact]))
  const files = new Map(evidence.map(({ log, index, file }) => [`${log} ${index}`, file]))
  const rows = lineage.events.map((event) => eventRow(event, lineage, artifacts, files))
  return `<h2>Events</h2>
<div class="scroll"><table>
<caption>When is the log's own clock; signers are named as in the write policy that was in force.</caption>
<thead><tr><th class="n" scope="col">Steps away</th><th scope="col">Log, index</th><th scope="col">When</th><th scope="col">Signed by</th><th scope="col">What</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`
}

function eventRow(
  event: LineageEvent,
  { edges }: Lineage,
  artifacts: ReadonlyMap<string, LineageArtifact>,
  files: ReadonlyMap<string, string>,
): string {
  const { log, index, distance, time, type, keys } = event
  const file = files.get(`${log} ${index}`)
  const place = `${escapeText(log)} ${index}`
  const touched = edgesOf(edges, event).map(
    ({ role, artifact }) => `<li>${role} ${artifactText(artifacts.get(artifact) ?? { id: artifact })}</li>`,
  )
  const marks = event.marks.length > 0 ? `<p class="bad">${escapeText(sayMarks(event))}</p>` : ''
  const link = file === undefined ? place : `<a href="${escapeText(file)}">${place}</a>`
  const ids = keys.map((key) => code(`${key.slice(0, 16)}…`)).join(' ')
  return `<tr><td class="n">${distance}</td><td>${link}</td><td>${day(time)}</td><td>${escapeText(saySigners(event))}<br>${ids}</td><td>${code(type)}${marks}<ul>${touched.join('')}</ul></td></tr>`
}

/** The whole digest is in the table of artifacts. */
const artifactText = ({ id, names = [] }: Pick<LineageArtifact, 'id' | 'names'>): string =>
  [...names.map(escapeText), `<code title="${escapeText(id)}">${escapeText(shortId(id))}</code>`].join(' ')

function logTable({ logs }: Report): string {
  const rows = logs.map(({ log, origin, checkpoint, scanned }) => {
    const { size, root, signers } = parseCheckpointNote(checkpoint)
    return `<tr><td>${escapeText(log)}<br>${code(origin)}</td><td class="n">${escapeText(size)}</td><td>${code(root)}</td><td>${signers.map(escapeText).join('<br>')}</td><td>${scanned === null ? 'the server was asked' : `all ${scanned} entries were read`}</td></tr>`
  })
  return `<h2>Logs</h2>
<div class="scroll"><table>
<caption>The head of each log that the evidence is a part of, as it was signed.</caption>
<thead><tr><th scope="col">Log</th><th class="n" scope="col">Size</th><th scope="col">Root</th><th scope="col">Signed by</th><th scope="col">Read</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`
}
