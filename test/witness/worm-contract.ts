/** What every write-once store must do: run on a folder in the tests, and on S3 servers of others in the lane. */
import { randomBytes } from 'node:crypto'
import { equal, toHex, toUtf8 } from '../../src/core/bytes.ts'
import type { Code } from '../../src/core/errors.ts'
import { MAX_OBJECT_SIZE, type ObjectVersion, type WormStore } from '../../witness/worm/store.ts'

type Check = (name: string, condition: boolean, detail?: string) => void

const HOUR = 3_600_000

/** The code that a promise fails with; `none` when it does not; the text of any other error. */
export async function codeOf(promise: Promise<unknown>): Promise<Code | string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    return (error as { code?: Code }).code ?? String(error)
  }
}

export async function keysOf(objects: AsyncIterable<ObjectVersion>): Promise<string> {
  const keys: string[] = []
  for await (const { key } of objects) keys.push(key)
  return keys.join(' ')
}

/** Reports each law to `check`. Writes below a folder of its own name, so that a store may be used again. */
export async function wormContract(store: WormStore, check: Check): Promise<void> {
  const base = `contract/${toHex(randomBytes(6))}/`
  const key = `${base}a/b-1.2_3`
  const bytes = new Uint8Array(randomBytes(100_000))
  const now = Math.floor(Date.now() / 1000) * 1000
  const until = now + HOUR

  const object = await store.put(key, bytes, until)
  check('put returns the key', object.key === key, object.key)
  check('get returns the bytes', equal(await store.get(object), bytes))
  const lock = await store.lockOf(object)
  check('it is locked in COMPLIANCE mode', lock.mode === 'COMPLIANCE', lock.mode)
  check('until the time asked for', lock.until === until, `${lock.until} for ${until}`)

  const again = await store.put(key, bytes, until - HOUR / 2)
  check('put again returns the same version', again.version === object.version)
  check('and a shorter time shortens nothing', (await store.lockOf(object)).until === until)
  await store.put(key, bytes, until + HOUR)
  check('a longer one extends', (await store.lockOf(object)).until === until + HOUR)
  await store.extend(object, until)
  check('extend shortens nothing', (await store.lockOf(object)).until === until + HOUR)
  await store.extend(object, until + 2 * HOUR)
  check('extend lengthens', (await store.lockOf(object)).until === until + 2 * HOUR)
  const fraction = await store.put(`${base}fraction`, toUtf8('x'), until + 1)
  check('a time within a second is rounded up', (await store.lockOf(fraction)).until === until + 1000)

  const other = bytes.slice()
  other[99_999]! ^= 1
  check('other bytes at a key are refused', (await codeOf(store.put(key, other, until))) === 'WORM_BROKEN')
  check('so are fewer', (await codeOf(store.put(key, bytes.subarray(1), until))) === 'WORM_BROKEN')
  check('and the first stay', equal(await store.get(object), bytes))
  const empty = await store.put(`${base}empty`, new Uint8Array(), until)
  check('an object may be empty', (await store.get(empty)).length === 0)

  // In an order that only the whole key has: '-' < '.' < '/' < '0'.
  const sorted = ['d', 'd-e', 'd.e', 'd/e', 'd/f/g', 'd0', 'e'].map((name) => `${base}list/${name}`)
  // A file system cannot have d and d/e.
  const names = sorted.filter((name) => !name.endsWith('/d'))
  for (const name of names.toReversed()) await store.put(name, toUtf8(name), until)
  const listed = async (prefix: string, after?: string) => await keysOf(store.list(`${base}list/${prefix}`, after))
  check('list is by ascending key', (await listed('')) === names.join(' '), await listed(''))
  check('a prefix need not end at a slash', (await listed('d')) === names.slice(0, -1).join(' '), await listed('d'))
  check('it may end at one', (await listed('d/')) === `${base}list/d/e ${base}list/d/f/g`, await listed('d/'))
  for (const [i, name] of names.entries()) {
    const rest = await listed('', name)
    check(`list after ${name.slice(base.length)}`, rest === names.slice(i + 1).join(' '), rest)
  }
  check('list of nothing', (await listed('nothing')) === '')

  const missing = { key: `${base}missing`, version: object.version }
  check('get of a missing key', (await codeOf(store.get(missing))) === 'WORM_BROKEN')
  check('lock of a missing key', (await codeOf(store.lockOf(missing))) === 'WORM_BROKEN')
  check('extend of a missing key', (await codeOf(store.extend(missing, until))) === 'WORM_BROKEN')
  const longest = new Uint8Array(MAX_OBJECT_SIZE + 1)
  check('an object too long is not written', (await codeOf(store.put(`${base}long`, longest, until))) === 'USAGE')
  for (const bad of ['', '/a', 'a/', 'a//b', '../a', 'a/../b', './a', 'a b', 'a~', 'ä', 'a\0', 'a'.repeat(201)]) {
    check(`no key: ${JSON.stringify(bad.slice(0, 9))}`, (await codeOf(store.put(bad, bytes, until))) === 'USAGE')
  }
  check('and nothing was written', (await keysOf(store.list(`${base}long`))) === '')
  check('the probe passes', (await codeOf(store.probe())) === 'none', await codeOf(store.probe()))
}
