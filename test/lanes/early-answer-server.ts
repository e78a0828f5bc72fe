/**
 * The product with one fault, for lanes that must notice it: a commit is reported before it is made. Runs as `serve`
 * does. A lane about durability that passes on it proves nothing.
 */
import { type Command, main } from '../../cmd/cli.ts'
import { serve, serveCommand } from '../../cmd/server/serve.ts'
import type { Commit, Store } from '../../src/store/store.ts'

/** How long an answer is ahead of its commit, ms. */
const AHEAD = 50

/** Everything as `store` does it, but `commit` resolves before the transaction. */
function early(store: Store): Store {
  let last = Promise.resolve()
  const fault: Pick<Store, 'commit' | 'close'> = {
    async commit(commit: Commit): Promise<void> {
      const later = new Promise<void>((resolve) => setTimeout(resolve, AHEAD))
      last = last.then(() => later).then(() => store.commit(commit))
    },
    async close(): Promise<void> {
      await last
      await store.close()
    },
  }
  return new Proxy(store, {
    get(target, name) {
      if (name === 'commit' || name === 'close') return fault[name]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const command: Command = { ...serveCommand, run: (options) => serve(options, early) }

await main('early-answer-server', 'Answers before it commits.', [command])
