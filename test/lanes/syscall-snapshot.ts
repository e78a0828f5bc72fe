/**
 * A fixed piece of a witness's life, to be hurt at any of its system calls: copies what was audited of a log to a folder of copies, and says so.
 *
 *   node syscall-snapshot.ts DATA WORK.json [early]
 */
import crypto from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { toUtf8 } from '../../src/core/bytes.ts'
import { loadCosigner, loadSnapshotSigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { parseLogList } from '../../witness/log-list.ts'
import { LogReader } from '../../witness/log-reader.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import { FolderStore } from '../../witness/worm/folder.ts'
import { Snapshotter } from '../../witness/worm/snapshot.ts'
import type { WormStore } from '../../witness/worm/store.ts'

export interface SnapshotWork {
  /** Of a list of logs. */
  readonly listed: unknown
  readonly size: number
  /** ms since the Unix epoch. */
  readonly now: number
}

// Names of temporary files are random, and a fault finds its call by the name of the file.
let names = 0
crypto.randomBytes = ((size: number) => Buffer.alloc(size, names++)) as typeof crypto.randomBytes
syncBuiltinESMExports()
// No file is made immutable: that is done by another program, which is not the one to be hurt.
process.env.PATH = '/nonexistent'
process.on('SIGXFSZ', () => {})

const [data = '', work = '', early] = process.argv.slice(2)
const { listed, size, now } = JSON.parse(readFileSync(work, 'utf8')) as SnapshotWork

/** Takes everything and writes nothing until it is told to: for the lane to find out. */
class Promising implements WormStore {
  readonly #store: WormStore
  readonly #held: { key: string; bytes: Uint8Array; until: number }[] = []

  constructor(store: WormStore) {
    this.#store = store
  }

  get description() {
    return this.#store.description
  }

  async put(key: string, bytes: Uint8Array, until: number) {
    this.#held.push({ key, bytes: bytes.slice(), until })
    return { key, version: '1' }
  }

  get: WormStore['get'] = (object) => this.#store.get(object)
  lockOf: WormStore['lockOf'] = (object) => this.#store.lockOf(object)
  extend: WormStore['extend'] = async () => {}
  list: WormStore['list'] = (prefix, after) => this.#store.list(prefix, after)
  probe: WormStore['probe'] = () => this.#store.probe()
  close: WormStore['close'] = () => this.#store.close()

  async keep(): Promise<void> {
    for (const { key, bytes, until } of this.#held) await this.#store.put(key, bytes, until)
  }
}

const folder = join(data, 'witness')
const state = openState(folder)
const [log] = parseLogList(toUtf8(JSON.stringify({ logs: [listed] })), loadCosigner(folder, state.name).keys)
const signer = loadSnapshotSigner(folder, state.name)
const keys = new KeyStore(join(data, 'keys.db'))
const reader = new LogReader(log!.url!)
const real = await FolderStore.open(join(data, 'worm'))
const store = early === undefined ? real : new Promising(real)
try {
  const parts = { log: log!, reader, state, store, signer, verifier: logVerifier(signer.key), keys }
  await new Snapshotter({ ...parts, now: () => now, logger: { info: () => {} } }).step()
  writeSync(1, `snapshot ${size}\n`)
  if (store instanceof Promising) await store.keep()
} finally {
  await reader.close()
  keys.close()
  state.close()
}
