import { toBase64 } from '../../src/core/bytes.ts'
import { checkTree } from '../../src/log/check.ts'
import { RestoredLog } from '../../src/log/restored-log.ts'
import { logFiles, logNames } from '../../src/store/folder.ts'
import { loadLogVkey } from '../../src/store/log-key.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { type Command, EXIT, usage } from '../cli.ts'

export const checkCommand: Command = {
  name: 'check',
  summary: 'Rebuilds the tree of each log from its entries and compares; also while a server runs.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'log', value: 'NAME', help: 'only this log', multiple: true },
  ],
  async run(options) {
    const data = options.need('data')
    const named = options.all('log')
    const names = named.length > 0 ? named : logNames(data)
    if (names.length === 0) throw usage(`there is no log in ${data}: treeline-server init makes one`)
    for (const name of names) {
      const { database, vkey, published } = logFiles(data, name)
      const store = SqliteStore.open(database, { readonly: true })
      try {
        const { size, root, tiles } = await checkTree(store, () => {})
        // Of a log that signs, what was published may be smaller; of a restored one it is why the tree is believed.
        if (store.restored)
          await RestoredLog.open({ name, store, key: loadLogVkey(vkey, store.origin), publishedFile: published })
        console.log(
          `${name}: ${size} entries, ${tiles} full tiles, root ${toBase64(root)}: all agree${store.restored ? ' (restored)' : ''}`,
        )
      } finally {
        await store.close()
      }
    }
    return EXIT.done
  },
}
