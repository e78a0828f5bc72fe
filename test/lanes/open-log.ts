/** The log `test` of a data folder, opened as a server opens it, without HTTP, search and lineage. */
import { readFileSync } from 'node:fs'
import { systemClocks } from '../../src/log/clock.ts'
import { EventLog } from '../../src/log/events.ts'
import { SigningLog } from '../../src/log/log.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import type { PublishedHead } from '../../src/log/published-heads.ts'
import { logFiles } from '../../src/store/folder.ts'
import { loadLogSigner } from '../../src/store/log-key.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'

interface OpenOptions {
  readonly wrap?: (store: Store) => Store
  readonly onPublished?: (head: PublishedHead) => void
}

export async function openLog(
  data: string,
  { wrap = (store) => store, onPublished = () => {} }: OpenOptions = {},
): Promise<{ readonly log: SigningLog; readonly events: EventLog }> {
  const files = logFiles(data, 'test')
  const store = wrap(SqliteStore.open(files.database))
  const limits = { queueEntries: 1_000, queueBytes: 2 ** 24, batchEntries: 256, batchBytes: 2 ** 22 }
  const log = await SigningLog.open({
    ...{ name: 'test', store, clocks: systemClocks, publishedFile: files.published },
    signer: loadLogSigner(files.key, store.origin),
    options: { ...limits, publishInterval: 1, acceptClock: true, witnessTimeout: 1_000 },
    onFailure: () => {},
    onLate: () => {},
    onCommit: () => {},
    onPublished,
  })
  const blinding = new Uint8Array(readFileSync(files.blinding))
  const events = await EventLog.open({ log, blinding, verify: nativeVerify, otherPolicies: () => [] })
  return { log, events }
}
