/** The thread that answers questions to the indexes, one at a time: however long one takes, nobody's event waits for it. */
import { parentPort, workerData } from 'node:worker_threads'
import { IndexReader } from '../store/index-reader.ts'
import { SqliteStore } from '../store/sqlite.ts'
import { type IndexedLog, PolicyLists } from './indexer.ts'
import { type LineageAnswer, type LineageQuestion, traceLineage } from './lineage-source.ts'
import { type ListAnswer, type ListQuestion, type OpenIndex, search } from './search.ts'

export type Question =
  | { readonly kind: 'list'; readonly question: ListQuestion }
  | { readonly kind: 'lineage'; readonly question: LineageQuestion }

export type QueryRequest =
  | { readonly kind: 'ask'; readonly ask: Question }
  /** The file is another one now. */
  | { readonly kind: 'reopen'; readonly log: string }
  | { readonly kind: 'close' }

export type QueryReport =
  | { readonly answer: ListAnswer | LineageAnswer }
  /** `broken`: the log whose index cannot be read. */
  | { readonly code: string; readonly message: string; readonly broken: string | undefined }

const files = new Map((workerData as readonly IndexedLog[]).map((log) => [log.name, log]))
const opened = new Map<string, OpenIndex>()
let current: string | undefined

/** Undefined while there is none: it was never made, or is made again. */
function open(log: string): OpenIndex | undefined {
  current = log
  const known = opened.get(log)
  if (known !== undefined) return known
  const { index, database } = files.get(log)!
  const reader = IndexReader.open(index)
  if (reader === undefined) return undefined
  const store = SqliteStore.open(database, { readonly: true })
  const made = { reader, store, policies: new PolicyLists(store) }
  opened.set(log, made)
  return made
}

function close(log: string): void {
  const { reader, store } = opened.get(log) ?? {}
  opened.delete(log)
  reader?.close()
  void store?.close()
}

function answer(ask: Question): ListAnswer | LineageAnswer {
  if (ask.kind === 'list') {
    const index = open(ask.question.log)
    return index === undefined
      ? { indexes: [], next: null, completeTo: 0 }
      : index.reader.snapshot(() => search(index, ask.question))
  }
  const indexes = ask.question.logs.flatMap((log) => {
    const index = open(log.name)
    return index === undefined ? [] : { ...index, ...log }
  })
  // One state of each log, for the time of the walk.
  const walk = indexes.reduce(
    (inner, { reader }) =>
      () =>
        reader.snapshot(inner),
    () =>
      traceLineage(
        indexes.map((log) => ({ ...log, size: Math.min(log.size, log.reader.size) })),
        ask.question,
      ),
  )
  return walk()
}

const port = parentPort!

port.on('message', (request: QueryRequest) => {
  if (request.kind === 'close') {
    for (const log of [...opened.keys()]) close(log)
    port.close()
  } else if (request.kind === 'reopen') close(request.log)
  else {
    current = undefined
    let report: QueryReport
    try {
      report = { answer: answer(request.ask) }
    } catch (error) {
      const { code = '', message } = error as { code?: string; message: string }
      report = { code, message, broken: current }
      if (current !== undefined) close(current)
    }
    port.postMessage(report)
  }
})
