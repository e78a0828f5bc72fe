import { toBase64 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { DocumentsReport } from '../../src/log/check-documents.ts'
import { checkLog, isDamage } from '../../src/log/check-log.ts'
import { RestoredLog } from '../../src/log/restored-log.ts'
import { logFiles, logNames } from '../../src/store/folder.ts'
import { loadLogVkey } from '../../src/store/log-key.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { type Command, EXIT, usage } from '../cli.ts'
import { type ProgressBar, progressBar } from '../progress.ts'

export const checkCommand: Command = {
  name: 'check',
  summary:
    'Rebuilds the tree of each log from its entries and compares, then what entries are found by, and each document; also while a server runs.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'log', value: 'NAME', help: 'only this log', multiple: true },
    {
      name: 'tree-only',
      help: 'leave out the documents and what entries are found by: it takes less time, and says nothing of them',
    },
  ],
  async run(options) {
    const data = options.need('data')
    const named = options.all('log')
    const names = named.length > 0 ? named : logNames(data)
    if (names.length === 0) throw usage(`there is no log in ${data}: treeline-server init makes one`)
    for (const name of names) await check(data, name, options.is('tree-only'))
    return EXIT.done
  },
}

async function check(data: string, name: string, treeOnly: boolean): Promise<void> {
  const { database, vkey, published } = logFiles(data, name)
  const bars = new Map<string, ProgressBar>()
  const progress = (what: string, done: number, total: number): void => {
    const bar = bars.get(what) ?? progressBar(`${name}: ${what}`)
    bars.set(what, bar)
    bar.update(done, total)
    if (done === total) bar.stop()
  }
  let store: SqliteStore | undefined
  try {
    store = SqliteStore.open(database, { readonly: true })
    const key = loadLogVkey(vkey, store.origin)
    const { size, root, tiles, documents } = await checkLog(store, { treeOnly, progress })
    // Of a log that signs, what was published may be smaller; of a restored one it is why the tree is believed.
    if (store.restored) await RestoredLog.open({ name, store, key, publishedFile: published })
    console.log(
      `${name}: ${size} entries, ${tiles} full tiles, root ${toBase64(root)}${said(documents)}: all agree${store.restored ? ' (restored)' : ''}`,
    )
  } catch (error) {
    throw isDamage(error) ? new TreelineError('INVALID_LOG', `${database}: ${error.message}`) : error
  } finally {
    for (const bar of bars.values()) bar.stop()
    await store?.close()
  }
}

function said(documents: DocumentsReport | undefined): string {
  if (documents === undefined) return ''
  const { sound, redacted, missing } = documents
  return `, ${sound} documents${redacted > 0 ? `, ${redacted} redacted` : ''}${missing > 0 ? `, ${missing} missing` : ''}`
}
