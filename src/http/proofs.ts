/** Proofs for any sizes up to the committed head, and the list of logs. */
import type { FastifyInstance } from 'fastify'
import type { ConsistencyProof, InclusionProof, LogList, WitnessList } from '../../schemas/types.ts'
import { fromHex, toBase64, toHex } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { TREE } from './auth.ts'
import { operations } from './operations.ts'
import { findLog, type ServedLogs } from './served-log.ts'

interface LogParams {
  readonly log: string
}

export function proofRoutes(app: FastifyInstance, logs: ServedLogs): void {
  app.get<{ Params: LogParams; Querystring: { index?: number; leaf?: string; size?: number } }>(
    '/:log/v1/proofs/inclusion',
    { config: TREE, schema: operations.proveInclusion },
    async (request): Promise<InclusionProof> => {
      const { log } = findLog(logs, request.params.log)
      const { tree } = log.head
      const { leaf, size = tree.size } = request.query
      if ((request.query.index === undefined) === (leaf === undefined))
        throw new TreelineError('UNKNOWN_PARAMETER', 'give either index or leaf')
      const index = leaf === undefined ? request.query.index : await log.store.findLeaf(fromHex(leaf)!)
      if (index === undefined) throw new TreelineError('UNKNOWN_INDEX', 'the log has no entry with this leaf hash')
      const hashes = await log.prover.inclusion(tree, index, size)
      return { index, size, leafHash: toHex(await log.prover.leaf(tree, index)), hashes: hashes.map(toBase64) }
    },
  )

  app.get<{ Params: LogParams; Querystring: { from: number; to: number } }>(
    '/:log/v1/proofs/consistency',
    { config: TREE, schema: operations.proveConsistency },
    async (request): Promise<ConsistencyProof> => {
      const { log } = findLog(logs, request.params.log)
      const { from, to } = request.query
      const hashes = await log.prover.consistency(log.head.tree, from, to)
      return { from, to, hashes: hashes.map(toBase64) }
    },
  )

  app.get<{ Params: LogParams }>(
    '/:log/v1/witnesses',
    { config: TREE, schema: operations.listWitnesses },
    async ({ params }): Promise<WitnessList> =>
      (await findLog(logs, params.log).log.audits()).map(({ late, why = null, audited = null, ...witness }) => ({
        ...{ ...witness, late: Math.round(late), why, audited },
      })),
  )

  app.get(
    '/v1/logs',
    { config: TREE, schema: operations.listLogs },
    async ({ reader }): Promise<LogList> =>
      Promise.all(
        [...logs.values()]
          .filter(({ log }) => reader!.may(log.name, 'tree'))
          .map(async ({ log, events }) => ({
            name: log.name,
            origin: log.origin,
            profile: log.store.profile === 'raw' ? 'raw' : 'events',
            vkey: log.vkey,
            genesis: log.store.profile === 'raw' ? null : toHex(await log.prover.leaf(log.head.tree, 0)),
            size: log.head.tree.size,
            published: log.published?.size ?? null,
            ...(log.restored && { restored: true as const }),
            ...(events?.successorOf && {
              successorOf: { ...events.successorOf, root: toBase64(events.successorOf.root) },
            }),
          })),
      ),
  )
}
