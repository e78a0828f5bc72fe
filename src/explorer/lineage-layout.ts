/** Where the nodes of a lineage stand: time goes down, from what was consumed to what was produced. */
import { coordGreedy, decrossDfs, decrossTwoLayer, graph, layeringLongestPath, sugiyama } from 'd3-dag'
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

/** What a picture shows at most: the layout takes seconds for hundreds of nodes with many edges, and nobody reads that. */
const MOST_NODES = 120
/** Up to here crossings are sought out one by one: that takes time by the square of the edges. */
const MOST_UNCROSSED = 160

/** The nearest nodes, in turn of distance: the lists have all. */
export function nearest(lineage: Lineage, most = MOST_NODES): Pick<Lineage, 'artifacts' | 'events' | 'edges'> {
  const { artifacts, events, edges } = lineage
  if (artifacts.length + events.length <= most) return { artifacts, events, edges }
  const distances = [...artifacts, ...events].map(({ distance }) => distance).sort((a, b) => a - b)
  // Whole distances, and of the one that does not fit as many as do.
  const last = distances[most]!
  let room = most - distances.filter((distance) => distance < last).length
  const near = ({ distance }: { distance: number }) => distance < last || (distance === last && room-- > 0)
  // Events first: an artifact without the event that it stands for says nothing.
  const someEvents = events.filter(near)
  const someArtifacts = artifacts.filter(near)
  const shown = new Set([...someEvents.map(eventId), ...someArtifacts.map(({ id }) => id)])
  return {
    artifacts: someArtifacts,
    events: someEvents,
    edges: edges.filter((edge) => shown.has(eventId(edge)) && shown.has(edge.artifact)),
  }
}

export function layOut({ artifacts, events, edges }: Pick<Lineage, 'artifacts' | 'events' | 'edges'>): Layout {
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
    .decross(drawn.size > MOST_UNCROSSED ? decrossDfs() : decrossTwoLayer())
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
