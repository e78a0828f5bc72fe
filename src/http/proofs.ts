/** Proofs for any sizes up to the committed head. */
import type { FastifyInstance } from 'fastify'
import type { ConsistencyProof, InclusionProof } from '../../schemas/types.ts'
import { fromHex, toBase64, toHex } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { TREE } from './auth.ts'
import { operations } from './operations.ts'
import { type FrontLogs, findLog } from './served-log.ts'

interface LogParams {
  readonly log: string
}

export function proofRoutes(app: FastifyInstance, logs: FrontLogs): void {
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
}
