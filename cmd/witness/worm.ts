/** The copies in write-once storage, as `run` keeps them beside the audits. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { TreelineError } from '../../src/core/errors.ts'
import type { Alerts } from '../../witness/alerts.ts'
import { loadSnapshotSigner } from '../../witness/cosigner.ts'
import type { Logger } from '../../witness/http.ts'
import type { FollowedLog } from '../../witness/log-list.ts'
import { LogReader } from '../../witness/log-reader.ts'
import type { Metrics } from '../../witness/metrics.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import type { WitnessState } from '../../witness/state.ts'
import { Copies } from '../../witness/worm/copies.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { Snapshotter } from '../../witness/worm/snapshot.ts'

interface WormParts {
  readonly data: string
  /** As `--worm` has it. */
  readonly spec: string
  readonly interval: number
  /** Whether lost sealing keys may be replaced by new ones. */
  readonly newKeys: boolean
  readonly logs: readonly FollowedLog[]
  readonly state: WitnessState
  readonly alerts: Alerts
  readonly metrics: Metrics
  readonly logger: Logger
}

export interface Worm {
  readonly description: string
  readonly keys: KeyStore | undefined
  readonly copies: Copies
}

/**
 * Opens the store and has it show that it keeps what it is given. Throws WORM_BROKEN when it does not, and USAGE. One that does not answer stops
 * nobody from cosigning: it is asked again before anything is written to it.
 */
export async function openWorm({ data, spec, interval, newKeys, ...parts }: WormParts): Promise<Worm> {
  const { state, logger } = parts
  const signer = loadSnapshotSigner(data, state.name)
  const store = await openStore(spec)
  const keys = openKeys(data, parts.logs, state, newKeys)
  try {
    const verifier = logVerifier(signer.key)
    const logs = parts.logs.flatMap((log) => {
      if (log.url === undefined) return []
      const reader = new LogReader(log.url, log.tokenFile)
      const snapshotter = new Snapshotter({
        ...{ log, reader, state, store, signer, verifier, now: Date.now, logger },
        keys: log.keeper ? keys : undefined,
      })
      return [{ origin: log.origin, reader, snapshotter }]
    })
    const copies = new Copies({ ...parts, logs, store, interval, now: Date.now })
    await copies.probe().catch((error: unknown) => {
      if (!(error instanceof TreelineError) || error.code !== 'UNREACHABLE') throw error
      logger.warn({ why: error.message }, 'the store of copies does not answer')
    })
    return { description: store.description, keys, copies }
  } catch (error) {
    keys?.close()
    await store.close()
    throw error
  }
}

/** Where nothing is sealed there is no file of keys. A lost one is not replaced in silence: what it sealed can never be opened again. */
function openKeys(
  data: string,
  logs: readonly FollowedLog[],
  state: WitnessState,
  newKeys: boolean,
): KeyStore | undefined {
  const origins = logs.filter(({ keeper }) => keeper).map(({ origin }) => origin)
  if (origins.length === 0) return undefined
  const file = join(data, 'keys.db')
  const sealed = origins.filter((origin) => state.copies.snapshot(origin)?.sealed)
  const lost = (what: readonly string[]) =>
    new TreelineError(
      'USAGE',
      `the keys that sealed the copies of ${what.join(', ')} are not in ${file}: treeline-witness keys import brings them ` +
        'from a backup. With --new-keys later copies get new ones, and the payloads in those that are there stay closed for ever',
    )
  if (!newKeys && sealed.length > 0 && !existsSync(file)) throw lost(sealed)
  const keys = new KeyStore(file)
  try {
    const missing = sealed.filter((origin) => !keys.has(origin))
    if (!newKeys && missing.length > 0) throw lost(missing)
    for (const origin of origins) keys.addOrigin(origin)
    return keys
  } catch (error) {
    keys.close()
    throw error
  }
}
