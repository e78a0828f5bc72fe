/** A batch of envelopes, one to a line: each is judged alone and answered in order. */
import type { BatchLine } from '../../schemas/types.ts'
import { type Code, TreelineError } from '../core/errors.ts'
import { receiptDocument } from './documents.ts'
import { problemOf } from './problems.ts'
import type { EventIntake } from './served-log.ts'

type OnRejected = (code: Code) => void

const MAX_LINES = 10_000
/** Lines in flight: enough to fill a commit, and signatures of one turn of the event loop stay under 10 ms. */
const WINDOW = 64

/** Throws BODY_TOO_LARGE before anything is admitted. */
export function batchAnswers(events: EventIntake, body: Uint8Array, onRejected: OnRejected): AsyncGenerator<string> {
  const lines = split(body)
  if (lines.length > MAX_LINES)
    throw new TreelineError('BODY_TOO_LARGE', `a batch has at most ${MAX_LINES} lines, not ${lines.length}`)
  return answers(events, lines, onRejected)
}

async function* answers(
  events: EventIntake,
  lines: readonly Uint8Array[],
  onRejected: OnRejected,
): AsyncGenerator<string> {
  for (let at = 0; at < lines.length; at += WINDOW) {
    const window = lines.slice(at, at + WINDOW).map((line, i) => answer(events, line, at + i + 1, onRejected))
    for (const one of await Promise.all(window)) yield `${JSON.stringify(one)}\n`
  }
}

async function answer(
  events: EventIntake,
  line: Uint8Array,
  number: number,
  onRejected: OnRejected,
): Promise<BatchLine> {
  try {
    const admitted = await events.submit(line)
    const { created, elsewhere } = admitted
    const receipt = await receiptDocument(elsewhere ?? events.log, admitted, elsewhere?.published)
    return { line: number, status: created ? 201 : 200, receipt }
  } catch (error) {
    // A bug ends the answer where it stands: the client sees it cut off, and asks again.
    if (!(error instanceof TreelineError)) throw error
    onRejected(error.code)
    const problem = problemOf(error, true)
    return { line: number, status: problem.status, problem }
  }
}

/** At newlines; the last one may lack its own, and an empty line is an envelope like any other. */
function split(body: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = []
  let start = 0
  while (start < body.length) {
    const end = body.indexOf(0x0a, start)
    lines.push(body.subarray(start, end < 0 ? body.length : end))
    start = end < 0 ? body.length : end + 1
  }
  return lines
}
