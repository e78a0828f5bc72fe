/** One parser, what it must hold, and the search for bytes with which it does not. */
import { TreelineError } from '../../../src/core/errors.ts'
import { mutate, swell } from './mutate.ts'
import { Random } from './random.ts'

export interface Target {
  readonly name: string
  /** Valid inputs, or such as lie near the edge. */
  readonly corpus: readonly Uint8Array[]
  /** Throws TreelineError for what it refuses. */
  readonly parse: (bytes: Uint8Array) => unknown
  /** What is wrong with accepting these bytes as this value, if anything. */
  readonly law?: (value: unknown, bytes: Uint8Array) => string | undefined
  /** Makes an input that must be refused out of one that need not be. */
  readonly poison?: (bytes: Uint8Array, random: Random) => Uint8Array | undefined
}

export interface Found {
  readonly why: string
  readonly input: Uint8Array
}

export interface Searched {
  readonly tried: number
  readonly accepted: number
  /** Places that refused, and kinds of what was accepted. */
  readonly outcomes: number
  readonly found?: Found
}

/** Of the slowest input: this, and so much for each of its bytes, ms. Other work on the machine must not be a finding. */
const LONG = 150
const LONG_PER_BYTE = 0.01
/** Inputs that were kept because they led somewhere new. */
const KEPT = 400

/**
 * Changes inputs until something is found or the time is up. An input that makes the parser refuse at another place, or for another reason, than any
 * before is changed further: so the search goes deeper into a parser than its corpus.
 */
export function search({ name, corpus, parse, law, poison }: Target, seed: number, ms: number): Searched {
  const random = new Random(seed, name)
  const kept = [...corpus]
  const outcomes = new Set<string>()
  const deadline = performance.now() + ms
  let tried = 0
  let accepted = 0

  const judge = (input: Uint8Array, mustRefuse = false): string | undefined => {
    const began = performance.now()
    let outcome: string
    let value: unknown
    let refused = false
    try {
      value = parse(input)
      outcome = `accepted ${Math.floor(Math.log2(input.length + 1))}`
    } catch (error) {
      if (!(error instanceof TreelineError)) return `throws ${String(error)}\n${(error as Error).stack ?? ''}`
      refused = true
      outcome = `${placeOf(error)} ${error.code} ${error.message.replace(/[0-9]+|"[^"]*"/g, '#').slice(0, 60)}`
    }
    const took = performance.now() - began
    if (took > LONG + LONG_PER_BYTE * input.length && slow(parse, input))
      return `takes ${took.toFixed(0)} ms for ${input.length} bytes`
    tried++
    if (!refused) {
      accepted++
      if (mustRefuse) return 'is accepted'
      const broken = law?.(value, input)
      if (broken !== undefined) return broken
    }
    if (!outcomes.has(outcome)) {
      outcomes.add(outcome)
      if (kept.length < KEPT + corpus.length) kept.push(input)
    }
    return undefined
  }

  for (const input of corpus) {
    const why = judge(input)
    if (why !== undefined) return { tried, accepted, outcomes: outcomes.size, found: { why, input } }
  }
  while (performance.now() < deadline) {
    const base = random.of(kept)
    const turn = random.below(200)
    const poisoned = poison !== undefined && turn < 60 ? poison(random.of(corpus), random) : undefined
    const input = poisoned ?? (turn === 199 ? swell(base, random) : mutate(base, random, kept))
    const why = judge(input, poisoned !== undefined)
    if (why === undefined) continue
    const fails = (bytes: Uint8Array): boolean => judge(bytes) !== undefined
    const shortest = poisoned === undefined && !why.startsWith('takes') ? shrink(input, fails) : input
    return { tried, accepted, outcomes: outcomes.size, found: { why, input: shortest } }
  }
  return { tried, accepted, outcomes: outcomes.size }
}

/** Whether it is slow three times more. */
function slow(parse: (bytes: Uint8Array) => unknown, input: Uint8Array): boolean {
  for (let i = 0; i < 3; i++) {
    const began = performance.now()
    try {
      parse(input)
    } catch {
      // Only the time counts.
    }
    if (performance.now() - began <= LONG + LONG_PER_BYTE * input.length) return false
  }
  return true
}

/** Where in our code it was thrown: the first line of the stack that is no constructor of errors. */
function placeOf({ stack = '' }: Error): string {
  return /at (?!malformed|wrong|invalid|refused)[^\n]*?\/((?:src|witness)\/[^\n)]+)/.exec(stack)?.[1] ?? ''
}

/** Cuts pieces out for as long as it still fails. */
function shrink(input: Uint8Array, fails: (bytes: Uint8Array) => boolean): Uint8Array {
  let best = input
  for (let size = best.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size <= best.length; ) {
      const shorter = new Uint8Array(best.length - size)
      shorter.set(best.subarray(0, at))
      shorter.set(best.subarray(at + size), at)
      if (fails(shorter)) best = shorter
      else at += size
    }
  }
  return best
}
