import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import t from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { openBackup, sealBackup } from '../../witness/seal/key-backup.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import { createState } from '../../witness/state.ts'
import { temporaryFolder } from '../support/server.ts'

const ORIGIN = 'log.example/a'

const filesWith = (folder: string, bytes: Uint8Array): string[] =>
  readdirSync(folder).filter((name) => readFileSync(join(folder, name)).includes(Buffer.from(bytes)))

/** The secrets that the file holds now, read beside the store. */
function secrets(file: string): Buffer[] {
  const db = new Database(file, { readonly: true })
  try {
    return db.prepare<[], Buffer>('SELECT secret FROM nodes').pluck().all()
  } finally {
    db.close()
  }
}

t.test('punctured keys are in no file, and all others are as before', (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'keys.db')
  let keys = new KeyStore(file)
  keys.addOrigin(ORIGIN)
  const before = Array.from({ length: 300 }, (_, i) => keys.leaf(ORIGIN, i))
  const gone = [0, 5, 6, 7, 255, 256, 299]
  for (const index of gone) {
    const old = secrets(file)
    t.ok(
      old.every((secret) => filesWith(folder, secret).length > 0),
      'the search finds what is there',
    )
    t.equal(keys.puncture(ORIGIN, [index]), 1)
    const left = new Set(secrets(file).map((secret) => secret.toString('hex')))
    const destroyed = old.filter((secret) => !left.has(secret.toString('hex')))
    t.equal(destroyed.length, 1)
    t.same(filesWith(folder, destroyed[0]!), [], `${index}`)
  }
  t.equal(keys.puncture(ORIGIN, [5]), 0)
  keys.close()
  keys = new KeyStore(file)
  t.teardown(() => keys.close())
  keys.addOrigin(ORIGIN)
  before.forEach((leaf, index) => {
    if (gone.includes(index)) t.throws(() => keys.leaf(ORIGIN, index), { code: 'REDACTED' })
    else t.same(Buffer.from(keys.leaf(ORIGIN, index)), Buffer.from(leaf))
  })
  t.end()
})

for (const statement of ['VACUUM', 'wal_checkpoint']) {
  t.test(`a process killed between a puncture and its scrub, before ${statement}: the next start ends it`, (t) => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'keys.db')
    const first = new KeyStore(file)
    first.addOrigin(ORIGIN)
    const leaf = first.leaf(ORIGIN, 8)
    first.close()
    const gone: number[] = []
    for (const index of [7, 300]) {
      const old = secrets(file)
      const program = fileURLToPath(new URL('./dying-puncturer.ts', import.meta.url))
      t.equal(spawnSync(process.execPath, [program, file, ORIGIN, `${index}`, statement]).signal, 'SIGKILL')
      const left = new Set(secrets(file).map((secret) => secret.toString('hex')))
      const destroyed = old.filter((secret) => !left.has(secret.toString('hex')))
      t.equal(destroyed.length, 1, 'the puncture itself is there')
      t.not(filesWith(folder, destroyed[0]!).length, 0, 'and so are the bytes that it destroyed')
      const keys = new KeyStore(file)
      t.same(filesWith(folder, destroyed[0]!), [], 'while it is open')
      gone.push(index)
      for (const one of gone) t.throws(() => keys.leaf(ORIGIN, one), { code: 'REDACTED' })
      t.same(Buffer.from(keys.leaf(ORIGIN, 8)), Buffer.from(leaf))
      keys.close()
      t.same(filesWith(folder, destroyed[0]!), [])
    }
    t.end()
  })
}

t.test('a file of something else is refused and stays as it is; an empty one is filled', (t) => {
  const folder = temporaryFolder(t)
  const foreign = join(folder, 'foreign.db')
  const db = new Database(foreign)
  db.exec('CREATE TABLE keys (id INTEGER PRIMARY KEY)')
  db.close()
  const witness = join(folder, 'witness.db')
  createState(witness, 'witness.example/w', 1e9)
  const later = join(folder, 'later.db')
  new KeyStore(later).close()
  const newer = new Database(later)
  newer.pragma('user_version = 2')
  newer.close()
  const text = join(folder, 'text')
  writeFileSync(text, 'not a database, and long enough to be looked at as one. '.repeat(20))
  for (const file of [foreign, witness, later, text]) {
    const before = readFileSync(file)
    t.throws(() => new KeyStore(file), { code: 'USAGE' }, file)
    t.same(readFileSync(file), before)
  }
  // What a process leaves that dies right after it made the file.
  const empty = join(folder, 'empty.db')
  writeFileSync(empty, '', { mode: 0o600 })
  const keys = new KeyStore(empty)
  t.teardown(() => keys.close())
  t.same(keys.status, { generation: 0, confirmed: 0 })
  const made = new Database(empty, { readonly: true })
  t.equal(made.pragma('application_id', { simple: true }), 0x544c4b65)
  made.close()
  const fresh = join(folder, 'fresh.db')
  new KeyStore(fresh).close()
  t.equal(statSync(fresh).mode & 0o777, 0o600)
  t.end()
})

