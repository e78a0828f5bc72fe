import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { toUtf8 } from '../core/bytes.ts'
import { formatCheckpoint, MAX_ORIGIN_SIZE } from '../core/checkpoint.ts'
import { TreelineError } from '../core/errors.ts'
import { leafHash } from '../core/merkle.ts'
import { isKeyName, type NoteSigner, signNote } from '../core/note.ts'
import { Tree } from '../core/tree.ts'
import { formatVkey } from '../core/vkey.ts'
import { checkLogName, type LogFiles, logFiles, logNames } from '../store/folder.ts'
import { createLogKey, loadLogSigner } from '../store/log-key.ts'
import { writeSecretFile } from '../store/secret-file.ts'
import { createStore, SqliteStore } from '../store/sqlite.ts'
import { syncPath } from '../store/sync-path.ts'

/** The first entry of a log whose profile has one. */
export interface Genesis {
  readonly entry: Uint8Array
  readonly addendum: Uint8Array
  readonly time: number
}

/**
 * Makes the folder and the key of a log, or finds those of a log that is not complete yet. Throws USAGE for a name or an origin that no log may
 * have, and when the log is there already.
 */
export function prepareLog(
  data: string,
  name: string,
  origin: string,
  profile: 'events' | 'raw',
): { files: LogFiles; signer: NoteSigner } {
  checkLogName(name)
  // It becomes a key name in notes and one length byte in ML-DSA cosignatures.
  if (!isKeyName(origin) || toUtf8(origin).length > MAX_ORIGIN_SIZE || /[^\x21-\x7e]/.test(origin)) {
    throw new TreelineError(
      'USAGE',
      `"${origin}" cannot be an origin: use a URL without scheme, at most 255 visible ASCII characters, no "+"`,
    )
  }
  const files = logFiles(data, name)
  if (existsSync(files.database)) throw new TreelineError('USAGE', `the log ${name} exists already in ${data}`)
  const twin = logNames(data).find((other) => originOf(logFiles(data, other)) === origin)
  // A second log of one name is a second history to whoever goes by the name, a restored one's as well.
  if (twin !== undefined)
    throw new TreelineError('USAGE', `the log ${twin} of ${data} has the origin ${origin} already`)
  mkdirSync(files.folder, { recursive: true, mode: 0o700 })
  if (!existsSync(files.key)) createLogKey(files.key)
  if (profile === 'events' && !existsSync(files.blinding)) writeSecretFile(files.blinding, randomBytes(32))
  const signer = loadLogSigner(files.key, origin)
  const vkey = `${formatVkey(signer.key)}\n`
  if (!existsSync(files.vkey)) writeFileSync(files.vkey, vkey)
  else if (readFileSync(files.vkey, 'utf8') !== vkey) {
    throw new TreelineError('USAGE', `${files.folder} was prepared for another origin: see ${files.vkey}`)
  }
  return { files, signer }
}

function originOf({ database }: LogFiles): string {
  const db = SqliteStore.open(database, { readonly: true })
  const { origin } = db
  void db.close()
  return origin
}

/** Makes the database and publishes its first checkpoint. The name of the database appears last: until then there is no log. */
export async function createLog(
  files: LogFiles,
  signer: NoteSigner,
  profile: string,
  genesis?: Genesis,
): Promise<void> {
  const unfinished = `${files.database}.new`
  for (const suffix of ['', '-wal', '-shm']) rmSync(unfinished + suffix, { force: true })
  createStore(unfinished, signer.key.name, profile)
  const entries = genesis === undefined ? [] : [genesis.entry]
  const { tree, full } = Tree.empty.append(entries.map(leafHash))
  if (genesis !== undefined) {
    const store = SqliteStore.open(unfinished)
    await store.commit({
      from: 0,
      entries,
      addenda: [{ index: 0, bytes: genesis.addendum }],
      redactions: [],
      policies: [0],
      tiles: full,
      head: { size: tree.size, root: tree.root, time: genesis.time },
    })
    await store.close()
  }
  const checkpoint = { origin: signer.key.name, size: BigInt(tree.size), root: tree.root, extensions: [] }
  writeFileSync(files.published, signNote(formatCheckpoint(checkpoint), [signer]))
  renameSync(unfinished, files.database)
  for (const path of [files.database, files.published, files.vkey, files.folder, dirname(files.folder)]) syncPath(path)
}
