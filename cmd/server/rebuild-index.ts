import { Indexer } from '../../src/log/indexer.ts'
import { logFiles, logNames } from '../../src/store/folder.ts'
import { lockData } from '../../src/store/lock.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { type Command, EXIT, usage } from '../cli.ts'
import { progressBar } from '../progress.ts'

export const rebuildIndexCommand: Command = {
  name: 'rebuild-index',
  summary:
    'Makes what search and lineage are answered from again, out of the log, or what events are known again by; while no server runs.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'log', value: 'NAME', help: 'only this log', multiple: true },
    {
      name: 'digests',
      help: 'instead: what known events and leaf hashes are found by, where check has called it damaged',
    },
  ],
  async run(options) {
    const data = options.need('data')
    const known = logNames(data)
    if (known.length === 0) throw usage(`there is no log in ${data}: treeline-server init makes one`)
    const named = options.all('log')
    for (const name of named) if (!known.includes(name)) throw usage(`there is no log "${name}" in ${data}`)
    const lock = lockData(data)
    try {
      const again = options.is('digests') ? rebuildDigests : rebuild
      for (const name of named.length > 0 ? named : known) await again(data, name)
    } finally {
      lock.release()
    }
    return EXIT.done
  },
}

/** Killed on the way: the next start of the log makes what is left. */
async function rebuildDigests(data: string, name: string): Promise<void> {
  const { database } = logFiles(data, name)
  const bar = progressBar(`${name}: entries`)
  try {
    const store = SqliteStore.open(database, { newDigests: true, progress: (done, size) => bar.update(done, size) })
    while (await store.maintain());
    const { size } = await store.head()
    await store.close()
    console.log(`${name}: ${size} entries are found by their digests again`)
  } finally {
    bar.stop()
  }
}

async function rebuild(data: string, name: string): Promise<void> {
  const files = logFiles(data, name)
  const store = SqliteStore.open(files.database, { readonly: true })
  const { profile } = store
  const { size } = await store.head()
  await store.close()
  if (profile === 'raw') {
    console.log(`${name}: a raw log has no index`)
    return
  }
  const bar = progressBar(`${name}: entries`)
  const began = performance.now()
  // Killed on the way: the server goes on from where this ended.
  const indexer = await Indexer.open({ name, ...files }, () => {})
  try {
    indexer.renew(() => {}, '')
    while ((await indexer.step()) > 0) bar.update(indexer.size, size)
  } finally {
    bar.stop()
    await indexer.close()
  }
  const seconds = (performance.now() - began) / 1_000
  console.log(`${name}: ${size} entries in ${seconds.toFixed(1)} s, ${Math.round(size / seconds)} a second`)
}
