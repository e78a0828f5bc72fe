import { existsSync } from 'node:fs'
import type { Hash } from '../../src/core/merkle.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import type { WitnessPolicy } from '../../src/core/witness-policy.ts'
import type { ServedLog } from '../../src/http/served-log.ts'
import type { Clocks } from '../../src/log/clock.ts'
import { EventLog } from '../../src/log/events.ts'
import type { Keeper } from '../../src/log/keeper.ts'
import { KeyRates } from '../../src/log/key-rates.ts'
import { type Log, type LogOptions, SigningLog } from '../../src/log/log.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { Projections } from '../../src/log/projections.ts'
import type { PublishedHead } from '../../src/log/published-heads.ts'
import { RestoredLog } from '../../src/log/restored-log.ts'
import type { SignedHead } from '../../src/log/sequencer.ts'
import { chainOf, requireSucceeded } from '../../src/log/successor.ts'
import type { SharedLog } from '../../src/log/workers/gateway.ts'
import { logFiles, logNames } from '../../src/store/folder.ts'
import { lockData } from '../../src/store/lock.ts'
import { loadLogSigner, loadLogVkey } from '../../src/store/log-key.ts'
import { plain } from '../../src/store/plain.ts'
import { readSecretFile } from '../../src/store/secret-file.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import { usage } from '../cli.ts'

export interface OpenLogs {
  readonly logs: ReadonlyMap<string, ServedLog>
  /** The same with what other threads of the process need to open them. */
  readonly shared: ReadonlyMap<string, SharedLog>
  /** Search and lineage; absent where there is no log with events. */
  readonly projections: Projections | undefined
  /** Everything accepted is durable when it resolves, and another server may open the folder. */
  close(): Promise<void>
}

export interface OpenOptions {
  readonly data: string
  readonly clocks: Clocks
  readonly log: LogOptions
  /** The witness policy of the log with this verifier key, if it has one. */
  readonly witnesses?: (vkey: string) => WitnessPolicy | undefined
  /** Events a minute of one signer; absent where there is no limit. */
  readonly keyRate?: number
  /** Nothing is erased before this witness has audited it. */
  readonly keeper?: Keeper
  /** Told of what broke, and in which log. */
  readonly onFailure: (error: unknown, log: string) => void
  /** Told of what broke in the index of a log; the log goes on. */
  readonly onIndexFailure?: (error: unknown, log: string) => void
  /** Told when a witness of a log begins to fail. */
  readonly onLate?: (log: string, witness: string, why: string) => void
  /** Told, once at the start, of what an operator should know of a log. */
  readonly onNotice?: (log: string, what: string) => void
  /** Told of each commit, for whoever measures. */
  readonly onCommit?: (log: string, entries: number, seconds: number) => void
  /** Told of each head of a log once it is signed, with the leaf hashes that it added, of each published one, and of each new policy. */
  readonly onHead?: (log: string, head: SignedHead, added: readonly Hash[]) => void
  readonly onPublished?: (log: string, head: PublishedHead) => void
  readonly onPolicy?: (log: string, events: EventLog) => void
  /** Put before each store: tests break the product on purpose with it. */
  readonly wrap: (store: Store) => Store
}

