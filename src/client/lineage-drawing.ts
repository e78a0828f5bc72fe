/** Lineage as an SVG: a column for each step away from the start, artifacts and events in turn, a line for each edge. */
import type { Lineage } from '../core/lineage.ts'
import { sayMarks, saySigners, shortId } from './lineage-formats.ts'
import { escapeText } from './markup.ts'

const WIDTH = 168
const HEIGHT = 36
const GAP_X = 40
const GAP_Y = 12
/** Past so many nothing can be seen in it; the tables hold everything. */
const MAX_NODES = 120

interface Node {
  readonly column: number
  readonly lines: readonly [string, string]
  readonly hint: string
  readonly event: boolean
  readonly marked: boolean
}

export function formatDrawing({ artifacts, events, edges, direction }: Lineage): string {
  if (artifacts.length + events.length > MAX_NODES)
    return `<p>${artifacts.length + events.length} artifacts and events are too many for a drawing: see the tables.</p>`
  const nodes = new Map<string, Node>()
  for (const { id, distance, names = [], producers } of artifacts)
    nodes.set(id, {
      column: 2 * distance,
      lines: [names[0] ?? '', shortId(id)],
      hint: `${names.join(', ')} ${id}`,
      event: false,
      marked: producers > 1,
    })
  for (const event of events) {
    const { log, index, distance, type } = event
    nodes.set(`${log} ${index}`, {
      column: 2 * distance - 1,
      lines: [type.replace(/^urn:treeline:/, ''), `${log} ${index}, ${saySigners(event)}`],
      hint: `${type}, event ${index} of ${log}, signed by ${saySigners(event)} ${sayMarks(event)}`,
      event: true,
      marked: event.marks.length > 0,
    })
  }
  const columns = [...new Set([...nodes.values()].map(({ column }) => column))].sort((a, b) => a - b)
  // What is upstream stands to the left, as it is read.
  if (direction === 'up') columns.reverse()
  const places = new Map<string, { readonly x: number; readonly y: number }>()
  let rows = 0
  for (const [at, column] of columns.entries()) {
    const inside = [...nodes].filter(([, node]) => node.column === column)
    rows = Math.max(rows, inside.length)
    for (const [row, [name]] of inside.entries())
      places.set(name, { x: at * (WIDTH + GAP_X) + 1, y: row * (HEIGHT + GAP_Y) + 1 })
  }
  const lines = edges.map(({ log, index, artifact, role }) => {
    const [thing, event] = [places.get(artifact), places.get(`${log} ${index}`)]
    // Of a document that nobody has verified yet.
    if (thing === undefined || event === undefined) return ''
    const [from, to] = role === 'produced' ? [event, thing] : [thing, event]
    return `<path${role === 'examined' || role === 'file' ? ' class="soft"' : ''} d="${curve(from, to)}"/>`
  })
  const boxes = [...nodes].map(([name, node]) => box(places.get(name)!, node))
  const width = columns.length * (WIDTH + GAP_X) - GAP_X + 2
  const height = rows * (HEIGHT + GAP_Y) - GAP_Y + 2
  return `<div class="scroll"><svg role="img" aria-label="Lineage: the tables below hold the same" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
${lines.join('\n')}
${boxes.join('\n')}
</svg></div>`
}

interface Place {
  readonly x: number
  readonly y: number
}

/** From the side of one box that looks at the other. */
function curve(from: Place, to: Place): string {
  const forward = from.x < to.x
  const [x1, x2] = forward ? [from.x + WIDTH, to.x] : [from.x, to.x + WIDTH]
  const [y1, y2] = [from.y + HEIGHT / 2, to.y + HEIGHT / 2]
  const middle = (x1 + x2) / 2
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`
}

/** Events have square corners. */
function box({ x, y }: Place, { lines, hint, event, marked }: Node): string {
  const [first, second] = lines.map((line) => escapeText(line.length > 26 ? `${line.slice(0, 25)}…` : line))
  return `<g><title>${escapeText(hint.trim())}</title><rect${marked ? ' class="marked"' : ''} x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="${event ? 0 : 12}"/><text x="${x + 8}" y="${y + 15}">${first}</text><text x="${x + 8}" y="${y + 29}">${second}</text></g>`
}
