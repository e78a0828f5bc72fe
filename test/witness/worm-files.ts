/** A folder of snapshots whose files may be immutable: a test must be able to remove them, and to break them. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../support/server.ts'

/** Lets a file, or what is below a folder, be changed again. */
export const thaw = (path: string): void => chattr('-i', path)
/** As an administrator would, who hides that it could be changed. */
export const freeze = (path: string): void => chattr('+i', path)

function chattr(flag: '+i' | '-i', path: string): void {
  try {
    execFileSync('chattr', ['-R', flag, path], { stdio: 'ignore' })
  } catch {
    // No such program, or nothing that it may change: nothing is immutable then.
  }
}

export function wormFolder(t: { teardown(f: () => unknown): unknown }): string {
  const folder = join(temporaryFolder(t), 'worm')
  mkdirSync(folder)
  t.teardown(() => {
    thaw(folder)
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}
