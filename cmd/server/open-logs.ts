import { formatVkey } from '../../src/core/vkey.ts'
import type { WitnessPolicy } from '../../src/core/witness-policy.ts'
import type { ServedLog } from '../../src/http/served-log.ts'
import type { Clocks } from '../../src/log/clock.ts'
import { EventLog } from '../../src/log/events.ts'
import type { Keeper } from '../../src/log/keeper.ts'
import { Log, type LogOptions } from '../../src/log/log.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { logFiles, logNames } from '../../src/store/folder.ts'
import { lockData } from '../../src/store/lock.ts'
import { loadLogSigner } from '../../src/store/log-key.ts'
import { plain } from '../../src/store/plain.ts'
import { readSecretFile } from '../../src/store/secret-file.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import { usage } from '../cli.ts'

export interface OpenLogs {
  readonly logs: ReadonlyMap<string, ServedLog>
  /** Everything accepted is durable when it resolves, and another server may open the folder. */
  close(): Promise<void>
}

export interface OpenOptions {
  readonly data: string
  readonly clocks: Clocks
  readonly log: LogOptions
  /** The witness policy of the log with this verifier key, if it has one. */
  readonly witnesses?: (vkey: string) => WitnessPolicy | undefined
  /** Nothing is erased before this witness has audited it. */
  readonly keeper?: Keeper
  /** Told of what broke, and in which log. */
  readonly onFailure: (error: unknown, log: string) => void
  /** Told when a witness of a log begins to fail. */
  readonly onLate?: (log: string, witness: string, why: string) => void
  /** Told of each commit, for whoever measures. */
  readonly onCommit?: (log: string, entries: number, seconds: number) => void
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
  wrap,
  ...told
}: OpenOptions): Promise<OpenLogs> {
  const names = logNames(data)
  // Never makes one: a mistyped path must not silently start an empty log.
  if (names.length === 0) throw usage(`there is no log in ${data}: treeline-server init makes one`)
  const lock = lockData(data)
  const logs = new Map<string, ServedLog>()
  const close = async (): Promise<void> => {
    for (const { log } of logs.values()) await log.close()
    await keeper?.close()
    lock.release()
  }
  try {
    for (const name of names) {
      const { database, key, published, blinding } = logFiles(data, name)
      const store = wrap(SqliteStore.open(database))
      const signer = loadLogSigner(key, store.origin)
      const witnesses = witnessesOf?.(formatVkey(signer.key))
      const log = await Log.open({
        name,
        store,
        signer,
        publishedFile: published,
        clocks,
        options,
        ...(witnesses && { witnesses }),
        onFailure: (error) => told.onFailure(error, name),
        onLate: (witness, why) => told.onLate?.(name, witness, why),
        onCommit: (entries, seconds) => told.onCommit?.(name, entries, seconds),
      })
      logs.set(name, { log })
      if (store.profile === 'raw') continue
      const otherPolicies = () =>
        [...logs.values()].flatMap((other) => (other.log === log ? [] : (other.events?.policy.policy ?? [])))
      const secret = plain(readSecretFile(blinding))
      logs.set(name, {
        log,
        events: await EventLog.open({
          log,
          blinding: secret,
          verify: nativeVerify,
          otherPolicies,
          ...(keeper && { audited: () => keeper.audited(log.origin) }),
        }),
      })
    }
  } catch (error) {
    await close()
    throw error
  }
  return { logs, close }
}
