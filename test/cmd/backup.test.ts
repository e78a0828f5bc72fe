/** treeline-server backup: a copy of a log that is being written is a log, and an old one is found out where it is served. */
import { cpSync, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fromBase64 } from '../../src/core/bytes.ts'
import { verifyConsistency } from '../../src/core/merkle.ts'
import { loadTree } from '../../src/log/prover.ts'
import { logFiles } from '../../src/store/folder.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { Actor, event } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { runProgram } from '../support/programs.ts'
import { makeEventLog, makeRawLog, startServer, temporaryFolder } from '../support/server.ts'

const signer = new Actor()
const treeOf = async (data: string) => {
  const store = SqliteStore.open(logFiles(data, 'test').database, { readonly: true })
  const tree = await loadTree(store)
  await store.close()
  return tree
}

t.test('a backup beside a server that writes, and what becomes of an old one', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  await makeRawLog(data)
  const server = await startServer(data)
  let [writing, written] = [true, 0]
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; writing; i++) {
      const { status } = await post(server.url, '/test/v1/events', event(signer, `model ${writer} ${i}`))
      if (status === 201) written++
      else t.fail(`an answer of ${status}`)
    }
  })
  while (written < 300) await new Promise((resolve) => setTimeout(resolve, 10))
  const target = join(temporaryFolder(t), 'copy')
  const backup = await runProgram(t, 'cmd/treeline-server.ts', ['backup', '--data', data, '--to', target, '--keys'])
  const [before] = [written]
  while (written < before + 100) await new Promise((resolve) => setTimeout(resolve, 10))
  writing = false
  await Promise.all(writers)
  t.match(
    backup,
    { code: 0, output: /^raw: 0 entries, root \S{44}, in .*\ntest: \d+ entries, root \S{44}, in/ },
    backup.errors,
  )

  const tree = await treeOf(target)
  const check = await runProgram(t, 'cmd/treeline-server.ts', ['check', '--data', target])
  t.match(check, { code: 0, output: new RegExp(`test: ${tree.size} entries`) }, 'the copy is a whole log')
  const now = server.opened.logs.get('test')!.log.head.tree
  const { hashes } = json(await ask(server.url, `/test/v1/proofs/consistency?from=${tree.size}&to=${now.size}`))
  const proof = hashes.map((hash: string) => fromBase64(hash)!)
  t.ok(tree.size >= 300 && tree.size < now.size)
  t.ok(verifyConsistency(BigInt(tree.size), BigInt(now.size), tree.root, now.root, proof), 'of the same history')
  const files = logFiles(target, 'test')
  t.equal(statSync(files.key).mode & 0o777, 0o600)
  t.same(readFileSync(files.blinding), readFileSync(logFiles(data, 'test').blinding))
  t.notOk(existsSync(files.published))
  await server.close()

  // The database is put back, and the published head beside it is the one that the lost log had.
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${logFiles(data, 'test').database}${suffix}`, { force: true })
  cpSync(files.database, logFiles(data, 'test').database)
  const old = await startServer(data)
  const refused = await post(old.url, '/test/v1/events', event(signer, 'a second history'))
  t.match([refused.status, json(refused).code], [503, 'FROZEN'], 'an old copy signs nothing in the place of its log')
  await old.close()

  for (const [flags, why] of [
    [['--to', target], /exists already/],
    [['--to', `${target}2`, '--log', 'none'], /there is no log "none"/],
  ] as const) {
    const { code, errors } = await runProgram(t, 'cmd/treeline-server.ts', ['backup', '--data', data, ...flags])
    t.match([code, errors], [2, why])
  }
  const bare = `${target}3`
  await runProgram(t, 'cmd/treeline-server.ts', ['backup', '--data', data, '--to', bare, '--log', 'test'])
  t.ok(existsSync(logFiles(bare, 'test').vkey))
  t.notOk(existsSync(logFiles(bare, 'test').key) || existsSync(logFiles(bare, 'raw').database))
})
