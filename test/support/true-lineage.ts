/**
 * What is true of a generated history, found without any code of the product: plain maps from what the generator knows, a walk of its own by the rules
 * as docs/formats.md and the head of src/core/lineage.ts state them, and the answers of the product written down so that equal ones are equal text.
 */
import type { Lineage, LineageRole } from '../../src/core/lineage.ts'
import type { TrueEvent } from './history.ts'

type Edge = TrueEvent['edges'][number]

/** To lineage, whoever marks an event has looked at its artifacts and made none. */
export const stepsOf = ({ edges, marks }: TrueEvent): readonly Edge[] =>
  marks === undefined ? edges : edges.map(({ artifact }) => ({ role: 'examined', artifact }))

/** By which role in an artifact each direction comes to an event, and through which others it leaves. */
const WAYS: Readonly<Record<'up' | 'down', Partial<Record<LineageRole, readonly LineageRole[]>>>> = {
  up: { produced: ['consumed', 'file'], examined: ['file'] },
  down: { consumed: ['produced'], file: ['produced', 'examined'], examined: [] },
}

export class TrueLineage {
  readonly #touching = new Map<string, { readonly event: TrueEvent; readonly role: LineageRole }[]>()
  readonly #marks = new Map<string, string[]>()

  constructor(events: readonly TrueEvent[]) {
    for (const event of events) {
      for (const { artifact, role } of stepsOf(event)) {
        const all = this.#touching.get(artifact)
        if (all === undefined) this.#touching.set(artifact, [{ event, role }])
        else all.push({ event, role })
      }
      if (event.marks === undefined) continue
      const { log, index, kind } = event.marks
      const about = `${log} ${index}`
      this.#marks.set(about, [...(this.#marks.get(about) ?? []), `${event.log} ${event.index} ${kind}`])
    }
  }

  get artifacts(): readonly string[] {
    return [...this.#touching.keys()]
  }

  /** Events by which the artifact is touched. */
  eventsOf(artifact: string): readonly { readonly event: TrueEvent; readonly role: LineageRole }[] {
    return this.#touching.get(artifact) ?? []
  }

  /** The whole walk, however large, as `written` writes the product's. */
  walk(start: Iterable<string>, way: 'up' | 'down', seeds: readonly TrueEvent[] = []): Written {
    const artifacts = new Map([...start].map((artifact) => [artifact, 0]))
    const events = new Map(seeds.map((event) => [event, 0]))
    // A map hands out what is added while it is read: nearest first.
    for (const [artifact, distance] of artifacts)
      for (const { event, role } of this.eventsOf(artifact)) {
        const leaves = WAYS[way][role]
        if (leaves === undefined) continue
        if (!events.has(event)) events.set(event, distance + 1)
        for (const edge of stepsOf(event))
          if (leaves.includes(edge.role) && !artifacts.has(edge.artifact)) artifacts.set(edge.artifact, distance + 1)
      }
    return {
      artifacts: [...artifacts].map(([id, distance]) => `${id} ${distance} ${this.#producers(id)}`).sort(),
      events: [...events].map(([event, distance]) => this.#event(event, distance)).sort(),
      edges: [...events.keys()]
        .flatMap((one) => stepsOf(one).flatMap((edge) => (artifacts.has(edge.artifact) ? edgeText(one, edge) : [])))
        .sort(),
    }
  }

  #producers(artifact: string): number {
    return new Set(this.eventsOf(artifact).flatMap(({ event, role }) => (role === 'produced' ? event : []))).size
  }

  #event({ log, index, time, type, key }: TrueEvent, distance: number): string {
    return eventText({ log, index, time, type, keys: [key] }, distance, this.#marks.get(`${log} ${index}`) ?? [])
  }
}

export interface Written {
  readonly artifacts: readonly string[]
  readonly events: readonly string[]
  readonly edges: readonly string[]
}

/** The product's answer. */
export function written({ artifacts, events, edges }: Pick<Lineage, 'artifacts' | 'events' | 'edges'>): Written {
  return {
    artifacts: artifacts.map(({ id, distance, producers }) => `${id} ${distance} ${producers}`).sort(),
    events: events
      .map(({ distance, marks, ...event }) =>
        eventText(
          event,
          distance,
          marks.map(({ log, index, kind }) => `${log} ${index} ${kind}`),
        ),
      )
      .sort(),
    edges: edges.map((edge) => edgeText(edge, edge)).sort(),
  }
}

const edgeText = ({ log, index }: { log: string; index: number }, { artifact, role }: Edge): string =>
  `${log} ${index} ${role} ${artifact}`

const eventText = (
  { log, index, time, type, keys }: { log: string; index: number; time: number; type: string; keys: readonly string[] },
  distance: number,
  marks: readonly string[],
): string => `${log} ${index} ${time} ${type} ${keys.join()} ${distance} [${[...marks].sort().join()}]`

/** Where the two part first; undefined where they are equal. Of an answer that a limit cut, all that it says must be true. */
export function difference(product: Written, truth: Written, truncated: boolean): string | undefined {
  for (const part of ['artifacts', 'events', 'edges'] as const) {
    const [told, known] = [product[part], truth[part]]
    if (truncated) {
      const all = new Set(known.map(withoutDistance))
      const invented = told.find((one) => !all.has(withoutDistance(one)))
      if (invented !== undefined) return `${part}: ${invented} is not so`
    } else if (told.join('\n') !== known.join('\n')) {
      const [all, here] = [new Set(known), new Set(told)]
      const one = told.find((text) => !all.has(text)) ?? known.find((text) => !here.has(text)) ?? 'one of them twice'
      return `${part}: ${told.length} told, ${known.length} true, such as ${one}`
    }
  }
  return undefined
}

/** What is cut may have hidden the nearest way. */
const withoutDistance = (text: string): string =>
  text.replace(/^(\S+:\S+) \d+/, '$1').replace(/ \d+ (\[[^\]]*\])$/, ' $1')
