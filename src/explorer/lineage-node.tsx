/** The boxes and lines of the picture of a lineage. */
import type { JSX } from 'preact'
import { type CheckedLineage, eventId } from './lineage-check.ts'
import { type Drawn, type LineageNode, NODE_HEIGHT, NODE_WIDTH, type Placed } from './lineage-layout.ts'
import { eventHref, lineageHref } from './route.ts'
import { Mark } from './ui.tsx'

export function Edge({ edge: { role, points } }: { edge: Drawn }): JSX.Element {
  const [first, ...rest] = points
  let [x, y] = first!
  let path = `M${x} ${y}`
  for (const [nextX, nextY] of rest) {
    const middle = (y + nextY) / 2
    path += `C${x} ${middle} ${nextX} ${middle} ${nextX} ${nextY}`
    ;[x, y] = [nextX, nextY]
  }
  return <path class={`edge ${role}`} d={path} />
}

const clip = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text)

export const typeName = (type: string): string => type.replace(/^(urn:treeline:|https?:\/\/)/, '')

export function Node({ placed: { node, x, y }, checked }: { placed: Placed; checked: CheckedLineage }): JSX.Element {
  const [left, top] = [x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2]
  const start = node.kind === 'artifact' && checked.lineage.start.includes(node.id)
  const text = node.kind === 'artifact' ? artifactText(node) : eventText(node)
  const href =
    node.kind === 'artifact'
      ? lineageHref(node.id, checked.lineage.direction)
      : eventHref(node.event.log, node.event.index)
  const marked = node.kind === 'event' && node.event.marks.length > 0
  return (
    <a href={href} class={`node ${node.kind}${start ? ' start' : ''}${marked ? ' marked' : ''}`}>
      <rect
        x={left}
        y={top}
        width={NODE_WIDTH}
        height={NODE_HEIGHT}
        rx={node.kind === 'artifact' ? NODE_HEIGHT / 2 : 3}
      >
        <title>{node.kind === 'artifact' ? node.id : node.event.type}</title>
      </rect>
      <text x={left + (node.kind === 'event' ? 30 : 18)} y={top + 20}>
        {clip(text[0], node.kind === 'event' ? 24 : 25)}
      </text>
      <text class="second" x={left + (node.kind === 'event' ? 30 : 18)} y={top + 38}>
        {clip(text[1], node.kind === 'event' ? 27 : 28)}
      </text>
      {node.kind === 'event' && (
        <svg x={left + 8} y={top + 10} width={16} height={16}>
          <Mark state={checked.states.get(eventId(node.event))!.state} />
        </svg>
      )}
    </a>
  )
}

function artifactText({
  artifact: { id, names, producers },
}: Extract<LineageNode, { kind: 'artifact' }>): [string, string] {
  const [algorithm = '', hex = ''] = id.split(':')
  const digest = `${algorithm}:${hex.slice(0, 12)}…`
  const conflict = producers > 1 ? `${producers} producers · ` : ''
  return names?.[0] === undefined ? [digest, conflict || 'artifact'] : [names[0], `${conflict}${digest}`]
}

const eventText = ({ event }: Extract<LineageNode, { kind: 'event' }>): [string, string] => [
  typeName(event.type),
  `${event.marks.length > 0 ? `${event.marks[0]!.kind} · ` : ''}${event.log} ${event.index} · ${event.signers.join(', ')}`,
]
