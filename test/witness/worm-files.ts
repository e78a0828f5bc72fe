/** A folder of snapshots whose files may be immutable: gone at the end of a test all the same. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { unmakeImmutable } from '../support/immutable.ts'
import { temporaryFolder } from '../support/server.ts'

export function wormFolder(t: { teardown(f: () => unknown): unknown }): string {
  const folder = join(temporaryFolder(t), 'worm')
  mkdirSync(folder)
  t.teardown(() => {
    unmakeImmutable(folder)
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}