t.test('the generation grows with each puncture and is confirmed forwards only', (t) => {
  const keys = new KeyStore(join(temporaryFolder(t), 'keys.db'))
  t.teardown(() => keys.close())
  keys.addOrigin(ORIGIN)
  keys.puncture(ORIGIN, [3])
  keys.puncture(ORIGIN, [3])
  t.same(keys.status, { generation: 2, confirmed: 0 })
  t.throws(() => keys.confirm(3), { code: 'USAGE' })
  keys.confirm(2)
  t.throws(() => keys.confirm(1), { code: 'USAGE' })
  t.same(keys.status, { generation: 2, confirmed: 2 })
  t.throws(() => keys.leaf('log.example/b', 0), { code: 'REDACTED' })
  t.end()
})

t.test('a backup comes back whole, and never an older one over a newer one', (t) => {
  const keys = new KeyStore(join(temporaryFolder(t), 'keys.db'))
  const other = new KeyStore(join(temporaryFolder(t), 'keys.db'))
  t.teardown(() => {
    keys.close()
    other.close()
  })
  keys.addOrigin(ORIGIN)
  const old = sealBackup(keys.export(), toUtf8('secret'))
  keys.puncture(ORIGIN, [9])
  const latest = sealBackup(keys.export(), toUtf8('secret'))
  t.throws(() => openBackup(latest, toUtf8('Secret')), { code: 'MALFORMED_KEY' })
  for (const at of [0, 25, 45, 80, latest.length - 1]) {
    const flipped = Uint8Array.from(latest)
    flipped[at]! ^= 1
    t.throws(() => openBackup(flipped, toUtf8('secret')), { code: 'MALFORMED_KEY' }, `byte ${at}`)
  }
  t.throws(() => openBackup(latest.subarray(0, 40), toUtf8('secret')), { code: 'MALFORMED_KEY' })
  t.throws(() => keys.import(openBackup(old, toUtf8('secret'))), { code: 'USAGE' })
  t.throws(() => keys.leaf(ORIGIN, 9), { code: 'REDACTED' })

  other.import(openBackup(old, toUtf8('secret')))
  t.ok(other.leaf(ORIGIN, 9), 'why an old backup undoes a redaction')
  other.import(openBackup(latest, toUtf8('secret')))
  t.same(other.status, keys.status)
  t.throws(() => other.leaf(ORIGIN, 9), { code: 'REDACTED' })
  t.same(other.leaf(ORIGIN, 10), keys.leaf(ORIGIN, 10))
  t.end()
})

t.test('the commands back up, restore and confirm, and make no keys where there were none', (t) => {
  const data = temporaryFolder(t)
  const keys = new KeyStore(join(data, 'keys.db'))
  keys.addOrigin(ORIGIN)
  keys.puncture(ORIGIN, [9])
  keys.close()
  const passphrase = join(data, 'passphrase')
  const backup = join(data, 'backup')
  const fresh = join(data, 'fresh')
  mkdirSync(fresh)
  writeFileSync(passphrase, 'secret\n', { mode: 0o600 })
  const command = (...args: string[]) => ['cmd/treeline-witness.ts', 'keys', ...args]
  const run = (...args: string[]) =>
    execFileSync(process.execPath, command(...args), { encoding: 'utf8', stdio: 'pipe' })
  const refused = (...args: string[]) => spawnSync(process.execPath, command(...args)).status
  run('export', '--data', data, '--passphrase-file', passphrase, backup)
  run('import', '--data', fresh, '--passphrase-file', passphrase, backup)
  run('confirm', '--data', fresh, '2')
  t.same(JSON.parse(run('status', '--data', fresh)), { generation: 2, confirmed: 2 })
  t.equal(refused('confirm', '--data', fresh, '1'), 2)
  t.equal(refused('export', '--data', data, '--passphrase-file', passphrase, backup), 2, 'no backup is overwritten')
  t.equal(refused('status', '--data', join(data, 'mistyped')), 2)
  const open = join(data, 'open')
  writeFileSync(open, 'secret', { mode: 0o644 })
  t.equal(refused('import', '--data', fresh, '--passphrase-file', open, backup), 2, 'a passphrase that others can read')
  t.end()
})
