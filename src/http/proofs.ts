/** Proofs for any sizes up to the committed head, and the list of logs. */
import type { FastifyInstance } from 'fastify'
import { fromHex, toBase64, toHex } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { HASH, NUMBER, query } from './query.ts'
import { findLog, type ServedLogs } from './served-log.ts'

interface LogParams {
  readonly log: string
}

export function proofRoutes(app: FastifyInstance, logs: ServedLogs): void {
  app.get<{ Params: LogParams; Querystring: { index?: string; leaf?: string; size?: string } }>(
    '/:log/v1/proofs/inclusion',
    { schema: { querystring: query({ index: NUMBER, leaf: HASH, size: NUMBER }) } },
    async (request) => {
      const { log } = findLog(logs, request.params.log)
      const { tree } = log.head
      const size = request.query.size === undefined ? tree.size : Number(request.query.size)
      const { index: indexText, leaf } = request.query
      if ((indexText === undefined) === (leaf === undefined))
        throw new TreelineError('UNKNOWN_PARAMETER', 'give either index or leaf')
      const [index] = leaf === undefined ? [Number(indexText)] : await log.store.findLeaf(fromHex(leaf)!)
      if (index === undefined) throw new TreelineError('UNKNOWN_INDEX', 'the log has no entry with this leaf hash')
      const hashes = await log.prover.inclusion(tree, index, size)
      return { index, size, leafHash: toHex(await log.prover.leaf(tree, index)), hashes: hashes.map(toBase64) }
    },
  )

  app.get<{ Params: LogParams; Querystring: { from: string; to: string } }>(
    '/:log/v1/proofs/consistency',
    { schema: { querystring: query({ from: NUMBER, to: NUMBER }, ['from', 'to']) } },
    async (request) => {
      const { log } = findLog(logs, request.params.log)
      const from = Number(request.query.from)
      const to = Number(request.query.to)
      const hashes = await log.prover.consistency(log.head.tree, from, to)
      return { from, to, hashes: hashes.map(toBase64) }
    },
  )

  app.get('/v1/logs', { schema: { querystring: query({}) } }, async () =>
    Promise.all(
      [...logs.values()].map(async ({ log }) => ({
        name: log.name,
        origin: log.origin,
        profile: log.store.profile,
        vkey: log.vkey,
        genesis: log.store.profile === 'raw' ? null : toHex(await log.prover.leaf(log.head.tree, 0)),
        size: log.head.tree.size,
        published: log.published?.tree.size ?? null,
      })),
    ),
  )
}
