/**
 * A fixed piece of a log's life, to be hurt at any of its system calls: opened, appended to one by one and at once, published, redacted, closed. Every
 * promise goes to standard output before the next step, in one write, so that a kill cannot take it back.
 *
 *   node syscall-log.ts DATA WORK.json [early]
 */
import { readFileSync, writeSync } from 'node:fs'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { addendumDigest } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { Commit, Store } from '../../src/store/store.ts'
import { openLog } from './open-log.ts'

/** What the lane has prepared: signing costs time, and no two runs may differ. */
export interface LogWork {
  /** Events, appended one after the other. */
  readonly single: readonly string[]
  /** And at once, so that one commit fills a tile. */
  readonly together: readonly string[]
  readonly redaction: string
}

export type Promised =
  | { readonly kind: 'event'; readonly index: number; readonly digest: string; readonly note: string }
  | { readonly kind: 'redacted'; readonly indexes: readonly number[]; readonly erased: boolean }
  | { readonly kind: 'published'; readonly note: string }
  | { readonly kind: 'refused'; readonly code: string }

process.on('SIGXFSZ', () => {})
const [data = '', work = '', early] = process.argv.slice(2)
const { single, together, redaction } = JSON.parse(readFileSync(work, 'utf8')) as LogWork
const promise = (promised: Promised): void => void writeSync(1, `${JSON.stringify(promised)}\n`)

/** Answers before it commits, for the lane to find out. */
function hasty(store: Store): Store {
  let last = Promise.resolve()
  return new Proxy(store, {
    get(target, name) {
      if (name === 'commit')
        return async (commit: Commit) => {
          last = last
            .then(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))
            .then(() => store.commit(commit))
          last.catch(() => {})
        }
      if (name === 'close') return () => last.catch(() => {}).then(() => store.close())
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const { log, events } = await openLog(data, {
  wrap: early === undefined ? (store) => store : hasty,
  onPublished: ({ note }) => promise({ kind: 'published', note }),
})

async function submit(text: string): Promise<void> {
  await tried(async () => {
    const { index, entry } = await events.submit(toUtf8(text))
    promise({ kind: 'event', index, digest: toHex(addendumDigest(entry)), note: log.head.note })
  })
}

/** Each step has its own published head, so that every run makes the same calls. */
const published = (): Promise<unknown> => log.covering(log.head.tree.size, 300, new AbortController().signal)

/** An answer that is a refusal promises nothing. */
async function tried(step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    promise({ kind: 'refused', code: error.code })
  }
}

await published()
for (const text of single.slice(0, 3)) {
  await submit(text)
  await published()
}
await Promise.all(together.map(submit))
await published()
await tried(async () => {
  const { indexes, erased } = await events.redact(toUtf8(redaction))
  promise({ kind: 'redacted', indexes, erased })
})
await published()
for (const text of single.slice(3)) {
  await submit(text)
  await published()
}
await log.close()
