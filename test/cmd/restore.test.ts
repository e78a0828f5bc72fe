/** treeline-server restore, as an operator runs it after the disk is gone: from a copy that a witness process made. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { verifyFile } from '../../src/client/verify.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { logFiles } from '../../src/store/folder.ts'
import { event, redactionRequest } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { unmakeImmutable } from '../support/immutable.ts'
import { runProgram } from '../support/programs.ts'
import { ORIGIN, startServer, temporaryFolder } from '../support/server.ts'
import vectors from '../vectors/c2sp-keys.json' with { type: 'json' }
import { admins, copiedLog, signer } from '../witness/copied-log.ts'

/** Six entries, of which event 2 is redacted, copied; then the log is lost, and one event that was not copied with it. */
async function lost(t: Test) {
  const one = await copiedLog(t)
  const witness = await one.start()
  for (let i = 1; i <= 4; i++) await one.submit(`model/${i}`)
  await one.copied(5)
  const { leafHash } = json(await ask(one.server.url, '/test/v1/events/2'))
  const request = redactionRequest(ORIGIN, [{ index: 2, leafHash }], admins)
  t.equal((await post(one.server.url, '/test/v1/redactions', request)).status, 201)
  t.equal(await one.copied(6), 6)
  t.equal(await witness.stop(), 0)
  await one.submit('model/never copied')
  const bundle = (await ask(one.server.url, '/test/tile/entries/000.p/6')).body
  const blinding = join(one.data, 'blinding.key')
  writeFileSync(blinding, readFileSync(logFiles(one.logData, 'test').blinding), { mode: 0o600 })
  const passphrase = join(one.data, 'passphrase')
  writeFileSync(passphrase, 'secret', { mode: 0o600 })
  const backup = join(one.data, 'backup')
  t.equal((await one.run('keys', 'export', '--data', one.data, '--passphrase-file', passphrase, backup)).code, 0)
  const from = ['--name', 'test', '--from', one.worm, '--trust', one.trust, '--vkey', join(one.data, 'snapshot.vkey')]
  return {
    ...{ ...one, bundle, blinding, passphrase, backup },
    restore: (target: string, ...more: string[]) =>
      runProgram(t, 'cmd/treeline-server.ts', ['restore', '--data', target, ...from, ...more]),
  }
}

let one: Awaited<ReturnType<typeof lost>>
const whole = t

t.test('a restored log has what was copied, proved, and takes nothing more', async (t) => {
  one = await lost(whole)
  const target = temporaryFolder(t)
  const keys = ['--keys', join(one.data, 'keys.db'), '--blinding-key', one.blinding]
  const { code, output, errors } = await one.restore(target, ...keys)
  t.equal(code, 0, errors)
  t.match(
    output,
    /^log.example\/test: 6 entries, whose root \S{44} is the one cosigned by witness.example\/p\nIt serves/,
  )
  t.notOk(existsSync(logFiles(target, 'test').key), 'there is no key that it could sign with')
  const check = await runProgram(t, 'cmd/treeline-server.ts', ['check', '--data', target])
  t.match(check, { code: 0, output: /test: 6 entries, .*all agree \(restored\)/ })

  const server = await startServer(target)
  t.teardown(() => server.close())
  t.same((await ask(server.url, '/test/tile/entries/000.p/6')).body, one.bundle)
  t.match(json(await ask(server.url, '/test/v1/events/3')), { index: 3, envelope: { payloadType: /in-toto/ } })
  t.match(json(await ask(server.url, '/test/v1/events/2')), { envelope: null, redacted: { index: 5 } })
  const evidence = await ask(server.url, '/test/v1/evidence/3')
  const trust = parseWitnessPolicy(new Uint8Array(readFileSync(one.trust)))
  t.match(verifyFile({ file: new Uint8Array(evidence.body), trust }), { kind: 'evidence' })
  const refused = await post(server.url, '/test/v1/events', event(signer, 'model/new'))
  t.match(json(refused), { code: 'FROZEN' })
  t.equal((await one.restore(target, ...keys)).code, 2, 'it replaces nothing')
})

t.test('from a backup of the keys; and without, where payloads are what is missing', async (t) => {
  const target = temporaryFolder(t)
  const backup = await one.restore(target, '--keys-backup', one.backup, '--passphrase-file', one.passphrase)
  t.match(backup, { code: 0, output: /without --blinding-key a successor cannot tell/ })
  t.notMatch(backup.output, /payloads are not there/)
  rmSync(target, { recursive: true })
  const sealed = await one.restore(target)
  t.match(sealed, {
    code: 0,
    output: /3 payloads are not there and were not redacted: they are sealed, and there is no --keys/,
  })
  const server = await startServer(target)
  t.match(json(await ask(server.url, '/test/v1/events/3')), { envelope: null, redacted: null })
  t.equal((await ask(server.url, '/test/v1/policy')).status, 200, 'policies are not sealed')
  await server.close()
})

t.test('what is not proved is not restored', async (t) => {
  const target = temporaryFolder(t)
  const refused = async (code: number, why: RegExp, ...more: string[]) => {
    const ended = await one.restore(target, ...more)
    t.match([ended.code, ended.errors], [code, why])
    t.same(existsSync(join(target, 'logs')) ? readdirSync(join(target, 'logs')) : [], [], 'nothing is left')
  }
  const trust = (name: string, text: string) => {
    const file = join(one.data, name)
    writeFileSync(file, text)
    return file
  }
  const { log, w1 } = vectors.keys
  const strangers = trust('strangers', `log ${one.vkey}\nwitness w ${w1.vkey}\nquorum w\n`)
  await refused(1, /0 known cosignatures are not the policy's quorum/, '--trust', strangers)
  await refused(2, /has no copy of/, '--trust', trust('elsewhere', `log ${log.vkey}\nquorum none\n`))
  await refused(2, /has no copy of/, '--vkey', trust('stranger.vkey', one.vkey))
  await refused(2, /has no log log.example\/other/, '--origin', 'log.example/other')
  await refused(2, /cannot be read/, '--trust', join(one.data, 'nowhere'))
  await refused(2, /no such folder/, '--from', join(one.worm, 'nowhere'))
  await refused(2, /not the one of this log/, '--keys', join(one.data, 'keys.db'), '--blinding-key', one.passphrase)
  await refused(2, /MALFORMED_KEY/, '--keys-backup', one.backup, '--passphrase-file', one.blinding)
  unmakeImmutable(one.worm)
  const objects = readdirSync(one.worm, { recursive: true, encoding: 'utf8' }).filter((name) => /-entries$/.test(name))
  const file = join(one.worm, objects.sort()[0]!)
  const bytes = readFileSync(file)
  bytes[bytes.length >> 1]! ^= 1
  rmSync(file)
  writeFileSync(file, bytes, { mode: 0o444 })
  await refused(1, /has other bytes than its manifest says/)
})
