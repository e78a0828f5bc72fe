import { spawnSync } from 'node:child_process'

// Of e2fsprogs, which every Debian has.
const CHATTR = 'chattr'

/** Makes a file immutable; false where this user or file system may not. */
export const makeImmutable = (file: string): boolean => spawnSync(CHATTR, ['+i', file]).status === 0

/** Takes it from everything below these paths: immutable files cannot be removed. Symbolic links, which have no flags, are passed over. */
export function unmakeImmutable(...paths: readonly string[]): void {
  spawnSync(CHATTR, ['-R', '-i', ...paths])
}
