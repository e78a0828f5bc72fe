import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { parseNote, verifyNote } from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { openState } from '../../witness/folder.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { redactionRequest } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { unmakeImmutable } from '../support/immutable.ts'
import { ORIGIN } from '../support/server.ts'
import { admins, copiedLog } from './copied-log.ts'

t.test('copies are made beside the audits, and verify reads them back', { timeout: 60_000 }, async (t) => {
  const one = await copiedLog(t)
  const witness = await one.start()
  t.match(witness.said, new RegExp(`^copies go to ${one.worm} \\(files are `))
  for (let i = 0; i < 3; i++) await one.submit(`model/${i}`)
  t.equal(await one.copied(4), 4)
  const { code, output, errors } = await one.verify()
  t.equal(code, 0, errors)
  t.match(
    errors,
    /^log.example\/test: the copy of 4 entries gives the cosigned root; .* documents: 1 clear, 3 opened\n$/,
  )
  const report = parseNote(toUtf8(output))
  const vkey = readFileSync(join(one.data, 'snapshot.vkey'), 'utf8').trim()
  t.equal(verifyNote(report, [logVerifier(parseVkey(vkey))]).length, 1)
  t.match(JSON.parse(report.text), { format: 'urn:treeline:snapshot-report:v1', origin: ORIGIN, size: 4, problems: [] })
  t.match(await witness.metrics(), /^treeline_witness_snapshot_size\{origin="log.example\/test"\} 4$/m)

  const { leafHash } = json(await ask(one.server.url, '/test/v1/events/2'))
  const request = redactionRequest(ORIGIN, [{ index: 2, leafHash }], admins)
  t.equal((await post(one.server.url, '/test/v1/redactions', request)).status, 201)
  t.equal(await one.copied(5), 5)
  t.match((await one.verify()).errors, /documents: 2 clear, 2 opened, 1 erased\n$/)
  const { output: generation } = await one.run('keys', 'status', '--data', one.data)
  t.match(JSON.parse(generation), { generation: 2, confirmed: 0 })

  const stranger = ['verify', '--worm', one.worm, '--origin', ORIGIN, '--vkey', join(one.data, 'snapshot.vkey')]
  const foreign = await one.run(...stranger, '--trust', one.trust)
  t.equal(foreign.code, 0, foreign.errors)
  t.match(JSON.parse(foreign.output), { size: 5, documents: { sealed: 3, clear: 2 } })
  t.equal((await one.run(...stranger)).code, 2, 'a stranger trusts somebody, or nothing is verified')
  t.equal((await one.run('verify', '--worm', one.worm)).code, 2)
  t.equal((await one.run('verify', '--data', one.data, '--worm', `${one.worm}/nowhere`)).code, 2)
  t.equal((await one.run('verify', '--data', one.data, '--worm', one.worm, '--origin', 'log.example/other')).code, 1)
  t.equal(await witness.stop(), 0)

  const [object] = readdirSync(one.worm, { recursive: true, encoding: 'utf8' }).filter((name) => /-sealed$/.test(name))
  const bytes = readFileSync(join(one.worm, object!))
  bytes[bytes.length - 1]! ^= 1
  unmakeImmutable(one.worm)
  rmSync(join(one.worm, object!))
  writeFileSync(join(one.worm, object!), bytes, { mode: 0o444 })
  const file = join(one.data, 'report')
  const bad = await one.run('verify', '--data', one.data, '--worm', one.worm, '--report', file)
  t.equal(bad.code, 1)
  t.match(bad.errors, /is NOT good: /)
  t.match(
    JSON.parse(parseNote(new Uint8Array(readFileSync(file))).text).problems.join('\n'),
    /has other bytes than its manifest says/,
  )
})

t.test(
  'lost sealing keys are not replaced in silence, nor is a store that is not there',
  { timeout: 60_000 },
  async (t) => {
    const one = await copiedLog(t)
    const witness = await one.start()
    await one.submit('model/1')
    t.equal(await one.copied(2), 2)
    t.equal(await witness.stop(), 0)
    const passphrase = join(one.data, 'passphrase')
    writeFileSync(passphrase, 'secret', { mode: 0o600 })
    const backup = join(one.data, 'backup')
    t.equal((await one.run('keys', 'export', '--data', one.data, '--passphrase-file', passphrase, backup)).code, 0)
    for (const name of readdirSync(one.data).filter((name) => name.startsWith('keys.db'))) rmSync(join(one.data, name))
    const refused = await one.run(...one.flags, '--worm', one.worm)
    t.equal(refused.code, 2)
    t.match(refused.errors, /the keys that sealed the copies of log.example\/test are not in .*keys import/)
    t.notOk(existsSync(join(one.data, 'keys.db')))
    const nowhere = await one.run(...one.flags, '--worm', join(one.worm, 'nowhere'))
    t.equal(nowhere.code, 2)
    t.equal((await one.run('keys', 'import', '--data', one.data, '--passphrase-file', passphrase, backup)).code, 0)
    const again = await one.start()
    await one.submit('model/2')
    t.equal(await one.copied(3), 3)
    t.match((await one.verify()).errors, /documents: 1 clear, 2 opened\n$/)
    t.equal(await again.stop(), 0)
    for (const name of readdirSync(one.data).filter((name) => name.startsWith('keys.db'))) rmSync(join(one.data, name))
    const anew = await one.start('--new-keys')
    await one.submit('model/3')
    t.equal(await one.copied(4), 4)
    const { code, errors } = await one.verify()
    t.equal(code, 1)
    t.match(errors, /the document of entry 1: the sealed addendum of entry 1 is not authentic/, 'what it warned of')
    t.equal(await anew.stop(), 0)
  },
)

t.test('kill -9 while copies are made: no snapshot that was reported is lost', { timeout: 60_000 }, async (t) => {
  const one = await copiedLog(t)
  let reported = 0
  for (let round = 0; round < 6; round++) {
    const witness = await one.start()
    for (let i = 0; i < 4; i++) await one.submit(`model/${round}/${i}`)
    await new Promise((resolve) => setTimeout(resolve, 70 * round))
    await witness.stop('SIGKILL')
    const state = openState(one.data)
    const kept = state.copies.snapshot(ORIGIN)?.size ?? 0
    state.close()
    t.ok(kept >= reported)
    reported = kept
    if (kept > 0 && round % 3 === 2) {
      const { code, errors } = await one.verify()
      t.equal(code, 0, errors)
    }
  }
  const witness = await one.start()
  t.equal(await one.copied(25), 25)
  const { code, errors } = await one.verify()
  t.equal(code, 0, errors)
  t.match(errors, /the copy of 25 entries .* 24 opened/)
  t.equal(await witness.stop(), 0)
})
