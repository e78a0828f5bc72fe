/** Everything that can be said of the file of a log: its pages, its tree, by what entries are found, its documents. */
import { TreelineError } from '../core/errors.ts'
import type { SqliteStore } from '../store/sqlite.ts'
import { type CheckReport, checkTree } from './check.ts'
import { checkDocuments, type DocumentsReport } from './check-documents.ts'

export interface CheckOptions {
  /** Leave out by what entries are found, and the documents of a log of events, which take most of the time. */
  readonly treeOnly?: boolean
  readonly progress?: (what: 'entries' | 'documents', done: number, size: number) => void
}

export interface LogReport extends CheckReport {
  readonly documents?: DocumentsReport
}

/** Throws INVALID_LOG with what is wrong. May run beside a server that writes. */
export async function checkLog(
  store: SqliteStore,
  { treeOnly = false, progress = () => {} }: CheckOptions = {},
): Promise<LogReport> {
  try {
    // Where keys are out of order, a look-up may miss what a scan finds: the pages come first.
    const [damage] = store.damage()
    if (damage !== undefined) throw new TreelineError('INVALID_LOG', damage)
    const digests = treeOnly ? [] : store.digestChecks()
    const tree = await checkTree(
      store,
      (...at) => progress('entries', ...at),
      (entries, leaves) => {
        for (const check of digests) check.add(entries, leaves)
      },
    )
    for (const check of digests) check.compare()
    if (treeOnly || store.profile === 'raw') return tree
    return { ...tree, documents: await checkDocuments(store, tree.size, (...at) => progress('documents', ...at)) }
  } catch (error) {
    throw isDamage(error) ? new TreelineError('INVALID_LOG', error.message, {}, { cause: error }) : error
  }
}

/** What SQLite says of pages that it cannot make sense of. */
export const isDamage = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && /^SQLITE_(CORRUPT|NOTADB)/.test(String(error.code))
