/** Lineage, and lists of events that fit a filter: what the indexes answer. */
import type { FastifyInstance } from 'fastify'
import type { Lineage } from '../../schemas/types.ts'
import { TreelineError } from '../core/errors.ts'
import type { Direction } from '../core/lineage.ts'
import type { LineageQuestion } from '../log/lineage-source.ts'
import type { Projections } from '../log/projections.ts'
import { type Reader, TREE } from './auth.ts'
import { ARTIFACT_IN_PATH, artifactOf, timeOf } from './event-filter.ts'
import { operations } from './operations.ts'
import { LINEAGE_DEPTH, LINEAGE_LIMIT } from './query.ts'
import { findEvents, type ServedLogs } from './served-log.ts'

interface WalkQuery {
  readonly direction?: Direction
  readonly depth?: number
  readonly limit?: number
}

const IS_ARTIFACT = new RegExp(ARTIFACT_IN_PATH.pattern, 'u')

export function lineageRoutes(app: FastifyInstance, logs: ServedLogs, projections: Projections | undefined): void {
  const answer = async (
    log: string,
    reader: Reader,
    start: LineageQuestion['start'],
    { direction = 'both', depth = LINEAGE_DEPTH.default, limit = LINEAGE_LIMIT.default }: WalkQuery,
  ): Promise<Lineage> => {
    findEvents(logs, log)
    // Artifacts join logs: all that the reader may read are looked at together.
    const readable = [...logs.values()].filter((served) => served.events && reader.may(served.log.name, 'tree'))
    const asked = readable.map(({ log: { name, origin, head } }) => ({
      ...{ name, origin },
      size: head.tree.size,
      checkpoint: head.note,
      payload: reader.may(name, 'payload'),
    }))
    const { completeTo, ...lineage } = await requireIndex(projections).lineage({
      ...{ start, direction, depth, limit },
      logs: asked.map(({ checkpoint: _, ...one }) => one),
    })
    const heads = asked.map(({ name, origin, checkpoint, payload }) => ({
      log: name,
      origin,
      completeTo: completeTo[name] ?? 0,
      checkpoint,
      payload,
    }))
    return { ...(lineage as Omit<Lineage, 'logs'>), logs: heads }
  }

  app.get<{ Params: { log: string; artifact: string }; Querystring: WalkQuery }>(
    '/:log/v1/lineage/:artifact',
    { config: TREE, schema: operations.getLineage },
    async ({ params, query, reader }) => {
      if (!IS_ARTIFACT.test(params.artifact) || params.artifact.length > ARTIFACT_IN_PATH.maxLength)
        throw new TreelineError('NOT_FOUND', 'an artifact is algorithm:hex, or the hex of its digest alone')
      return answer(params.log, reader!, artifactOf(params.artifact), query)
    },
  )

  app.get<{ Params: { log: string }; Querystring: WalkQuery & { signer: string; since?: string; until?: string } }>(
    '/:log/v1/lineage',
    { config: TREE, schema: operations.getLineageOfSigner },
    async ({ params, query, reader }) => {
      const { signer, since, until } = query
      const compromisedSince = doubtOf(logs, reader!, signer)
      const from = since === undefined ? compromisedSince : timeOf(since)
      const window = {
        ...(from !== undefined && { since: from }),
        ...(until !== undefined && { until: timeOf(until) }),
      }
      const lineage = await answer(params.log, reader!, { signer, ...window }, query)
      return {
        ...lineage,
        ...(from !== undefined && { since: from }),
        ...(compromisedSince !== undefined && { compromisedSince }),
      }
    },
  )
}

/** The earliest moment since when policies in force doubt a key: a restored log can say nothing new, its successor can. */
function doubtOf(logs: ServedLogs, reader: Reader, signer: string): number | undefined {
  const moments = [...logs.values()].flatMap(({ log, events }) => {
    if (events === undefined || !reader.may(log.name, 'tree')) return []
    const { suspended } = events.policy.policy.signers.find(({ key }) => key.id === signer) ?? {}
    return suspended?.compromisedSince ?? []
  })
  return moments.length === 0 ? undefined : Math.min(...moments)
}

/** A server with a log of events has an index; it may not be able to read it. */
export function requireIndex(projections: Projections | undefined): Projections {
  if (projections !== undefined) return projections
  throw new TreelineError('STORAGE_FAILED', 'this server has no index')
}
