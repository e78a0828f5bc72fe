/** Puts an object into a folder and extends it, to be killed at that; `careless` does so without a store, and must be found out. */
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, utimesSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FolderStore } from '../../witness/worm/folder.ts'

// As the witness does: past its largest file a process gets this signal, and would die of it.
process.on('SIGXFSZ', () => {})

const [folder = '', key = '', text = '', until = '', careless] = process.argv.slice(2)
const bytes = Buffer.from(text)
const end = Number(until)

if (careless === undefined) {
  const store = await FolderStore.open(folder)
  const object = await store.put(key, bytes, end)
  await store.extend(object, end + 3_600_000)
} else {
  const file = join(folder, key)
  mkdirSync(dirname(file), { recursive: true })
  const handle = openSync(file, 'wx')
  for (const part of [bytes.subarray(0, 4), bytes.subarray(4)]) {
    writeSync(handle, part)
    fsyncSync(handle)
  }
  closeSync(handle)
  utimesSync(file, end / 1000, end / 1000)
  chmodSync(file, 0o444)
}
