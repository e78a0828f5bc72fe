import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

let written = 0

/**
 * Writes under another name, syncs, renames, syncs the folder: a crash leaves the whole file or none, and at worst a `.new` that
 * nobody reads.
 */
export async function writeDurably(file: string, content: string | Uint8Array): Promise<void> {
  const folder = dirname(file)
  makeFolder(folder)
  // No two writers share a temporary name, neither of one process nor of two.
  const temporary = `${file}.${process.pid}.${written++}.new`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  syncFolder(folder)
}

/** Makes a folder and those above it, for the owner alone, each durable in the one that holds it. */
export function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let at = resolve(folder); at.length >= resolve(first).length; at = dirname(at)) syncFolder(dirname(at))
}

export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
