import type { FastifyInstance } from 'fastify'
import type { Projections } from '../log/projections.ts'
import { addRaw } from '../log/raw.ts'
import { type AppOptions, prepareApp } from './app.ts'
import { OPEN } from './auth.ts'
import { changeRoutes } from './changes.ts'
import { eventRoutes } from './events.ts'
import { explorerRoutes, readExplorer } from './explorer.ts'
import { healthRoutes } from './health.ts'
import { answerInTurn } from './in-turn.ts'
import { lineageRoutes } from './lineage.ts'
import { listRoutes } from './list.ts'
import { logListRoutes } from './log-list.ts'
import { Metrics, metricsRoute } from './metrics.ts'
import { pageRoutes } from './page.ts'
import { proofRoutes } from './proofs.ts'
import { rawRoutes } from './raw.ts'
import { findLog, type ServedLogs } from './served-log.ts'
import { type StreamLimits, streamRoute } from './stream.ts'
import { tileRoutes } from './tiles.ts'

export interface ServerOptions extends AppOptions {
  /** Largest body of a batch of events, bytes. */
  readonly batchBytes: number
  /** How long an answer may be held back for witnesses, ms. */
  readonly waitLimit: number
  /** Search and lineage of the logs with events. */
  readonly projections?: Projections | undefined
  readonly streams?: StreamLimits
  /** Folder of the built explorer. Where there is none, / is the plain page. */
  readonly explorer?: string
}

/** All routes over the given logs; the caller listens and closes. */
export async function buildServer(logs: ServedLogs, options: ServerOptions): Promise<FastifyInstance> {
  const { gate = { readerOf: () => OPEN }, metrics = new Metrics() } = options
  const app = await prepareApp(logs, { ...options, gate, metrics })
  metrics.watch(logs, options.projections)
  healthRoutes(app, logs, gate)
  metricsRoute(app, metrics)
  const explorer = options.explorer === undefined ? undefined : readExplorer(options.explorer)
  if (explorer !== undefined) explorerRoutes(app, explorer)
  await pageRoutes(app, logs, explorer === undefined)
  logListRoutes(app, logs)
  tileRoutes(app, logs)
  rawRoutes(app, logs, (log, entry) => addRaw(findLog(logs, log).log, entry))
  proofRoutes(app, logs)
  eventRoutes(app, logs, {
    batchBytes: options.batchBytes,
    waitLimit: options.waitLimit,
    onRejected: (log, code) => metrics.rejected(log, code),
  })
  changeRoutes(app, logs)
  listRoutes(app, logs, options.projections)
  lineageRoutes(app, logs, options.projections)
  streamRoute(app, logs, gate, options.streams)
  await app.ready()
  answerInTurn(app.server)
  return app
}
