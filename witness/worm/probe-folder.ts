/** What a folder must refuse where its files are immutable. Where they are not, root is refused nothing, and the store says so of itself. */
import { randomBytes } from 'node:crypto'
import { chmod, open, rename, rm, truncate, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { equal, toHex } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { unseal } from './immutable.ts'
import { PROBES, wholeSeconds } from './key.ts'
import type { WormStore } from './store.ts'

const DAY = 86_400_000
const REFUSALS = ['EPERM', 'EACCES', 'EROFS']

/** Leaves nothing behind unless it is killed. Throws WORM_BROKEN, and what the file system says for another reason than refusal. */
export async function probeFolder(store: WormStore, root: string, seals: boolean): Promise<void> {
  const key = PROBES + toHex(randomBytes(8))
  const file = join(root, key)
  const bytes = randomBytes(64)
  const until = wholeSeconds(Date.now() + DAY)
  try {
    const object = await store.put(key, bytes, until)
    if (seals) {
      await mustRefuse('open for writing', async () => await (await open(file, 'r+')).close())
      await mustRefuse('truncate', () => truncate(file))
      await mustRefuse('shorten', () => utimes(file, 0, 0))
      await mustRefuse('make writable', () => chmod(file, 0o644))
      await mustRefuse('rename', () => rename(file, `${file}~`))
      await mustRefuse('delete', () => unlink(file))
    }
    if (!equal(await store.get(object), bytes))
      throw new TreelineError('WORM_BROKEN', 'probe: other bytes are read back')
    const lock = await store.lockOf(object)
    if (lock.until !== until) throw new TreelineError('WORM_BROKEN', 'probe: another time is read back')
  } finally {
    if (seals) await unseal(file).catch(() => {})
    await rm(file, { force: true })
  }
}

async function mustRefuse(step: string, attempt: () => Promise<void>): Promise<void> {
  try {
    await attempt()
  } catch (error) {
    if (REFUSALS.includes((error as NodeJS.ErrnoException).code ?? '')) return
    throw error
  }
  throw new TreelineError('WORM_BROKEN', `probe: the file system let pass: ${step}`)
}
