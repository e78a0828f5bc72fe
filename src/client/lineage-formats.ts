/** Lineage for people and for other programs: a table, Graphviz DOT, and W3C PROV-JSON. Names and types are whatever the signers wrote. */
import type { Lineage, LineageArtifact, LineageEdge, LineageEvent } from '../core/lineage.ts'

const eventName = ({ log, index }: { readonly log: string; readonly index: number }): string => `${log} ${index}`
/** Enough of a digest to tell two apart by eye. */
export const shortId = (id: string): string => id.replace(/(:[0-9a-f]{12})[0-9a-f]+$/, '$1…')
const day = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z')

/** How an artifact reads: what it is called, and its digest. */
export const artifactLabel = ({ id, names = [] }: Pick<LineageArtifact, 'id' | 'names'>): string =>
  names.length === 0 ? id : `${names.join(', ')} (${id})`

/** What is wrong with an event, by statements about it; '' when nobody says that anything is. */
export const sayMarks = ({ marks }: Pick<LineageEvent, 'marks'>): string =>
  marks
    .map(({ kind, reason, log, index }) => {
      const what = kind === 'quarantine' ? 'quarantined' : 'superseded'
      return `${what} by event ${index} of ${log}${reason === '' ? '' : `: ${reason}`}`
    })
    .join('; ')

/** Signers by the names that the write policy has for them. */
export const saySigners = ({ signers, keys }: Pick<LineageEvent, 'signers' | 'keys'>): string =>
  (signers.length > 0 ? signers : keys.map((key) => key.slice(0, 16))).join(', ')

/** Lines of a table: events by their distance, and under each what it made of what. */
export function formatTable({ artifacts, events, edges, truncated }: Lineage): string[] {
  const known = new Map(artifacts.map((artifact) => [artifact.id, artifact]))
  const rows = events.map((event) => [
    String(event.distance),
    event.log,
    String(event.index),
    day(event.time),
    saySigners(event),
    event.type,
  ])
  const head = ['step', 'log', 'index', 'logged', 'signed by', 'type']
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd()
  const lines = [line(head)]
  for (const [i, event] of events.entries()) {
    lines.push(line(rows[i]!))
    for (const { role, artifact } of edgesOf(edges, event))
      lines.push(`      ${role.padEnd(9)} ${artifactLabel(known.get(artifact) ?? { id: artifact })}`)
    if (event.marks.length > 0) lines.push(`      ! ${sayMarks(event)}`)
  }
  for (const artifact of artifacts.filter(({ producers }) => producers > 1))
    lines.push(`! ${artifact.producers} events say that they produced ${artifactLabel(artifact)}`)
  if (truncated) lines.push('! there is more: depth, limit or the index of the server cut it off')
  return lines
}

const ROLES: readonly string[] = ['consumed', 'examined', 'file', 'produced']

/** Of one event: what went in before what came out. */
export const edgesOf = (edges: readonly LineageEdge[], { log, index }: LineageEvent): LineageEdge[] =>
  edges
    .filter((edge) => edge.log === log && edge.index === index)
    .sort((a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role))

/** A graph for Graphviz: events are boxes, artifacts ellipses. */
export function formatDot({ artifacts, events, edges }: Lineage): string {
  const lines = ['digraph lineage {', '  rankdir=LR', '  node [fontname="sans-serif", fontsize=10]']
  for (const { id, names, producers } of artifacts) {
    const label = `${names?.[0] ?? ''}\n${shortId(id)}`.trim()
    lines.push(`  ${quote(id)} [label=${quote(label)}${producers > 1 ? ', color=red' : ''}]`)
  }
  for (const event of events) {
    const label = `${eventName(event)}: ${event.type}\n${saySigners(event)}, ${day(event.time)}`
    const marked = event.marks.length > 0 ? ', color=red' : ''
    lines.push(`  ${quote(eventName(event))} [shape=box, label=${quote(label)}${marked}]`)
  }
  for (const edge of edges) {
    const [event, artifact] = [quote(eventName(edge)), quote(edge.artifact)]
    if (edge.role === 'produced') lines.push(`  ${event} -> ${artifact}`)
    else lines.push(`  ${artifact} -> ${event}${edge.role === 'consumed' ? '' : ' [style=dashed]'}`)
  }
  return `${lines.join('\n')}\n}\n`
}

/** A string of DOT knows one escape of its own, `\"`; the labels also read `\n` and the like, so a backslash is doubled. */
const quote = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`

type Attributes = Record<string, unknown>

/** https://www.w3.org/submissions/prov-json/. Events are activities, artifacts entities, keys agents; no derivation is claimed that nobody signed. `origins` by the names of logs. */
export function formatProv({ artifacts, events, edges }: Lineage, origins?: ReadonlyMap<string, string>): object {
  const entity: Record<string, Attributes> = {}
  for (const { id, names } of artifacts)
    entity[entityName(id)] = { 'treeline:digest': id, ...(names && { 'prov:label': names.join(', ') }) }
  const activity: Record<string, Attributes> = {}
  const agent: Record<string, Attributes> = {}
  const wasAssociatedWith: Record<string, Attributes> = {}
  for (const event of events) {
    const name = activityName(event)
    const { log, index, type, time, keys, signers, marks } = event
    activity[name] = {
      'prov:type': { $: type, type: 'xsd:anyURI' },
      'treeline:log': log,
      ...(origins?.has(log) && { 'treeline:origin': origins.get(log) }),
      'treeline:index': index,
      'treeline:logged': { $: new Date(time).toISOString(), type: 'xsd:dateTime' },
      ...(marks.length > 0 && { 'treeline:mark': sayMarks({ marks }) }),
    }
    for (const [i, key] of keys.entries()) {
      agent[`treeline:key-${key}`] = { ...(signers[i] !== undefined && { 'prov:label': signers[i] }) }
      wasAssociatedWith[`_:a${Object.keys(wasAssociatedWith).length}`] = {
        'prov:activity': name,
        'prov:agent': `treeline:key-${key}`,
      }
    }
  }
  const wasGeneratedBy: Record<string, Attributes> = {}
  const used: Record<string, Attributes> = {}
  for (const edge of edges) {
    const ends = { 'prov:activity': activityName(edge), 'prov:entity': entityName(edge.artifact) }
    if (edge.role === 'produced') wasGeneratedBy[`_:g${Object.keys(wasGeneratedBy).length}`] = ends
    else used[`_:u${Object.keys(used).length}`] = { ...ends, 'prov:role': edge.role }
  }
  return {
    prefix: { treeline: 'urn:treeline:prov:', xsd: 'http://www.w3.org/2001/XMLSchema#' },
    ...{ entity, activity, agent, wasGeneratedBy, used, wasAssociatedWith },
  }
}

const entityName = (id: string): string => `treeline:${id.replace(':', '-')}`
const activityName = ({ log, index }: { readonly log: string; readonly index: number }): string =>
  `treeline:${log}-${index}`
