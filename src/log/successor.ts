/**
 * A log that takes the place of another one: new origin, new key, and a genesis that names what witnesses have seen of the one before. It may
 * only follow a log that never signs again, or there would be two.
 */
import { equal } from '../core/bytes.ts'
import { ed25519NoteVerifier } from '../core/ed25519.ts'
import { TreelineError } from '../core/errors.ts'
import { ED25519, parseNote, verifierKey, verifyNote } from '../core/note.ts'
import { parseVkey } from '../core/vkey.ts'
import type { Predecessor, WritePolicy } from '../core/write-policy.ts'
import { logFiles } from '../store/folder.ts'
import { loadLogVkey } from '../store/log-key.ts'
import type { Store } from '../store/store.ts'
import type { EventLog } from './events.ts'
import type { Log } from './log.ts'
import { loadTree, Prover } from './prover.ts'

/** The logs before one, the nearest first, for as long as `find` has them. */
export function chainOf<T extends { readonly successorOf: Predecessor | null }>(
  first: Predecessor | null,
  find: (origin: string) => T | undefined,
): T[] {
  const chain: T[] = []
  let next = first && find(first.origin)
  // Roots make a circle impossible; a policy that nobody has held against its predecessor could still spell one.
  while (next != null && !chain.includes(next)) {
    chain.push(next)
    next = next.successorOf && find(next.successorOf.origin)
  }
  return chain
}

/** A log of a data folder, as init finds it. */
export interface LogInFolder {
  readonly name: string
  readonly store: Store
  readonly successorOf: Predecessor | null
  /** Oldest first; none of a raw log. */
  readonly policies: readonly WritePolicy[]
}

/**
 * Whether a log of this data folder may be succeeded, if it is here at all: `note` is the signed checkpoint that says what of it. Throws USAGE.
 */
export async function checkPredecessor(
  data: string,
  logs: readonly LogInFolder[],
  predecessor: Predecessor,
  note: Uint8Array,
): Promise<void> {
  const { origin, size, root } = predecessor
  for (const { name, store } of logs.filter((log) => log.store.origin === origin)) {
    if (!store.restored)
      throw refused(
        `${name} is ${origin} itself and would go on signing: only a log that was restored, and so never signs again, is succeeded`,
      )
    try {
      verifyNote(parseNote(note), [ed25519NoteVerifier(loadLogVkey(logFiles(data, name).vkey, origin))])
    } catch (error) {
      if (!(error instanceof TreelineError)) throw error
      throw refused(`the checkpoint is not one that ${name} has signed: ${error.message}`)
    }
    const tree = await loadTree(store)
    if (tree.size < size || !equal(await new Prover(store).root(tree, size), root))
      throw refused(`the checkpoint of size ${size} is not one of ${name}, which has size ${tree.size}`)
  }
}

/** The keys of a log and of the one before it: a new key for the log, and each key in one role only. Throws USAGE. */
export function checkKeys(
  vkey: string,
  predecessor: Predecessor,
  note: Uint8Array,
  policies: readonly WritePolicy[],
  policy: WritePolicy | undefined,
): void {
  const { publicKey } = parseVkey(vkey)
  if (hasSigned(publicKey, predecessor.origin, note))
    throw refused('the key of the new log is that of the one before: whoever holds that one could sign for both')
  for (const old of policies) {
    const people = [...old.administrators.keys, ...old.signers.map(({ key }) => key)]
    if (
      [...old.logKeys.map((key) => key.publicKey), ...people.map(({ raw }) => raw)].some((key) => equal(key, publicKey))
    )
      throw refused(`the key of the new log stands in a policy of ${old.origin}`)
    const now = [...(policy?.administrators.keys ?? []), ...(policy?.signers.map(({ key }) => key) ?? [])]
    for (const { publicKey: logKey } of old.logKeys) {
      const taken = now.find(({ raw }) => equal(raw, logKey))
      if (taken !== undefined) throw refused(`${taken.id} was a key of the log ${old.origin} itself`)
    }
  }
}

/** Also where that log is not at hand: under its origin, the same key has signed the checkpoint. */
function hasSigned(publicKey: Uint8Array, origin: string, note: Uint8Array): boolean {
  try {
    verifyNote(parseNote(note), [ed25519NoteVerifier(verifierKey(origin, ED25519, publicKey))])
    return true
  } catch (error) {
    if (error instanceof TreelineError) return false
    throw error
  }
}

/** Whether a mounted log is the one that a policy names, and never signs. Throws USAGE: a server that held both would serve two presents. */
export async function requireSucceeded(by: EventLog, { origin, size, root }: Predecessor, log: Log): Promise<void> {
  if (!log.restored)
    throw refused(
      `${by.log.name} succeeds ${origin}, but the log ${log.name} is ${origin} itself and signs: take one of the two out of the data folder`,
    )
  if (log.head.tree.size < size || !equal(await log.prover.root(log.head.tree, size), root))
    throw refused(
      `${by.log.name} succeeds ${origin} at size ${size}, and ${log.name} (size ${log.head.tree.size}) has not that tree: it was restored from another copy`,
    )
}

const refused = (why: string): TreelineError => new TreelineError('USAGE', why)
