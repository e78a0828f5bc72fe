import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { toBase64 } from '../../src/core/bytes.ts'
import { loadTree } from '../../src/log/prover.ts'
import { backUpDatabase } from '../../src/store/backup.ts'
import { logFiles, logNames } from '../../src/store/folder.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { syncPath } from '../../src/store/sync-path.ts'
import { tokensFile } from '../../src/store/tokens.ts'
import { type Command, EXIT, usage } from '../cli.ts'

export const backupCommand: Command = {
  name: 'backup',
  summary:
    'Copies logs as they are at one moment; also while a server runs. An old copy must never be served in the place of its log.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'to', value: 'DIR', help: 'a folder that is not there yet', required: true },
    { name: 'log', value: 'NAME', help: 'only this log', multiple: true },
    { name: 'keys', help: 'with the secret keys and the tokens: whoever has the copy can then sign as the log' },
  ],
  async run(options) {
    const data = options.need('data')
    const target = resolve(options.need('to'))
    if (existsSync(target)) throw usage(`${target} exists already`)
    const known = logNames(data)
    if (known.length === 0) throw usage(`there is no log in ${data}: treeline-server init makes one`)
    const named = options.all('log')
    for (const name of named) if (!known.includes(name)) throw usage(`there is no log "${name}" in ${data}`)
    const making = `${target}.making`
    // Of one that was killed on its way.
    rmSync(making, { recursive: true, force: true })
    mkdirSync(making, { recursive: true, mode: 0o700 })
    try {
      const keys = options.is('keys')
      for (const name of named.length > 0 ? named : known) await backUp(data, making, name, keys)
      const tokens = tokensFile(data)
      if (keys && existsSync(tokens)) copyDurably(tokens, tokensFile(making))
      syncPath(making)
      renameSync(making, target)
      syncPath(dirname(target))
    } catch (error) {
      rmSync(making, { recursive: true, force: true })
      throw error
    }
    return EXIT.done
  },
}

/** The index is left out, which follows from the log; and the published checkpoint, which must be newer than any copy to show that it is old. */
async function backUp(data: string, target: string, name: string, keys: boolean): Promise<void> {
  const from = logFiles(data, name)
  const to = logFiles(target, name)
  mkdirSync(to.folder, { recursive: true, mode: 0o700 })
  const began = performance.now()
  backUpDatabase(from.database, to.database)
  const store = SqliteStore.open(to.database, { readonly: true })
  try {
    const { size, root } = await loadTree(store)
    const seconds = ((performance.now() - began) / 1_000).toFixed(1)
    console.log(`${name}: ${size} entries, root ${toBase64(root)}, in ${seconds} s`)
  } finally {
    await store.close()
  }
  copyDurably(from.vkey, to.vkey)
  for (const file of ['key', 'blinding'] as const) if (keys && existsSync(from[file])) copyDurably(from[file], to[file])
  syncPath(to.folder)
  syncPath(join(target, 'logs'))
}

/** With its mode. */
function copyDurably(from: string, to: string): void {
  copyFileSync(from, to)
  syncPath(to)
}
