/** A log that goes on from another: what its genesis says of that one, and whether the one that is here is it. */
import { equal, fromBase64 } from '../core/bytes.ts'
import { verifyConsistency } from '../core/merkle.ts'
import { checkEvent } from './event-check.ts'
import type { ListedLog } from './head.ts'
import type { Session } from './session.ts'
import { messageOf, type Step } from './verdict.ts'

/** The log here that one goes on from, and the one that goes on from it, as the server lists them. */
export interface Chain {
  readonly before?: ListedLog
  readonly after?: ListedLog
}

export function chainOf(log: ListedLog, logs: readonly ListedLog[]): Chain {
  const before = log.successorOf && logs.find(({ origin }) => origin === log.successorOf!.origin)
  const after = logs.find(({ successorOf }) => successorOf?.origin === log.origin)
  return { ...(before && { before }), ...(after && { after }) }
}

/** Requires a log with `successorOf`. */
export async function checkContinuity(session: Session, log: ListedLog): Promise<Step[]> {
  const said = log.successorOf!
  const steps = [await checkGenesis(session, log, said)]
  const { before } = chainOf(log, await session.logs())
  if (before !== undefined) steps.push(await checkPredecessor(session, before, said))
  return steps
}

type Said = NonNullable<ListedLog['successorOf']>

async function checkGenesis(session: Session, log: ListedLog, { origin, size, root }: Said): Promise<Step> {
  const title = 'Its genesis names the log before it'
  try {
    const { evidence } = await checkEvent(session.api, log, await session.head(log), 0)
    if (evidence === undefined)
      return {
        title,
        state: 'unverified',
        detail: 'The genesis could not be read: a token with the scope payload may be needed.',
      }
    const named = evidence.policy.policy.successorOf
    const same =
      named !== null &&
      named.origin === origin &&
      named.size === size &&
      equal(named.root, fromBase64(root) ?? new Uint8Array())
    return same
      ? { title, state: 'verified', detail: `${origin} at ${size} entries, signed by the administrators of this log.` }
      : { title, state: 'failed', detail: 'It names another one than the server says, or none.' }
  } catch (error) {
    return { title, state: 'unverified', detail: messageOf(error) }
  }
}

/** That the tree of that size, which the genesis pins, is the beginning of what this server shows as that log. */
async function checkPredecessor(session: Session, before: ListedLog, { size, root }: Said): Promise<Step> {
  const title = `The log ${before.name} here is that log`
  try {
    const head = await session.head(before)
    const pinned = fromBase64(root) ?? new Uint8Array()
    const whole = head.signed && head.size >= size
    const proof = whole ? await head.tiles.consistency(size) : []
    if (!whole || !verifyConsistency(BigInt(size), head.checkpoint.size, pinned, head.checkpoint.root, proof))
      return {
        title,
        state: 'failed',
        detail: `Its first ${size} entries do not have the root that the genesis names.`,
      }
    return { title, state: 'verified', detail: `Its first ${size} entries have the root that the genesis names.` }
  } catch (error) {
    return { title, state: 'unverified', detail: messageOf(error) }
  }
}
