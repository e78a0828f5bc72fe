/** The immutable flag of Linux file systems, by `chattr`: while a file has it, not even root writes, renames, links or removes it. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Throws what `chattr` says. */
export async function seal(file: string): Promise<void> {
  await run('chattr', ['+i', '--', file])
}

/** Throws what `chattr` says. */
export async function unseal(file: string): Promise<void> {
  await run('chattr', ['-i', '--', file])
}

/** The kernel answers EPERM to opening an immutable file for writing before it looks at the mode, which would be EACCES. */
export async function isSealed(file: string): Promise<boolean> {
  try {
    await (await open(file, constants.O_RDWR | constants.O_NOFOLLOW)).close()
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Tries it on `file`, which is made for that and removed. False also where nothing can be written. */
export async function canSeal(file: string): Promise<boolean> {
  try {
    await (await open(file, 'wx')).close()
  } catch {
    return false
  }
  try {
    await seal(file)
    const sealed = await isSealed(file)
    await unseal(file)
    return sealed
  } catch {
    return false
  } finally {
    await rm(file, { force: true })
  }
}
