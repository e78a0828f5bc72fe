/** A folder as write-once storage: the laws of every store, what a killed writer leaves, and what somebody else did to it. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { FolderStore } from '../../witness/worm/folder.ts'
import { writeWhole } from '../../witness/worm/folder-write.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { MAX_OBJECT_SIZE } from '../../witness/worm/store.ts'
import { makeImmutable, unmakeImmutable } from '../support/immutable.ts'
import { runProgram } from '../support/programs.ts'
import { temporaryFolder } from '../support/server.ts'
import { codeOf, keysOf, wormContract } from './worm-contract.ts'

const KEY = 'log/entries/0-5'
const BYTES = toUtf8('five entries')
const HOUR = 3_600_000
const UNTIL = Math.floor(Date.now() / 1000) * 1000 + HOUR

/** Root's, outside of most containers. Elsewhere the same is tested of files that are only read-only. */
const SEALS = (() => {
  const file = join(tmpdir(), `treeline-${process.pid}`)
  writeFileSync(file, '')
  const made = makeImmutable(file)
  unmakeImmutable(file)
  rmSync(file)
  return made
})()

/** Immutable files would outlive the test. */
function folder(t: Test): string {
  const path = temporaryFolder(t)
  t.teardown(() => unmakeImmutable(path))
  return path
}

async function stored(t: Test) {
  const path = folder(t)
  const store = await FolderStore.open(path)
  const file = join(path, KEY)
  const object = await store.put(KEY, BYTES, UNTIL)
  return { path, store, file, object }
}

/** Does to the file what only an administrator can. */
function meddle(file: string, change: () => void): void {
  unmakeImmutable(file)
  change()
}

t.test('a folder keeps the laws of write-once storage', async (t) => {
  await wormContract(await FolderStore.open(folder(t)), (name, condition, detail) => t.ok(condition, name, { detail }))
})

t.test('what is on the disk', async (t) => {
  const { path, store, file } = await stored(t)
  t.match(store.description, SEALS ? /files are immutable/ : /only read-only, not locked/)
  t.equal(statSync(file).mode & 0o777, 0o444)
  t.equal(statSync(file).mtimeMs, UNTIL)
  t.equal(statSync(file).nlink, 1)
  if (SEALS) {
    t.throws(() => writeFileSync(file, 'x'), { code: 'EPERM' })
    t.throws(() => rmSync(file), { code: 'EPERM' })
  }
  t.same(readdirSync(join(path, '~writing')), [], 'no temporary name is left')
  await store.probe()
  t.same(readdirSync(join(path, 'probe')), [], 'the probe leaves nothing')
})

t.test('what a killed writer leaves is swept, and never seen', async (t) => {
  const { path, store } = await stored(t)
  // Dead before its link; and after it, when the file has two names.
  const temporary = join(path, '~writing', 'dead')
  writeFileSync(temporary, BYTES.subarray(3))
  const trial = join(path, '~trial-dead')
  writeFileSync(trial, '')
  makeImmutable(trial)
  const half = join(path, 'log/entries/5-9')
  writeFileSync(join(path, '~writing', 'linked'), 'four', { mode: 0o444 })
  linkSync(join(path, '~writing', 'linked'), half)
  t.equal(await keysOf(store.list('')), `${KEY} log/entries/5-9`)
  const unsealed = await codeOf(store.lockOf({ key: 'log/entries/5-9', version: '1' }))
  t.equal(unsealed, SEALS ? 'WORM_BROKEN' : 'none', 'not yet immutable')
  const object = await store.put('log/entries/5-9', toUtf8('four'), UNTIL)
  t.same(await store.lockOf(object), { mode: 'COMPLIANCE', until: UNTIL }, 'putting it again makes it good')
  if (SEALS) t.throws(() => rmSync(half), { code: 'EPERM' })

  const later = await FolderStore.open(path)
  await later.put('log/young', BYTES, UNTIL)
  t.ok(existsSync(temporary), 'a young name may be of a living writer')
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => now() + 2 * HOUR
  await (await FolderStore.open(path)).put('log/old', BYTES, UNTIL)
  t.notOk(existsSync(temporary))
  t.notOk(existsSync(trial), 'nor what the killed opening of a store left')
  t.equal(await keysOf(later.list('')), `${KEY} log/entries/5-9 log/old log/young`)
})

