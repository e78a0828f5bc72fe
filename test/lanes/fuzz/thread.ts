/** A thread of the lane: searches what it is told to, one after the other. */
import { parentPort } from 'node:worker_threads'
import { BROKEN } from './broken.ts'
import { type Searched, search } from './target.ts'
import { TARGETS } from './targets.ts'

export interface Search {
  /** Of a target, or of a broken parser. */
  readonly name: string
  readonly seed: number
  readonly ms: number
}

export interface Report {
  readonly name: string
  /** Inputs that it begins with: a search that tried no more has tried nothing. */
  readonly least: number
  readonly searched: Searched
}

parentPort!.on('message', ({ name, seed, ms }: Search) => {
  const target = [...TARGETS, ...BROKEN].find((one) => one.name === name)!
  parentPort!.postMessage({ name, least: target.corpus.length, searched: search(target, seed, ms) } satisfies Report)
})
