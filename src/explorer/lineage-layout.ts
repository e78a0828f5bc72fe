/** Where the nodes of a lineage stand: time goes down, from what was consumed to what was produced. */
import { coordGreedy, decrossTwoLayer, graph, layeringLongestPath, sugiyama } from 'd3-dag'
import type { Lineage, LineageArtifact, LineageEdge, LineageEvent } from '../core/lineage.ts'
import { eventId } from './lineage-check.ts'

export type LineageNode =
  | { readonly kind: 'artifact'; readonly id: string; readonly artifact: LineageArtifact }
  | { readonly kind: 'event'; readonly id: string; readonly event: LineageEvent }

export interface Placed {
  readonly node: LineageNode
  readonly x: number
  readonly y: number
}

export interface Drawn {
  readonly role: LineageEdge['role']
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Layout {
  readonly nodes: readonly Placed[]
  readonly edges: readonly Drawn[]
  readonly width: number
  readonly height: number
}

export const NODE_WIDTH = 190
export const NODE_HEIGHT = 50

export function layOut({ artifacts, events, edges }: Lineage): Layout {
  const dag = graph<LineageNode, LineageEdge>()
  const byId = new Map<string, ReturnType<typeof dag.node>>()
  const add = (node: LineageNode) => byId.set(`${node.kind} ${node.id}`, dag.node(node))
  for (const artifact of artifacts) add({ kind: 'artifact', id: artifact.id, artifact })
  for (const event of events) add({ kind: 'event', id: eventId(event), event })
  const drawn = new Set<string>()
  for (const edge of edges) {
    const artifact = byId.get(`artifact ${edge.artifact}`)
    const event = byId.get(`event ${eventId(edge)}`)
    if (artifact === undefined || event === undefined) continue
    const [from, to] = edge.role === 'produced' ? [event, artifact] : [artifact, event]
    const name = `${edge.artifact} ${eventId(edge)} ${edge.role === 'produced'}`
    if (!drawn.has(name)) dag.link(from, to, edge)
    drawn.add(name)
  }
  const place = sugiyama()
    .layering(layeringLongestPath())
    .decross(decrossTwoLayer())
    .coord(coordGreedy())
    .nodeSize([NODE_WIDTH, NODE_HEIGHT])
    .gap([28, 44])
  const { width, height } = place(dag)
  return {
    width,
    height,
    nodes: [...dag.nodes()].map(({ data, x, y }) => ({ node: data, x, y })),
    edges: [...dag.links()].map(({ data, points }) => ({ role: data.role, points })),
  }
}
