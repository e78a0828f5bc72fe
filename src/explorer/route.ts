/** Where the reader is, as the fragment of the address: it is never sent to the server. */

import type { Direction } from '../core/lineage.ts'

export type Route =
  | { readonly view: 'logs' | 'check' | 'trust' }
  | { readonly view: 'events'; readonly log: string; readonly query: URLSearchParams }
  | { readonly view: 'event'; readonly log: string; readonly index: number }
  | { readonly view: 'timeline'; readonly log: string; readonly size?: number }
  | {
      readonly view: 'lineage'
      /** Of an artifact, or `key:` and the id of a key. */
      readonly about: string
      readonly direction: Direction
      /** As they were typed; undefined where nobody has chosen. */
      readonly since?: string
      readonly until?: string
    }

export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#?\/?/, '').split('?')
  const [view, name = '', rest = ''] = path.split('/')
  const query = new URLSearchParams(search)
  if (view === 'check' || view === 'trust') return { view }
  if (view === 'lineage') {
    const direction = query.get('direction')
    const [since, until] = [query.get('since'), query.get('until')]
    return {
      view,
      about: decoded(name),
      direction: direction === 'down' || direction === 'both' ? direction : 'up',
      ...(since !== null && { since }),
      ...(until !== null && { until }),
    }
  }
  if (view !== 'log' || name === '') return { view: 'logs' }
  if (rest === 'timeline') {
    const size = numberOf(query.get('size'))
    return { view: 'timeline', log: name, ...(size !== undefined && { size }) }
  }
  const index = numberOf(rest)
  return index === undefined ? { view: 'events', log: name, query } : { view: 'event', log: name, index }
}

const numberOf = (text: string | null): number | undefined =>
  text !== null && /^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined

export const logHref = (log: string, query: Readonly<Record<string, string>> = {}): string => {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString()
  return `#/log/${log}${text === '' ? '' : `?${text}`}`
}
export const eventHref = (log: string, index: number): string => `#/log/${log}/${index}`
export const timelineHref = (log: string, size?: number): string =>
  `#/log/${log}/timeline${size === undefined ? '' : `?size=${size}`}`
export function lineageHref(
  about: string,
  direction: Direction = 'up',
  times: { since?: string; until?: string } = {},
): string {
  const query = new URLSearchParams({ direction, ...times })
  return `#/lineage/${inPath(about)}?${query}`
}

/** Of an artifact: algorithms have any characters that can be printed. */
export const inPath = (artifact: string): string => encodeURIComponent(artifact).replaceAll('%3A', ':')

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
