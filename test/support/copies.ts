/** What is read from a copy of a log, and a log that is restored from it. */
import { readFileSync } from 'node:fs'
import { type CopiedEntry, createRestored, type RestoreParts } from '../../src/log/restore.ts'
import { logFiles } from '../../src/store/folder.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'

export async function* listed(entries: readonly CopiedEntry[]): AsyncGenerator<CopiedEntry> {
  yield* entries
}

/** Every entry of a log that nobody serves, with its document where that is there. */
export async function copyOf(data: string, name: string): Promise<CopiedEntry[]> {
  const store = SqliteStore.open(logFiles(data, name).database, { readonly: true })
  const { size } = await store.head()
  const copy: CopiedEntry[] = []
  for (const [index, entry] of (await store.entries(0, size)).entries()) {
    const document = await store.addendum(index)
    copy.push({ entry, ...(document && { document }) })
  }
  await store.close()
  return copy
}

/** From a log of one data folder into another, under its last published checkpoint; `change` says what is different. */
export async function restoreInto(data: string, from: string, name: string, change: Partial<RestoreParts> = {}) {
  const files = logFiles(from, name)
  const store = SqliteStore.open(files.database, { readonly: true })
  const profile = store.profile as RestoreParts['profile']
  await store.close()
  return createRestored({
    data,
    name,
    profile,
    vkey: readFileSync(files.vkey, 'utf8').trimEnd(),
    checkpoint: readFileSync(files.published, 'utf8'),
    ...(profile === 'events' && { blinding: new Uint8Array(readFileSync(files.blinding)) }),
    entries: listed(await copyOf(from, name)),
    ...change,
  })
}
