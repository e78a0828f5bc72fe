/** treeline-server, of which SIGUSR2 ends one thread that serves: as a bug in it would, without a word to anybody. */
import type { Worker } from 'node:worker_threads'
import { main } from '../../cmd/cli.ts'
import { serveCommand } from '../../cmd/server/serve.ts'

const serving: Worker[] = []
process.on('worker', (worker: Worker & { readonly threadName?: string | null }) => {
  if (worker.threadName?.startsWith('serves')) serving.push(worker)
})
process.on('SIGUSR2', () => void serving.shift()?.terminate())

await main('mortal-server', 'Loses threads.', [serveCommand])