/** Takes the lock of a data folder and opens its logs. Throws USAGE when there is none, and LOCKED. */
export async function openLogs({
  data,
  clocks,
  log: options,
  witnesses: witnessesOf,
  keeper,
  keyRate,
  wrap,
  ...told
}: OpenOptions): Promise<OpenLogs> {
  const names = logNames(data)
  // Never makes one: a mistyped path must not silently start an empty log.
  if (names.length === 0) throw usage(`there is no log in ${data}: treeline-server init makes one`)
  const lock = lockData(data)
  const logs = new Map<string, ServedLog>()
  const secrets = new Map<string, Uint8Array>()
  const chains = new Map<EventLog, readonly EventLog[]>()
  let projections: Projections | undefined
  const close = async (): Promise<void> => {
    for (const { log } of logs.values()) await log.close()
    await projections?.close()
    await keeper?.close()
    lock.release()
  }
  try {
    for (const name of names) {
      const store = wrap(SqliteStore.open(logFiles(data, name).database))
      const log = await (store.restored ? openRestored(name, store) : openSigning(name, store))
      logs.set(name, { log })
      if (store.profile === 'raw') continue
      const secret = secretOf(log)
      if (secret !== undefined) secrets.set(name, secret)
      const others = () => [...logs.values()].flatMap(({ events }) => events ?? [])
      const events: EventLog = await EventLog.open({
        log,
        ...(secret && { blinding: secret }),
        verify: nativeVerify,
        otherPolicies: () =>
          others()
            .filter((other) => other !== events && !before(events).includes(other))
            .map((other) => other.policy.policy),
        predecessors: () => before(events),
        ...(keyRate && { rates: new KeyRates(keyRate) }),
        onPolicy: (changed) => told.onPolicy?.(name, changed),
        ...(keeper && { audited: () => keeper.audited(log.origin) }),
        eraseDerived: async (indexes) => (await projections?.erase(name, indexes)) ?? true,
      })
      logs.set(name, { log, events })
    }
    await link()
    projections = project()
  } catch (error) {
    await close()
    throw error
  }
  const shared = new Map(
    [...logs].map(([name, served]) => [
      name,
      { ...served, database: logFiles(data, name).database, blinding: secrets.get(name) },
    ]),
  )
  return { logs, shared, projections, close }

  function openSigning(name: string, store: Store): Promise<SigningLog> {
    const { key, published } = logFiles(data, name)
    const signer = loadLogSigner(key, store.origin)
    const witnesses = witnessesOf?.(formatVkey(signer.key))
    return SigningLog.open({
      name,
      store,
      signer,
      publishedFile: published,
      clocks,
      options,
      ...(witnesses && { witnesses }),
      onFailure: (error) => told.onFailure(error, name),
      onHead: (head, added) => told.onHead?.(name, head, added),
      onPublished: (head) => told.onPublished?.(name, head),
      onLate: (witness, why) => told.onLate?.(name, witness, why),
      onCommit: (entries, seconds) => {
        told.onCommit?.(name, entries, seconds)
        projections?.wake(name)
      },
    })
  }

  /** Whatever lies in the folder, no private key is read. */
  async function openRestored(name: string, store: Store): Promise<RestoredLog> {
    const { key: secretKey, vkey, published } = logFiles(data, name)
    const key = loadLogVkey(vkey, store.origin)
    const witnesses = witnessesOf?.(formatVkey(key))
    const log = await RestoredLog.open({ name, store, key, publishedFile: published, ...(witnesses && { witnesses }) })
    if (existsSync(secretKey)) told.onNotice?.(name, `${secretKey} is not used: a restored log never signs`)
    return log
  }

  function secretOf({ name, restored }: Log): Uint8Array | undefined {
    const file = logFiles(data, name).blinding
    if (!restored || existsSync(file)) return plain(readSecretFile(file))
    told.onNotice?.(name, `${file} is missing: the log that succeeds this one does not know the events that it has`)
    return undefined
  }

  function project(): Projections | undefined {
    const indexed = [...logs].filter(([, { events }]) => events !== undefined)
    if (indexed.length === 0) return undefined
    return new Projections({
      logs: indexed.map(([name]) => ({ name, ...logFiles(data, name) })),
      onFailure: (error, log) => (told.onIndexFailure ?? told.onFailure)(error, log),
      onRenewed: (log, why) => told.onNotice?.(log, `its index is made again from the log: ${why}`),
    })
  }

  /** The logs before one; known once all are open. */
  function before(events: EventLog): readonly EventLog[] {
    return chains.get(events) ?? []
  }

  async function link(): Promise<void> {
    const named = (origin: string) => [...logs.values()].filter(({ log }) => log.origin === origin)
    for (const { log, events } of logs.values()) {
      if (events?.successorOf == null) continue
      const { successorOf } = events
      const predecessors = named(successorOf.origin)
      for (const predecessor of predecessors) await requireSucceeded(events, successorOf, predecessor.log)
      if (predecessors.length === 0)
        told.onNotice?.(
          log.name,
          `${successorOf.origin}, which it succeeds, is not here: the events that it has are not known`,
        )
      chains.set(
        events,
        chainOf(successorOf, (origin) => named(origin)[0]?.events),
      )
    }
  }
}