t.test('what others did to a file is found', async (t) => {
  const cases: Readonly<Record<string, (file: string) => void>> = {
    'other bytes': (file) => {
      chmodSync(file, 0o644)
      writeFileSync(
        file,
        BYTES.map((byte) => byte ^ 1),
      )
      chmodSync(file, 0o444)
    },
    'fewer bytes': (file) => {
      chmodSync(file, 0o644)
      truncateSync(file, 3)
      chmodSync(file, 0o444)
    },
    'another file': (file) => {
      writeFileSync(`${file}~`, 'another', { mode: 0o444 })
      renameSync(`${file}~`, file)
    },
    'a folder': (file) => {
      rmSync(file)
      mkdirSync(file)
    },
    'a pipe': (file) => {
      rmSync(file)
      execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', file])
    },
    'a symbolic link to the same bytes': (file) => {
      renameSync(file, `${file}~`)
      symlinkSync(`${file}~`, file)
    },
    'behind a symbolic link': (file) => {
      renameSync(dirname(file), `${dirname(file)}~`)
      symlinkSync(`${dirname(file)}~`, dirname(file))
    },
    writable: (file) => chmodSync(file, 0o644),
  }
  for (const [name, change] of Object.entries(cases)) {
    const { store, file } = await stored(t)
    meddle(file, () => change(file))
    t.equal(await codeOf(store.put(KEY, BYTES, UNTIL)), 'WORM_BROKEN', name)
  }

  const { store, file, object } = await stored(t)
  meddle(file, () => utimesSync(file, 0, 0))
  if (SEALS) t.equal(await codeOf(store.lockOf(object)), 'WORM_BROKEN', 'not immutable any more')
  else t.equal((await store.lockOf(object)).until, 0, 'the time of the file is what there is')
  await store.extend(object, UNTIL)
  t.equal((await store.lockOf(object)).until, UNTIL, 'a time set back is set again')
  meddle(file, () => rmSync(file))
  t.equal(await codeOf(store.get(object)), 'WORM_BROKEN', 'gone')
  t.equal(await codeOf(store.get({ ...object, version: '2' })), 'WORM_BROKEN', 'no other version')
  writeFileSync(file, BYTES)
  truncateSync(file, MAX_OBJECT_SIZE + 1)
  t.equal(await codeOf(store.get(object)), 'WORM_BROKEN', 'too long to be read')
})

t.test('where nothing can be made immutable it says so', async (t) => {
  const path = folder(t)
  chmodSync(path, 0o777)
  const saved = process.env.PATH
  t.teardown(() => {
    process.env.PATH = saved
  })
  process.env.PATH = '/nowhere'
  const store = await FolderStore.open(path)
  t.match(store.description, /only read-only, not locked/)
  await store.probe()
  const object = await store.put(KEY, BYTES, UNTIL)
  t.same(await store.lockOf(object), { mode: 'COMPLIANCE', until: UNTIL })
  await store.extend(object, UNTIL + HOUR)
  t.equal((await store.lockOf(object)).until, UNTIL + HOUR)
  rmSync(join(path, KEY))
  writeFileSync(join(path, KEY), 'replaced: no mode of a file stops that', { mode: 0o444 })
  t.equal(await codeOf(store.put(KEY, BYTES, UNTIL)), 'WORM_BROKEN')
})

t.test('two writers of one key', async (t) => {
  const path = folder(t)
  const stores = await Promise.all(Array.from({ length: 8 }, () => FolderStore.open(path)))
  const same = await Promise.all(stores.map((store) => codeOf(store.put('same', BYTES, UNTIL))))
  t.same([...new Set(same)], ['none'], 'may write the same bytes at once')
  const codes = await Promise.all(stores.map((store, i) => codeOf(store.put('other', toUtf8(`bytes ${i}`), UNTIL))))
  t.equal(codes.filter((code) => code === 'none').length, 1, 'one of eight with other bytes wins', { codes })
  t.equal(codes.filter((code) => code === 'WORM_BROKEN').length, 7)
  // Who looks first, and then is overtaken.
  const file = join(path, 'overtaken')
  await writeWhole(path, file, toUtf8('first'), UNTIL)
  await writeWhole(path, file, toUtf8('second'), UNTIL)
  t.equal(readFileSync(file, 'utf8'), 'first', 'nothing is replaced')
  t.same(readdirSync(join(path, '~writing')), [])
  t.equal(readFileSync(join(path, 'other'), 'utf8'), `bytes ${codes.indexOf('none')}`)
})

t.test('a full disk', async (t) => {
  const path = folder(t)
  const args = [path, KEY, 'x'.repeat(9_000), `${UNTIL}`]
  const { code, errors } = await runProgram(t, 'test/lanes/worm-writer.ts', args, { fileKiB: 4 })
  t.equal(code, 1)
  t.match(errors, "code: 'STORAGE_FAILED'")
  t.same(readdirSync(join(path, '~writing')), [])
  const store = await FolderStore.open(path)
  t.equal(await keysOf(store.list('')), '')
  await store.put(KEY, BYTES, UNTIL)
})

t.test('a store that is not there', async (t) => {
  const path = folder(t)
  t.equal(await codeOf(openStore(join(path, 'missing'))), 'USAGE')
  writeFileSync(join(path, 'file'), '')
  t.equal(await codeOf(openStore(join(path, 'file'))), 'USAGE')
  const moved = join(path, 'disk')
  mkdirSync(moved)
  const store = await openStore(moved)
  t.match(store.description, moved)
  const object = await store.put(KEY, BYTES, UNTIL)
  renameSync(moved, `${moved}~`)
  t.equal(await codeOf(store.get(object)), 'UNREACHABLE', 'an unmounted disk is no loss')
  mkdirSync(moved)
  t.equal(await codeOf(store.get(object)), 'UNREACHABLE', 'nor is the empty folder beneath it')
  await store.close()
})
