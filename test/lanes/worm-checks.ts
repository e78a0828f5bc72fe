/** What the parts of the lane share. */
import { toUtf8 } from '../../src/core/bytes.ts'
import type { ObjectVersion, WormStore } from '../../witness/worm/store.ts'
import { check } from './lane.ts'

const HOUR = 3_600_000
/** The end of every lock, whole seconds. */
export const UNTIL = Math.floor(Date.now() / 1000) * 1000 + HOUR
export const KEY = 'log/entries/0-5'
export const BYTES = toUtf8('five entries')

/** A promise must fail with this code, and say this. */
export async function refused(
  name: string,
  promise: Promise<unknown>,
  code: string,
  says: string | RegExp,
): Promise<void> {
  const error = await promise.then(
    () => ({ code: 'nothing', message: '' }),
    (caught: Error & { code?: string }) => caught,
  )
  const said = typeof says === 'string' ? error.message.endsWith(says) : says.test(error.message)
  check(name, error.code === code && said, `${error.code}: ${error.message}`)
}

export async function versionsOf(store: WormStore, prefix: string, after?: string): Promise<ObjectVersion[]> {
  const versions: ObjectVersion[] = []
  for await (const version of store.list(prefix, after)) versions.push(version)
  return versions
}
