/** What a server answers about lineage: shapes only. Nothing of it is believed; `trace.ts` holds it against evidence. */
import type { Lineage, LineageEdge, LineageEvent, LineageMark, LineageRole } from '../core/lineage.ts'
import { isObject } from '../core/payload.ts'
import type { Question } from '../core/proved-lineage.ts'
import { indexOf, textOf, wrongAnswer } from './answer.ts'
import type { Transport } from './transport.ts'

export type { Question }

export interface AnsweredLog {
  /** Its name on the server. */
  readonly log: string
  readonly origin: string
  /** How many entries the index of the server has seen. */
  readonly completeTo: number
  /** Signed note. */
  readonly checkpoint: string
  /** Whether what stands only in payloads of it counts; undefined from a server of before, which does not say. */
  readonly payload?: boolean
}

export type LineageAnswer = Lineage & { readonly logs: readonly AnsweredLog[] }

const LOG_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/
const ID = /^[!-~]{1,64}:[0-9a-f]{2,128}$/
const ROLES: readonly string[] = ['produced', 'consumed', 'examined', 'file'] satisfies LineageRole[]
const KINDS: readonly string[] = ['quarantine', 'supersedes'] satisfies LineageMark['kind'][]

/** Throws INVALID_PROOF for an answer of another shape. */
export async function fetchLineage(transport: Transport, question: Question): Promise<LineageAnswer> {
  const { artifact, signer, direction, depth, limit, since, until } = question
  const query = new URLSearchParams({ direction, depth: String(depth), limit: String(limit) })
  if (signer !== undefined) {
    query.set('signer', signer)
    // Without one, the server begins where policies doubt the key; ours may be other ones.
    query.set('since', String(since ?? 0))
    if (until !== undefined) query.set('until', String(until))
  }
  const path = artifact === undefined ? 'v1/lineage' : `v1/lineage/${artifact}`
  return parseLineage(await transport.json(`${path}?${query}`))
}

/** Throws INVALID_PROOF. */
export function parseLineage(document: unknown): LineageAnswer {
  if (!isObject(document)) throw wrongAnswer('lineage is not an object')
  const { start, direction, depth, truncated, artifacts, events, edges, logs } = document
  if (direction !== 'up' && direction !== 'down' && direction !== 'both') throw wrongAnswer('no direction')
  return {
    start: list(start, 'start').map(artifactId),
    direction,
    depth: indexOf(depth, 'depth'),
    truncated: truncated === true,
    artifacts: list(artifacts, 'artifacts').map((value) => {
      const { id, distance, producers, names } = object(value, 'an artifact')
      return {
        id: artifactId(id),
        distance: indexOf(distance, 'distance'),
        producers: indexOf(producers, 'producers'),
        ...(names !== undefined && { names: list(names, 'names').map((name) => textOf(name, 'a name')) }),
      }
    }),
    events: list(events, 'events').map(eventOf),
    edges: list(edges, 'edges').map(edgeOf),
    logs: list(logs, 'logs').map((value) => {
      const { log, origin, completeTo, checkpoint, payload } = object(value, 'a log')
      return {
        log: logName(log),
        origin: textOf(origin, 'origin'),
        completeTo: indexOf(completeTo, 'completeTo'),
        checkpoint: textOf(checkpoint, 'checkpoint'),
        ...(typeof payload === 'boolean' && { payload }),
      }
    }),
  }
}

function eventOf(value: unknown): LineageEvent {
  const { log, index, distance, time, type, keys, signers, marks } = object(value, 'an event')
  return {
    log: logName(log),
    index: indexOf(index, 'index'),
    distance: indexOf(distance, 'distance'),
    time: indexOf(time, 'time'),
    type: textOf(type, 'type'),
    keys: list(keys, 'keys').map((key) => textOf(key, 'a key')),
    signers: list(signers, 'signers').map((name) => textOf(name, 'a signer')),
    marks: list(marks, 'marks').map((mark) => {
      const { log, index, kind, reason } = object(mark, 'a mark')
      if (!KINDS.includes(kind as string)) throw wrongAnswer('a mark of an unknown kind')
      return {
        log: logName(log),
        index: indexOf(index, 'index'),
        kind: kind as LineageMark['kind'],
        reason: textOf(reason, 'reason'),
      }
    }),
  }
}

function edgeOf(value: unknown): LineageEdge {
  const { log, index, artifact, role } = object(value, 'an edge')
  if (!ROLES.includes(role as string)) throw wrongAnswer('an edge with an unknown role')
  return {
    log: logName(log),
    index: indexOf(index, 'index'),
    artifact: artifactId(artifact),
    role: role as LineageRole,
  }
}

function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrongAnswer(`${name} is not an array`)
  return value
}

function object(value: unknown, name: string) {
  if (!isObject(value)) throw wrongAnswer(`${name} is not an object`)
  return value
}

function artifactId(value: unknown): string {
  if (typeof value !== 'string' || !ID.test(value)) throw wrongAnswer('an artifact is not algorithm:hex')
  return value
}

/** It becomes part of a URL and of a file name. */
function logName(value: unknown): string {
  if (typeof value !== 'string' || !LOG_NAME.test(value)) throw wrongAnswer('a log has no name of a log')
  return value
}
